package zsock_test

import (
	"testing"
	"time"

	"mdpgateway/internal/mdp/internal/zsock"
)

// A message that nobody has taken yet is seen on libzmq's heap and at the
// connection that it came over, and at no other.
func TestWhatArrivesIsSeenBeforeItIsTaken(t *testing.T) {
	const size = 8 << 20
	c := newContext(t)
	r, endpoint := router(t, c)
	id := []byte("one")
	one := dealer(t, c, endpoint, zsock.DealerOptions{RoutingID: id})
	other := dealer(t, c, endpoint, zsock.DealerOptions{})
	for _, d := range []*zsock.Socket{one, other} {
		if err := d.WaitWritable(); err != nil {
			t.Fatal(err)
		}
	}
	if one.Mark() == other.Mark() || one.Mark() == 0 || r.Mark() != 0 {
		t.Errorf("the marks are %d, %d and, of a router, %d, want two of them different and none", one.Mark(), other.Mark(), r.Mark())
	}
	before, heap := zsock.Arrived(), zsock.HeapInUse()
	if err := r.Send([][]byte{id, make([]byte, size)}); err != nil {
		t.Fatal(err)
	}
	more := func(d *zsock.Socket) int64 { return zsock.Arrived()[d.Mark()] - before[d.Mark()] }
	for deadline := time.Now().Add(10 * time.Second); more(one) < size; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes have arrived, want at least %d", more(one), size)
		}
	}
	if n := more(other); n != 0 {
		t.Errorf("%d bytes arrived at the other connection, want none", n)
	}
	if n := zsock.HeapInUse() - heap; heap > 0 && n < size {
		t.Errorf("%d bytes more are in use, want at least %d", n, size)
	}
	if _, err := one.Receive(); err != nil {
		t.Fatal(err)
	}
	if n := zsock.HeapInUse() - heap; n > size/2 {
		t.Errorf("%d bytes more are in use after the message was taken, want them freed", n)
	}
	zsock.TrimHeap()
}
