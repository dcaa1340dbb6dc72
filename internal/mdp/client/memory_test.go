package client_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// leastRoom is what a call holds for a reply of which nothing is known.
const leastRoom = 64 << 10

// A roomy is a pool whose broker answers with as many bytes as the request's body says
// in its length times a thousand.
func newRoomy(t *testing.T, cfg client.Config) (p *client.Pool, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		asked.Add(1)
		return [][][]byte{append(m[:3:3], bytes.Repeat([]byte("x"), 1000*len(m[3])))}
	})
	return newPool(t, cfg, at(broker.Endpoint())), asked
}

// with returns a request for a reply of that many thousand bytes.
func with(room gateway.Room, thousands int) gateway.Request {
	req := echo(strings.Repeat("x", thousands))
	req.Room = room
	return req
}

func TestACallWithoutRoomForItsReplyIsNotSent(t *testing.T) {
	p, asked := newRoomy(t, client.Config{})
	held := budget.New(leastRoom)
	room, other := held.Lease(), held.Lease()
	other.Resize(1)
	_, err := p.Call(context.Background(), with(&room, 1))
	failure(t, err, gateway.Busy, gateway.ReasonMemory)
	if e := gateway.AsError(err); e.Executed() != gateway.No || asked.Load() != 0 {
		t.Errorf("executed is %s, the broker was asked %d times, want no and never", e.Executed(), asked.Load())
	}
	other.Release()
	if _, err := p.Call(context.Background(), with(&room, 1)); err != nil {
		t.Error(err)
	}
	expecting := with(&room, 1)
	expecting.Expect = leastRoom + 1
	_, err = p.Call(context.Background(), expecting)
	failure(t, err, gateway.Busy, gateway.ReasonMemory)
	if asked.Load() != 1 {
		t.Errorf("the broker was asked %d times, want once", asked.Load())
	}
}

// What is reserved is also the room of libzmq's copy of the request.
func TestALargeRequestHoldsTheRoomOfItsCopy(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	p := newPool(t, client.Config{}, at(broker.Endpoint()))
	held := budget.New(1 << 20)
	room := held.Lease()
	req := echo(strings.Repeat("x", 1<<20+1))
	req.Room = &room
	_, err := p.Call(context.Background(), req)
	failure(t, err, gateway.Busy, gateway.ReasonMemory)
}

func TestARoomHoldsTheReplyOnceItIsHereAndNothingAfterAnError(t *testing.T) {
	p, _ := newRoomy(t, client.Config{})
	held := budget.New(1 << 20)
	for _, c := range []struct {
		thousands int
		other     int64 // bytes that others hold
		held      int64
		err       bool
	}{
		{1, 0, 1000, false},
		{200, 0, 200_000, false}, // more than was reserved, and there is more
		{200, 1<<20 - leastRoom, 0, true},
	} {
		room, other := held.Lease(), held.Lease()
		other.Resize(c.other)
		reply, err := p.Call(context.Background(), with(&room, c.thousands))
		if room.Bytes() != c.held || (err != nil) != c.err || reply.Bytes != int64(c.thousands*1000) {
			t.Errorf("%d kB: %d bytes are held, the reply has %d, %v; want %d held, an error: %v", c.thousands, room.Bytes(), reply.Bytes, err, c.held, c.err)
		}
		if c.err { // the request ran: it must not be said that it was not sent
			failure(t, err, gateway.ReplyTooLarge, gateway.ReasonMemory)
		}
		room.Release()
		other.Release()
	}
}

func TestARequestMayBoundItsReply(t *testing.T) {
	p, _ := newRoomy(t, client.Config{MaxReply: 5000})
	for thousands, want := range map[int]gateway.Kind{2: "", 3: gateway.ReplyTooLarge} {
		req := with(nil, thousands)
		req.MaxReply = 2000
		if _, err := p.Call(context.Background(), req); want != "" {
			failure(t, err, want, "")
		} else if err != nil {
			t.Error(err)
		}
	}
	req := with(nil, 6)
	req.MaxReply = 10_000 // the pool's own bound is less
	_, err := p.Call(context.Background(), req)
	failure(t, err, gateway.ReplyTooLarge, "")
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
	held := budget.New(100 * (1000 + mdp.FrameOverhead))
	p := newPool(t, client.Config{}, client.Endpoint{Address: broker.Endpoint(), Dialect: mdp.V02})
	for parts, want := range map[int]gateway.Kind{99: "", 100: gateway.ReplyTooLarge} {
		proceed <- parts
		room := held.Lease()
		req := echo("hi")
		req.Room = &room
		_, err := p.Call(context.Background(), req)
		var e *gateway.Error
		if errors.As(err, &e) != (want != "") || e != nil && (e.Kind != want || e.Reason != gateway.ReasonMemory) {
			t.Errorf("%d parts: got %v, want %q", parts, err, want)
		}
		room.Release()
		if held.Bytes() != 0 {
			t.Errorf("%d parts: %d bytes are held at the end", parts, held.Bytes())
		}
	}
}
