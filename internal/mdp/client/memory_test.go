package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/internal/zsock"
	"mdpgateway/internal/mdp/mdptest"
)

// A request that has no room for libzmq's copy of it is not sent.
func TestARequestWithoutRoomForItsCopyIsNotSent(t *testing.T) {
	var asked atomic.Int64
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		asked.Add(1)
		return [][][]byte{m}
	})
	held := budget.New(10 << 20)
	p := newPool(t, client.Config{Budget: held}, at(broker.Endpoint()))
	large := gateway.Request{Service: "echo", Frames: [][]byte{make([]byte, 6<<20)}}
	if !held.Take(5 << 20) {
		t.Fatal("5 MiB do not fit in 10")
	}
	_, err := p.Call(context.Background(), large)
	failure(t, err, gateway.Busy, gateway.ReasonMemory)
	mustCall(t, p, "small ones go on")
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests were sent, want the small one", n)
	}
	held.Release(5 << 20)
	eventually(t, "it works when there is room", func() bool {
		_, err := p.Call(context.Background(), large)
		return err == nil
	})
	eventually(t, "nothing is held at the end", func() bool { return held.Bytes() == 0 })
}

// A reply that is arriving ends when it takes more than there is; those of other
// callers arrive.
func TestAReplyWithoutRoomEndsAndTheOthersArrive(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 24<<20)
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if string(m[3]) == "large" {
			return [][][]byte{frames("", "MDPC01", "echo", string(large))}
		}
		return [][][]byte{m}
	})
	link := mdptest.NewProxy(t, broker.Endpoint())
	link.Throttle(16 << 20)
	held := budget.New(4 << 20)
	p := newPool(t, client.Config{Budget: held}, at(link.Endpoint()))
	mustCall(t, p, "before")
	ended := inBackground(context.Background(), p, echo("large"))
	for {
		select {
		case err := <-ended:
			failure(t, err, gateway.ReplyTooLarge, gateway.ReasonMemory)
			if n := p.Stats().Closed["memory"]; n != 1 {
				t.Errorf("%d connections were closed for their memory, want 1", n)
			}
			eventually(t, "nothing is held at the end", func() bool { return held.Bytes() == 0 })
			mustCall(t, p, "after")
			return
		default:
			mustCall(t, p, "meanwhile")
		}
	}
}

// PARTIALs that are kept until the end are counted as they come.
func TestPartialsThatAreKeptAreCounted(t *testing.T) {
	proceed := make(chan int, 1)
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) (reply [][][]byte) {
		part := bytes.Repeat([]byte("x"), 1000)
		for range <-proceed {
			reply = append(reply, [][]byte{[]byte("MDPC02"), {2}, m[2], part})
		}
		return append(reply, [][]byte{[]byte("MDPC02"), {3}, m[2], []byte("end")})
	})
	held := budget.New(11_000) // a part counts 64 bytes more than it has
	p := newPool(t, client.Config{Budget: held}, client.Endpoint{Address: broker.Endpoint(), Dialect: mdp.V02})
	for parts, want := range map[int]gateway.Kind{10: "", 11: gateway.ReplyTooLarge} {
		proceed <- parts
		_, err := p.Call(context.Background(), echo("hi"))
		var e *gateway.Error
		if errors.As(err, &e) != (want != "") || e != nil && (e.Kind != want || e.Reason != gateway.ReasonMemory) {
			t.Errorf("%d parts: got %v, want %q", parts, err, want)
		}
		if held.Bytes() != 0 {
			t.Errorf("%d parts: %d bytes are held at the end", parts, held.Bytes())
		}
	}
}

// A measured is a budget that counts how often there was found to be too much, and
// how often anything was measured.
type measured struct {
	*budget.Budget
	all, excess atomic.Int64
}

func (m *measured) Measure(measure func() int64) (found, left int64) {
	found, left = m.Budget.Measure(measure)
	if left < 0 {
		m.excess.Add(1)
	}
	m.all.Add(1)
	return found, left
}

// again waits for more measurements, of which the last began after the call of it.
func again(t *testing.T, what string, count *atomic.Int64) {
	t.Helper()
	before := count.Load()
	eventually(t, what, func() bool { return count.Load() >= before+2 })
}

// An old is a pool with one connection, and 64 KiB that its replies may take of
// memory. Its broker answers to "hold" when it is told.
type old struct {
	t      *testing.T
	broker *mdptest.Router
	pool   *client.Pool
	budget *measured
	held   chan []byte
}

func newOld(t *testing.T, via func(endpoint string) string) *old {
	o := &old{t: t, budget: &measured{Budget: budget.New(4 << 20)}, held: make(chan []byte, 10)}
	o.broker = mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		switch string(m[3]) {
		case "hold":
			o.held <- id
			return nil
		case "fill":
			return [][][]byte{{make([]byte, 24<<20)}}
		}
		return [][][]byte{m}
	})
	o.pool = newPool(t, client.Config{Max: 1, Budget: o.budget}, at(via(o.broker.Endpoint())))
	return o
}

// fill has libzmq hold 24 MiB of a message that no call is for.
func (o *old) fill() {
	if !o.budget.Take(4<<20 - 64<<10) {
		o.t.Fatal("there is no room already")
	}
	mdptest.NewDealer(o.t, o.broker.Endpoint()).Send(frames("", "MDPC01", "echo", "fill"))
}

// survives makes a call that is in flight while there is too much.
func (o *old) survives() {
	o.t.Helper()
	ended := inBackground(context.Background(), o.pool, echo("hold"))
	id := await(o.t, o.held)
	again(o.t, "there is too much", &o.budget.excess)
	o.broker.Send(id, frames("", "MDPC01", "echo", "done"))
	if err := await(o.t, ended); err != nil {
		o.t.Errorf("the call ended with %v, and nothing of its reply had arrived", err)
	}
	if closed := o.pool.Stats().Closed; closed["memory"] != 0 {
		o.t.Errorf("connections were closed: %v, want none for their memory", closed)
	}
}

// A connection that has carried many replies is not taken for one that holds much.
func TestASmallCallOnAnOldConnectionIsNotEndedForItsMemory(t *testing.T) {
	o := newOld(t, func(endpoint string) string { return endpoint })
	req := gateway.Request{Service: "echo", Frames: slices.Repeat(frames("", strings.Repeat("x", 300)), 300)}
	for range 100 { // 11 bytes of ZMTP's for each two frames, 330,000 in all
		if _, err := o.pool.Call(context.Background(), req); err != nil {
			t.Fatal(err)
		}
	}
	for range 10_000 { // 18 for each
		mustCall(t, o.pool, "hi")
	}
	o.fill()
	o.survives()
}

// What a broker's heartbeats add up to is not taken for a reply either.
func TestHeartbeatsAreNotTakenForReplies(t *testing.T) {
	var link *pinger
	o := newOld(t, func(endpoint string) string {
		link = newPinger(t, endpoint)
		return "tcp://" + link.listener.Addr().String()
	})
	o.fill()
	eventually(t, "it is measured until the end", func() bool {
		mustCall(t, o.pool, "hi")
		return o.budget.excess.Load() > 0
	})
	before := arrived()
	sent := link.ping(20_000)
	eventually(t, "the heartbeats arrive", func() bool { return arrived() >= before+sent })
	again(t, "there is too much while the connection rests", &o.budget.excess)
	o.survives()
}

func arrived() (n int64) {
	for _, bytes := range zsock.Arrived() {
		n += bytes
	}
	return n
}

// A pinger is a link to a broker that sends heartbeats over the newest connection.
type pinger struct {
	t        *testing.T
	listener net.Listener
	newest   atomic.Pointer[net.Conn]
}

func newPinger(t *testing.T, endpoint string) *pinger {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pinger{t: t, listener: listener}
	var running sync.WaitGroup
	t.Cleanup(func() { listener.Close(); running.Wait() })
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		to.Close()
	}
	running.Go(func() {
		for near, err := listener.Accept(); err == nil; near, err = listener.Accept() {
			far, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
			if err != nil {
				near.Close()
				continue
			}
			p.newest.Store(&near)
			running.Go(func() { carry(near, far) })
			running.Go(func() { carry(far, near) })
		}
	})
	return p
}

// ping sends n heartbeats (RFC 37) at once, and returns how many bytes they are.
func (p *pinger) ping(n int) int64 {
	pings := strings.Repeat("\x04\x07\x04PING\x00\x00", n)
	if _, err := io.WriteString(*p.newest.Load(), pings); err != nil {
		p.t.Fatal(err)
	}
	return int64(len(pings))
}

// A request that waits for its connection holds what libzmq's copy will take, also
// if it is measured meanwhile.
func TestARequestThatWaitsForItsConnectionHoldsTheRoomOfItsCopy(t *testing.T) {
	ids := make(chan []byte, 1)
	broker := mdptest.NewRouter(t, func(id []byte, _ [][]byte) [][][]byte {
		ids <- id
		return nil
	})
	link := mdptest.NewProxy(t, broker.Endpoint())
	held := &measured{Budget: budget.New(10 << 20)}
	p := newPool(t, client.Config{Budget: held, ConnectTimeout: patience}, at(link.Endpoint()))
	eventually(t, "the broker is up", func() bool { return p.Stats().Endpoints[0].State == gateway.Up })
	link.Stall()
	ended := inBackground(context.Background(), p, gateway.Request{Service: "echo", Frames: [][]byte{make([]byte, 6<<20)}})
	eventually(t, "the call waits for its connection", func() bool { return p.Stats().Connecting == 1 })
	again(t, "it is measured", &held.all)
	if n := held.Bytes(); n < 6<<20 {
		t.Errorf("%d bytes are held, want the 6 MiB of the copy", n)
	}
	link.Resume()
	id := await(t, ids)
	eventually(t, "nothing is held once it was sent", func() bool { return held.Bytes() == 0 })
	broker.Send(id, frames("", "MDPC01", "echo", "done"))
	if err := await(t, ended); err != nil {
		t.Error(err)
	}
	if n := held.Bytes(); n != 0 {
		t.Errorf("%d bytes are held at the end, want none", n)
	}
}
