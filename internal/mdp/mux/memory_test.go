package mux_test

import (
	"testing"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mdpx"
	"mdpgateway/internal/mdp/mux"
)

// leastRoom is what a call holds for a reply of which nothing is known.
const leastRoom = 64 << 10

// A slow is a call of a stream whose caller takes a part only when the test lets it.
type slow struct {
	t     *testing.T
	b     *mdptest.Muxed
	c     *mux.Client
	a     mdptest.Asked
	held  *budget.Budget
	take  chan struct{} // one for each part; closed for all
	taken chan int      // how many were
	done  <-chan result
}

func startSlow(t *testing.T, most int64) *slow {
	t.Helper()
	s := &slow{t: t, b: mdptest.NewMuxed(t, "echo"), held: budget.New(most), take: make(chan struct{}, 1000), taken: make(chan int, 1000)}
	s.c = start(t, mux.Config{}, s.b.Endpoint())
	up(t, s.c, 1)
	room, parts := s.held.Lease(), 0
	s.done = call(t.Context(), s.c, gateway.Request{Service: "echo", Room: &room, Partial: func([][]byte) error {
		select {
		case <-s.take:
		case <-t.Context().Done():
			return t.Context().Err()
		}
		parts++
		s.taken <- parts
		return nil
	}})
	s.a = next(t, s.b)
	return s
}

func (s *slow) part(size int) { s.b.Reply(s.a, [][]byte{make([]byte, size)}, false) }

// arrived waits until all that was sent has come: what follows it is of no call.
func (s *slow) arrived() {
	s.t.Helper()
	last := s.a
	last.Request.ID = mdpx.NumberID(1 << 40)
	s.b.Reply(last, fr("x"), true)
	eventually(s.t, "all that was sent has come", func() bool { return s.c.Stats().Stray["late"] == 1 })
}

// What came of a stream, and its caller has not taken yet, is held; when it was taken, no more than before.
func TestPartsThatWaitForTheirCallerAreHeld(t *testing.T) {
	t.Parallel()
	const parts, size = 20, 10_000
	s := startSlow(t, 1<<20)
	for range parts {
		s.part(size)
	}
	// The first is with its caller.
	want := int64(size + (parts-1)*(size+mdp.FrameOverhead))
	eventually(t, "all parts are held", func() bool { return s.held.Bytes() == want })
	for range parts {
		s.take <- struct{}{}
		<-s.taken
	}
	eventually(t, "what is held is what was reserved", func() bool { return s.held.Bytes() == leastRoom })
	s.b.Reply(s.a, [][]byte{make([]byte, 100)}, true)
	if r := <-s.done; r.err != nil || s.held.Bytes() != 100 {
		t.Errorf("%d bytes are held at the end, %v; want those of the reply", s.held.Bytes(), r.err)
	}
}

// Parts for which there is no room end their call, and are not kept until its caller takes notice.
func TestPartsWithoutRoomEndTheirCall(t *testing.T) {
	t.Parallel()
	const most, size = 1 << 20, 100_000
	s := startSlow(t, most)
	other := s.held.Lease()
	other.Resize(most / 2)
	for range 50 {
		s.part(size)
	}
	s.b.Reply(s.a, fr("end"), true)
	s.arrived()
	fits := (most/2 - size) / (size + mdp.FrameOverhead)
	eventually(t, "the parts that fit are held", func() bool {
		return s.held.Bytes() == most/2+size+int64(fits)*(size+mdp.FrameOverhead)
	})
	close(s.take)
	r := <-s.done
	if e := gateway.AsError(r.err); e.Kind != gateway.ReplyTooLarge || e.Reason != gateway.ReasonMemory {
		t.Errorf("got %v, want that there is no room for the reply", r.err)
	}
	if n := len(s.taken); n != 1+fits || s.held.Bytes() != most/2 {
		t.Errorf("%d parts were taken, %d bytes are held beside others'; want %d, and none", n, s.held.Bytes()-most/2, 1+fits)
	}
}

// PARTIALs that are kept until the end are counted as they come.
func TestPartialsThatAreKeptAreCounted(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	held := budget.New(100 * (1000 + mdp.FrameOverhead))
	for parts, want := range map[int]gateway.Kind{99: "", 101: gateway.ReplyTooLarge} {
		room := held.Lease()
		done := call(t.Context(), c, gateway.Request{Service: "echo", Room: &room})
		a := next(t, b)
		for range parts {
			b.Reply(a, [][]byte{make([]byte, 1000)}, false)
		}
		b.Reply(a, fr("end"), true)
		r := <-done
		if (r.err != nil) != (want != "") || want != "" && gateway.AsError(r.err).Reason != gateway.ReasonMemory {
			t.Errorf("%d parts: got %v, want %q", parts, r.err, want)
		}
		room.Release()
		if held.Bytes() != 0 {
			t.Errorf("%d parts: %d bytes are held at the end", parts, held.Bytes())
		}
	}
}

func TestARoomHoldsTheReplyOnceItIsHereAndNothingAfterAnError(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	held := budget.New(1 << 20)
	for _, x := range []struct {
		size, other, held int64
		fails             bool
	}{
		{1000, 0, 1000, false},
		{200_000, 0, 200_000, false}, // more than was reserved, and there is more
		{200_000, 1<<20 - leastRoom, 0, true},
		{200_000, 1<<20 - 200_000, 200_000, false}, // all there is
	} {
		room, other := held.Lease(), held.Lease()
		other.Resize(x.other)
		done := call(t.Context(), c, gateway.Request{Service: "echo", Room: &room})
		b.Reply(next(t, b), [][]byte{make([]byte, x.size)}, true)
		r := <-done
		if room.Bytes() != x.held || (r.err != nil) != x.fails || r.reply.Bytes != x.size {
			t.Errorf("%d bytes: %d are held, the reply has %d, %v; want %d held, an error: %v", x.size, room.Bytes(), r.reply.Bytes, r.err, x.held, x.fails)
		}
		if e := gateway.AsError(r.err); x.fails && e.Reason != gateway.ReasonMemory {
			t.Errorf("got %v, want that there is no room", r.err)
		}
		room.Release()
		other.Release()
	}
}
