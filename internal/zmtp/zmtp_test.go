package zmtp_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/zmtp"
)

func TestABrokerSaysWhatItIs(t *testing.T) {
	broker := strings.TrimPrefix(mdptest.Endpoint(mdptest.Broker(t)), "tcp://")
	c, err := net.Dial("tcp", broker)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	p, err := zmtp.Greet(c)
	if err != nil || p.Mechanism != "NULL" || p.SocketType != "ROUTER" || !strings.HasPrefix(p.Version, "3.") {
		t.Errorf("got %+v, %v", p, err)
	}
}

// A script is what a peer sends; what it is sent is thrown away.
type script struct{ io.Reader }

func (script) Write(b []byte) (int, error) { return len(b), nil }

func greetingOf(mechanism string) string {
	return "\xff" + strings.Repeat("\x00", 8) + "\x7f\x03\x01" + mechanism + strings.Repeat("\x00", 20-len(mechanism)) + strings.Repeat("\x00", 32)
}

func TestOtherPeersAreToldApart(t *testing.T) {
	for _, c := range []struct {
		name, sends string
		want        zmtp.Peer
		err         string
	}{
		{"an HTTP server", "HTTP/1.1 400 Bad Request\r\n\r\n", zmtp.Peer{}, zmtp.ErrNotZeroMQ.Error()},
		{"nothing", "", zmtp.Peer{}, "EOF"},
		{"libzmq 3", "\xff" + strings.Repeat("\x00", 8) + "\x7f\x01\x06", zmtp.Peer{Version: "2.0", Mechanism: "NULL"}, ""},
		{"CURVE", greetingOf("CURVE"), zmtp.Peer{Version: "3.1", Mechanism: "CURVE"}, ""},
		{"a PUB", greetingOf("NULL") + "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB", zmtp.Peer{Version: "3.1", Mechanism: "NULL", SocketType: "PUB"}, ""},
		{"a long command", greetingOf("NULL") + "\x06\x00\x00\x00\x00\x00\x00\x00\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB", zmtp.Peer{Version: "3.1", Mechanism: "NULL", SocketType: "PUB"}, ""},
		{"a refusal", greetingOf("NULL") + "\x04\x0a\x05ERROR\x03400", zmtp.Peer{Version: "3.1", Mechanism: "NULL"}, "it refuses: 400"},
		{"a property that is cut", greetingOf("NULL") + "\x04\x08\x05READY\x0bS", zmtp.Peer{Version: "3.1", Mechanism: "NULL"}, zmtp.ErrNotZeroMQ.Error()},
		{"a value that is cut", greetingOf("NULL") + "\x04\x0d\x05READY\x01S\xff\xff\xff\xff?", zmtp.Peer{Version: "3.1", Mechanism: "NULL"}, zmtp.ErrNotZeroMQ.Error()},
		{"a command without end", greetingOf("NULL") + "\x06\xff\xff\xff\xff\xff\xff\xff\xff", zmtp.Peer{Version: "3.1", Mechanism: "NULL"}, zmtp.ErrNotZeroMQ.Error()},
	} {
		p, err := zmtp.Greet(script{strings.NewReader(c.sends)})
		if p != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %+v, %v, want %+v, %s", c.name, p, err, c.want, c.err)
		}
	}
}

func FuzzGreet(f *testing.F) {
	f.Add([]byte(greetingOf("NULL") + "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"))
	f.Fuzz(func(t *testing.T, sends []byte) {
		p, err := zmtp.Greet(script{strings.NewReader(string(sends))})
		if strings.ContainsFunc(p.Version+p.Mechanism+p.SocketType, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q: %+v is not printable", sends, p)
		}
		if err == nil && p.Version == "" && !errors.Is(err, zmtp.ErrNotZeroMQ) {
			t.Errorf("%q: no version and no error", sends)
		}
	})
}
