package zsock

import (
	"testing"
	"time"
)

// The descriptors of any number of connections may be closed at once, and a moment
// after their sockets.
func TestMarksRestBeforeTheyAreUsedAgain(t *testing.T) {
	var n numbering
	now := time.Unix(0, 0)
	open := func(count int) map[int]bool {
		taken := map[int]bool{}
		for range count {
			taken[n.take(now)] = true
		}
		if len(taken) != count {
			t.Fatalf("%d sockets have %d marks, want one each", count, len(taken))
		}
		return taken
	}
	first := open(200)
	for mark := range first {
		n.free(mark, now)
	}
	now = now.Add(restOfMarks - time.Nanosecond)
	for mark := range open(200) {
		if first[mark] {
			t.Errorf("%d is used again, whose connection may be there yet", mark)
		}
	}
	now = now.Add(time.Nanosecond)
	for mark := range open(200) {
		if !first[mark] {
			t.Errorf("%d is new, want those used again that have rested", mark)
		}
	}
}

// However many sockets there are, a link that goes dark is seen at about the same
// time.
func TestAMarkHardlyDelaysTheSightOfADarkLink(t *testing.T) {
	for _, mark := range []int{0, 1, perMilli, perMilli + 1, 4000, 10_000} {
		timeout, count := options(mark)
		if timeout < 4*time.Second || timeout > 4100*time.Millisecond || count < 4 || count > 127 {
			t.Errorf("mark %d: time-out %v, count %d, want 4 s and little more, and a count that the kernel takes and that lets the time-out come first", mark, timeout, count)
		}
	}
}

func TestTheMarkOfASocketIsThatOfItsDescriptor(t *testing.T) {
	c, err := NewContext(1000)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Router(RouterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	endpoint, err := r.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	for range perMilli + 2 { // so that both options matter
		d, err := c.Dealer(DealerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		d.SetDeadline(time.Now().Add(20 * time.Second))
		if err := d.Connect(endpoint); err != nil {
			t.Fatal(err)
		}
		if err := d.WaitWritable(); err != nil {
			t.Fatal(err)
		}
		if n := Arrived()[d.Mark()]; n == 0 || n > 1000 {
			t.Fatalf("%d bytes came over the connection of mark %d, want a handshake", n, d.Mark())
		}
	}
}
