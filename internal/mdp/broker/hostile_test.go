package broker_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
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
	eventually(t, b, "all workers", func(st broker.Stats) bool {
		return len(st.Services) == 1 && st.Services[0].Workers == len(dialects)
	})
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

func TestRubbishIsSurvivedAndHarmsNobody(t *testing.T) {
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	mdptest.Worker(t, endpoint, "steady", echo)
	client := mdptest.NewDealer(t, endpoint)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	words := []string{
		"", "MDPC01", "MDPW01", "MDPC02", "MDPW02", "C01", "W01", "rubbish", "mmi.service", "mmi.rubbish",
		"\x00", "\x01", "\x02", "\x03", "\x04", "\x05", "\x06", strings.Repeat("x", 300),
	}
	peers := []*mdptest.Dealer{mdptest.NewDealer(t, endpoint), mdptest.NewDealer(t, endpoint), mdptest.NewDealer(t, endpoint)}
	for i := range 20_000 {
		frames := make([][]byte, 1+random.IntN(7))
		for i := range frames {
			frames[i] = []byte(words[random.IntN(len(words))])
		}
		if random.IntN(1000) == 0 {
			frames = append(frames, make([][]byte, 10_000)...)
		}
		peers[random.IntN(len(peers))].Send(frames)
		if i%500 == 0 {
			request(t, client, mdp.V01, "steady", "hi")
			if got, _ := reply(t, client, mdp.V01, "steady"); got != "hi" {
				t.Fatalf("amid the rubbish: got %q, want hi", got)
			}
		}
	}
	for _, d := range peers {
		d.Close()
	}
	eventually(t, b, "rubbish dropped", func(st broker.Stats) bool {
		return st.Dropped["wrong_header"] > 1000 && st.Dropped["malformed"] > 1000
	})
	// Some of it made up workers, others' requests for which are lost with them.
	mdptest.Worker(t, endpoint, "fresh", echo)
	request(t, client, mdp.V01, "fresh", "hi")
	if got, _ := reply(t, client, mdp.V01, "fresh"); got != "hi" {
		t.Fatalf("after the rubbish: got %q, want hi", got)
	}
}

// work returns the next request that a worker gets.
func work(t *testing.T, d *mdptest.Dealer, dialect *mdp.Dialect) mdp.WorkerMessage {
	t.Helper()
	for {
		m, err := dialect.ParseWorker(d.Receive())
		if err != nil {
			t.Fatal(err)
		}
		if m.Command != mdp.Heartbeat {
			return m
		}
	}
}

func TestAWorkerThatRepliesToAClientThatHasGoneGetsTheNextRequest(t *testing.T) {
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	server := mdptest.NewDealer(t, endpoint)
	server.Send(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("s")}))
	mdptest.WaitForService(t, endpoint, "s")
	gone, next := mdptest.NewDealer(t, endpoint), mdptest.NewDealer(t, endpoint)
	request(t, gone, mdp.V02, "s", "first")
	m := work(t, server, mdp.V02)
	gone.Close()
	// A connection's end is noticed when something is sent there, and not at once.
	part := mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Partial, Client: m.Client, Body: [][]byte{[]byte("part")}})
	eventually(t, b, "a part dropped", func(st broker.Stats) bool {
		server.Send(part)
		return st.Dropped["client_gone"] == 1
	})
	server.Send(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Final, Client: m.Client, Body: [][]byte{[]byte("late")}}))
	request(t, next, mdp.V02, "s", "second")
	m = work(t, server, mdp.V02)
	server.Send(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Final, Client: m.Client, Body: m.Body}))
	if got, final := reply(t, next, mdp.V02, "s"); got != "second" || !final {
		t.Errorf("the next client got %q, final %v, want second", got, final)
	}
	if st := b.Stats(); st.Dropped["client_gone"] != 1 || st.Replies != 1 {
		t.Errorf("got %d dropped, %d replies, want one of each", st.Dropped["client_gone"], st.Replies)
	}
}

func TestAWorkerThatSaysReadyTwiceOrAsTheBrokerMustRegisterAnew(t *testing.T) {
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	mdptest.Worker(t, endpoint, "steady", echo)
	for _, c := range []struct {
		services []string
		dropped  string
	}{
		{[]string{"s", "s"}, "ready_twice"},
		{[]string{"s", "steady"}, "ready_twice"},
		{[]string{"mmi.service"}, "mmi_worker"},
		{[]string{"no name"}, "service_name"},
	} {
		before := b.Stats().Dropped[c.dropped]
		d := mdptest.NewDealer(t, endpoint)
		for _, service := range c.services {
			d.Send(mdp.V01.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte(service)}))
		}
		if m := work(t, d, mdp.V01); m.Command != mdp.Disconnect {
			t.Errorf("READY of %q: got %s, want DISCONNECT", c.services, m.Command)
		}
		if st := b.Stats(); st.Dropped[c.dropped] != before+1 || len(st.Services) != 1 || st.Services[0].Workers != 1 {
			t.Errorf("READY of %q: got %+v, want it counted as %s and the steady worker alone", c.services, st, c.dropped)
		}
	}
	client := mdptest.NewDealer(t, endpoint)
	request(t, client, mdp.V01, "steady", "hi")
	if got, _ := reply(t, client, mdp.V01, "steady"); got != "hi" {
		t.Errorf("steady: got %q, want hi", got)
	}
}

func TestHeartbeatsLostInOneDirectionLoseThatWorkerAlone(t *testing.T) {
	for name, way := range map[string]mdptest.Way{"to the broker": mdptest.ToBroker, "from the broker": mdptest.FromBroker} {
		t.Run(name, func(t *testing.T) {
			const beat = 50 * time.Millisecond
			b := mdptest.BrokerWith(t, broker.Config{Heartbeat: beat, BusySilence: time.Hour})
			endpoint := mdptest.Endpoint(b)
			link := mdptest.NewProxy(t, endpoint)
			mdptest.WorkerWith(t, worker.Config{
				Endpoint: link.Endpoint(), Heartbeat: beat, Services: map[string]worker.Handler{"far": prefix("far")},
			})
			mdptest.WorkerWith(t, worker.Config{
				Endpoint: endpoint, Heartbeat: beat, Liveness: 10_000, Services: map[string]worker.Handler{"near": echo},
			})
			client := mdptest.NewDealer(t, endpoint)
			link.StallWay(way)
			eventually(t, b, "the far worker lost", func(st broker.Stats) bool {
				request(t, client, mdp.V01, "near", "hi")
				if got, _ := reply(t, client, mdp.V01, "near"); got != "hi" {
					t.Fatalf("near: got %q, want hi", got)
				}
				return !slices.ContainsFunc(st.Services, func(s gateway.LiveService) bool { return s.Name == "far" })
			})
			link.Resume()
			mdptest.WaitForService(t, endpoint, "far")
			request(t, client, mdp.V01, "far", "back")
			if got, _ := reply(t, client, mdp.V01, "far"); got != "far|back" {
				t.Errorf("far, when the link is whole again: got %q, want far|back", got)
			}
		})
	}
}
