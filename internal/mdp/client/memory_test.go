package client_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
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
	large := mdp.Request{Service: "echo", Frames: [][]byte{make([]byte, 6<<20)}}
	if !held.Take(5 << 20) {
		t.Fatal("5 MiB do not fit in 10")
	}
	_, err := p.Call(context.Background(), large)
	failure(t, err, mdp.Busy, mdp.ReasonMemory)
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
			failure(t, err, mdp.ReplyTooLarge, mdp.ReasonMemory)
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
	for parts, want := range map[int]mdp.Kind{10: "", 11: mdp.ReplyTooLarge} {
		proceed <- parts
		_, err := p.Call(context.Background(), echo("hi"))
		var e *mdp.Error
		if errors.As(err, &e) != (want != "") || e != nil && (e.Kind != want || e.Reason != mdp.ReasonMemory) {
			t.Errorf("%d parts: got %v, want %q", parts, err, want)
		}
		if held.Bytes() != 0 {
			t.Errorf("%d parts: %d bytes are held at the end", parts, held.Bytes())
		}
	}
}
