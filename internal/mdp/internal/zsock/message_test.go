package zsock_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// echoed returns a DEALER whose messages come back, from a ROUTER that lends large frames.
func echoed(t *testing.T) *zsock.Socket {
	t.Helper()
	c := newContext(t)
	r, endpoint := routerWith(t, c, zsock.RouterOptions{Lend: true})
	done := echo(r)
	t.Cleanup(func() { r.Interrupt(); <-done })
	d := dealer(t, c, endpoint, zsock.DealerOptions{})
	if err := d.WaitWritable(); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFramesOfEverySizeComeBackAsTheyWere mixes frames about the sizes at which
// they are sent and received in another way, and more of them than one call takes.
func TestFramesOfEverySizeComeBackAsTheyWere(t *testing.T) {
	d := echoed(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	text := rand.NewChaCha8([32]byte{})
	sizes := []int{0, 0, 1, 6, 500, 511, 512, 513, 1023, 1024, 1025, mdp.LentFrom - 1, mdp.LentFrom, 200_000}
	for range 200 {
		want := make([][]byte, 1+random.IntN(20))
		for i := range want {
			want[i] = make([]byte, sizes[random.IntN(len(sizes))])
			_, _ = text.Read(want[i])
		}
		if err := d.Send(want); err != nil {
			t.Fatal(err)
		}
		got, err := d.Receive()
		if err != nil || !equal(got, want) {
			t.Fatalf("got %d frames of %v, %v, want %d of %v", len(got), lengths(got), err, len(want), lengths(want))
		}
	}
}

func lengths(frames [][]byte) (n []int) {
	for _, frame := range frames {
		n = append(n, len(frame))
	}
	return n
}

func TestToAppendToAReceivedFrameLeavesTheNextOne(t *testing.T) {
	d := echoed(t)
	if err := d.Send(frames("first", "second")); err != nil {
		t.Fatal(err)
	}
	got, err := d.Receive()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(got[0], "XXXXXX"...)
	if string(got[1]) != "second" {
		t.Errorf("the second frame is %q, want %q", got[1], "second")
	}
}

// A round trip of small frames takes two allocations at each end: the list of
// frames, and their bytes.
func TestAllocationsOfARoundTrip(t *testing.T) {
	d := echoed(t)
	request := frames("", "MDPC01", "echo", "hello")
	n := testing.AllocsPerRun(500, func() {
		if err := d.Send(request); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Receive(); err != nil {
			t.Fatal(err)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations, want 4", n)
	}
}

// A frame that is lent can be sent more than once, to others, and behind one that was not received.
func TestALentFrameIsSentAsOftenAsIsWanted(t *testing.T) {
	c := newContext(t)
	r, endpoint := routerWith(t, c, zsock.RouterOptions{Lend: true})
	from := dealer(t, c, endpoint, zsock.DealerOptions{RoutingID: []byte("from")})
	to := dealer(t, c, endpoint, zsock.DealerOptions{RoutingID: []byte("to")})
	large := bytes.Repeat([]byte("lent"), mdp.LentFrom)
	own := bytes.Repeat([]byte("own"), mdp.LentFrom)
	for _, d := range []*zsock.Socket{to, from} {
		if err := d.WaitWritable(); err != nil {
			t.Fatal(err)
		}
		if err := d.Send([][]byte{large}); err != nil {
			t.Fatal(err)
		}
		received, err := r.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for _, frames := range [][][]byte{{[]byte("to"), received[1], own, received[1]}, {[]byte("to"), received[1][:mdp.LentFrom]}} {
			if err := r.Send(frames); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		for _, want := range [][][]byte{{large, own, large}, {large[:mdp.LentFrom]}} {
			if got, err := to.Receive(); err != nil || !equal(got, want) {
				t.Fatalf("got frames of %v, %v, want %v", lengths(got), err, lengths(want))
			}
		}
	}
}
