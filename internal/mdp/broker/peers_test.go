package broker_test

import (
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
)

// frames makes a message of its frames.
func frames(s ...string) (f [][]byte) {
	for _, x := range s {
		f = append(f, []byte(x))
	}
	return f
}

// receive takes the next message that is no heartbeat, and shows it.
func receive(d *mdptest.Dealer) ([][]byte, string) {
	for {
		m := d.Receive()
		switch text := mdp.Show(m); text {
		case `'' | MDPW01 | \x04`, `'' | MDPW02 | \x05`:
		default:
			return m, text
		}
	}
}

// Peers of others at a real broker, byte by byte, over sockets. A worker that the broker did
// not take would get DISCONNECT, or no request.
func TestPeersOfOthersAreAnsweredInTheirKind(t *testing.T) {
	majortomo := [][]string{{"", "MDPW02", "\x03", "CLIENT", "", "part"}, {"", "MDPW02", "\x04", "CLIENT", "", "b"}}
	for _, c := range []struct {
		name                  string
		padded                bool
		ready, request, asked []string
		replies               [][]string // of the worker; CLIENT is the client that it was given
		want                  []string   // what the client gets
	}{
		{"zguide's worker in PHP", false, []string{"", "MDPW01", "\x01", "echo"}, []string{"", "MDPC01", "echo", "a"},
			[]string{"", "MDPW01", "\x02", "CLIENT", "", "a"}, [][]string{{"", "MDPW01", "\x03", "CLIENT", "b", ""}},
			[]string{"'' | MDPC01 | echo | b | ''"}},
		{"jheise's worker", false, []string{"", "MDPW01", "\x01", "echo", "0"}, []string{"", "MDPC01", "echo", "a"},
			[]string{"", "MDPW01", "\x02", "CLIENT", "", "a"}, [][]string{{"", "MDPW01", "\x03", "CLIENT", "", "b"}},
			[]string{"'' | MDPC01 | echo | b"}},
		{"jheise's client", true, []string{"", "MDPW01", "\x01", "echo", "0"}, []string{"", "MDPC01", "echo", "a"},
			[]string{"", "MDPW01", "\x02", "CLIENT", "", "a"}, [][]string{{"", "MDPW01", "\x03", "CLIENT", "", "b"}},
			[]string{"'' | MDPC01 | echo | '' | b"}},
		{"majortomo's client and worker", false, []string{"", "MDPW02", "\x01", "echo"}, []string{"", "MDPC02", "\x02", "echo", "a"},
			[]string{"", "MDPW02", "\x02", "CLIENT", "", "a"}, majortomo,
			[]string{`'' | MDPC02 | \x03 | part`, `'' | MDPC02 | \x04 | b`}},
		{"majortomo's worker and another client", false, []string{"", "MDPW02", "\x01", "echo"}, []string{"", "C01", "echo", "a", "{}"},
			[]string{"", "MDPW02", "\x02", "CLIENT", "", "a", "{}"}, majortomo, []string{"'' | C01 | echo | '' | b"}},
		{"majortomo's client and another worker", false, []string{"MDPW02", "\x01", "echo"}, []string{"", "MDPC02", "\x02", "echo", "a"},
			[]string{"MDPW02", "\x02", "CLIENT", "", "a"}, [][]string{{"MDPW02", "\x04", "CLIENT", "", "b"}},
			[]string{`'' | MDPC02 | \x04 | b`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := mdptest.BrokerWith(t, broker.Config{Padded: c.padded})
			worker, client := mdptest.NewDealer(t, mdptest.Endpoint(b)), mdptest.NewDealer(t, mdptest.Endpoint(b))
			worker.Send(frames(c.ready...))
			for range 2 { // it stays registered
				client.Send(frames(c.request...))
				got, shown := receive(worker)
				if len(got) != len(c.asked) {
					t.Fatalf("the worker got %s, want %q", shown, c.asked)
				}
				token := string(got[slices.Index(c.asked, "CLIENT")])
				if want := mdp.Show(frames(with(c.asked, token)...)); shown != want {
					t.Fatalf("the worker got %s, want %s", shown, want)
				}
				for _, reply := range c.replies {
					worker.Send(frames(with(reply, token)...))
				}
				for _, want := range c.want {
					if _, shown := receive(client); shown != want {
						t.Fatalf("the client got %s, want %s", shown, want)
					}
				}
			}
			if d := b.Stats().Dropped; d["malformed"]+d["wrong_header"]+d["unregistered"]+d["ready_twice"] != 0 {
				t.Errorf("messages were dropped: %v", d)
			}
		})
	}
}

// with puts the client's address in its place.
func with(frames []string, client string) (all []string) {
	for _, f := range frames {
		all = append(all, strings.ReplaceAll(f, "CLIENT", client))
	}
	return all
}

// The same with sockets and ids as libzmq makes them for those peers: a REQ drops a reply
// whose first frame is not empty.
func TestRealPeersOfOthersAreServed(t *testing.T) {
	plain, padded := mdptest.Broker(t), mdptest.BrokerWith(t, broker.Config{Padded: true})
	cmd := exec.Command("/usr/bin/python3", "testdata/peers.py", mdptest.Endpoint(plain), mdptest.Endpoint(padded))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "jheise's client got a padded reply") {
		t.Fatalf("this test needs Debian's python3 and python3-zmq: %v\n%s", err, out)
	}
	for _, b := range []*broker.Broker{plain, padded} {
		if d := b.Stats().Dropped; d["malformed"]+d["wrong_header"]+d["unregistered"]+d["ready_twice"] != 0 {
			t.Errorf("messages were dropped: %v", d)
		}
	}
}

// A peer that this broker does not understand is named once, with what it said and what is
// spoken, and every message of it is counted.
func TestAPeerOfAnUnknownDialectIsNamedAndCounted(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	b := mdptest.BrokerWith(t, broker.Config{Log: zap.New(core)})
	stranger := mdptest.NewDealer(t, mdptest.Endpoint(b))
	for range 3 {
		stranger.Send(frames("", "IDPC01", "echo", "a"))
	}
	eventually(t, b, "three messages dropped", func(s broker.Stats) bool { return s.Dropped["wrong_header"] == 3 })
	all := logs.All()
	if len(all) != 1 || all[0].ContextMap()["header"] != "IDPC01" || len(all[0].ContextMap()["known"].([]any)) != 7 {
		t.Errorf("the log has %v, want one line that names IDPC01", all)
	}
}
