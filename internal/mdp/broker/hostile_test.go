package broker_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
)

// A peer speaks ZMTP 3.0 (RFC 23) over a plain connection, so that it can do
// what libzmq never would: announce what it does not send, and die within a
// message.
type peer struct {
	t    *testing.T
	conn net.Conn
}

// newPeer connects and does the handshake of a DEALER.
func newPeer(t *testing.T, endpoint string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := &peer{t, conn}
	greeting := make([]byte, 64)
	copy(greeting, "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL")
	p.write(greeting)
	p.read(64)
	p.write([]byte("\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"))
	p.frame() // the broker's READY
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) read(n uint64) []byte {
	p.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(p.conn, b); err != nil {
		p.t.Fatal(err)
	}
	return b
}

// frame reads one frame: a flags byte, a length of one byte or eight, the rest.
func (p *peer) frame() (body []byte, more bool) {
	p.t.Helper()
	flags := p.read(1)[0]
	length := uint64(0)
	if flags&2 == 0 {
		length = uint64(p.read(1)[0])
	} else {
		length = binary.BigEndian.Uint64(p.read(8))
	}
	return p.read(length), flags&1 != 0
}

// send sends frames; the last of them says that another one follows if more.
func (p *peer) send(more bool, frames ...[]byte) {
	p.t.Helper()
	for i, f := range frames {
		flags := byte(1)
		if i == len(frames)-1 && !more {
			flags = 0
		}
		p.write(append([]byte{flags, byte(len(f))}, f...))
	}
}

func (p *peer) receive() (frames [][]byte) {
	p.t.Helper()
	for {
		f, more := p.frame()
		if frames = append(frames, f); !more {
			return frames
		}
	}
}

func TestCloseSendsDisconnectToTheWorkers(t *testing.T) {
	b := mdptest.Broker(t)
	for _, dialect := range dialects {
		p := newPeer(t, mdptest.Endpoint(b))
		p.send(false, dialect.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("s")})...)
		defer func() {
			if m, err := dialect.ParseWorker(p.receive()); err != nil || m.Command != mdp.Disconnect {
				t.Errorf("%s: got %v, %v, want DISCONNECT", dialect, m.Command, err)
			}
		}()
	}
	eventually(t, b, "3 workers", func(st broker.Stats) bool { return len(st.Services) == 1 && st.Services[0].Workers == 3 })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestAPeerThatDiesWithinAMessageLeavesNothingBehind(t *testing.T) {
	b := mdptest.BrokerWith(t, broker.Config{Heartbeat: 20 * time.Millisecond, Liveness: 10_000})
	endpoint := mdptest.Endpoint(b)
	mdptest.Worker(t, endpoint, "echo", echo)

	// A client within a frame, and between two.
	p := newPeer(t, endpoint)
	p.write([]byte("\x01\x00\x01\x06MDPC01\x01\x04echo\x00\x10half"))
	_ = p.conn.Close()
	p = newPeer(t, endpoint)
	p.send(true, nil, []byte("MDPC01"), []byte("echo"))
	_ = p.conn.Close()

	// A worker within its reply.
	p = newPeer(t, endpoint)
	p.send(false, mdp.V01.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("dying")})...)
	client := mdptest.NewDealer(t, endpoint)
	request(t, client, mdp.V01, "dying", "hi")
	for {
		m, err := mdp.V01.ParseWorker(p.receive())
		if err != nil {
			t.Fatal(err)
		}
		if m.Command == mdp.Work {
			p.send(true, nil, []byte("MDPW01"), []byte{3}, m.Client, nil, []byte("half a reply"))
			break
		}
	}
	_ = p.conn.Close()
	eventually(t, b, "the worker lost", func(st broker.Stats) bool { return st.Dropped["worker_lost"] == 1 && len(st.Services) == 1 })

	request(t, client, mdp.V01, "echo", "whole")
	if got, _ := reply(t, client, mdp.V01, "echo"); got != "whole" {
		t.Errorf("got %q, want whole", got)
	}
	if st := b.Stats(); st.Requests != 2 || st.Dropped["malformed"] != 0 {
		t.Errorf("got %d requests, %d malformed, want 2 and 0", st.Requests, st.Dropped["malformed"])
	}
}

func TestAnAnnouncedFrameOverTheBoundIsNeverAllocated(t *testing.T) {
	endpoint := mdptest.Endpoint(mdptest.Broker(t))
	p := newPeer(t, endpoint)
	p.write([]byte("\x03\x00\x00\x00\x02\x00\x00\x00\x00"))
	if _, err := p.conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("after a frame of 8 GiB was announced: %v, want the connection closed", err)
	}
}

func TestNoDescriptorIsLeft(t *testing.T) {
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	var before int
	for i := range 10 {
		b, err := broker.New(broker.Config{Bind: []string{"tcp://127.0.0.1:*"}})
		if err != nil {
			t.Fatal(err)
		}
		d := newPeer(t, mdptest.Endpoint(b))
		d.send(false, bytes.Split([]byte("|MDPC01|nobody|hi"), []byte("|"))...)
		eventually(t, b, "a queued request", func(st broker.Stats) bool { return st.Queued == 1 })
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		_ = d.conn.Close()
		if i == 0 {
			before = descriptors()
		}
	}
	if after := descriptors(); after > before {
		t.Errorf("%d descriptors after one broker, %d after ten", before, after)
	}
}
