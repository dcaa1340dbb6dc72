package zsock

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Dealer has a number, by which its descriptor, which libzmq does not tell, is
// found: it is in two of the kernel's options for its connection. One is
// ZMQ_TCP_MAXRT, which the kernel calls TCP_USER_TIMEOUT: how long what was sent may
// stay unacknowledged. Where it is set, the kernel does not look at the other, the
// count of unanswered keepalives, so that may be anything. It is high enough all the
// same not to come first.
const (
	darkAfter = 4000 // milliseconds, of sockets without a mark; with one a little more
	lowCount  = 4
	highCount = 127 // the kernel's largest
	perMilli  = highCount - lowCount + 1
)

// options are what the kernel is told of a connection whose socket has that mark.
func options(mark int) (timeout time.Duration, count int) {
	if mark == 0 {
		return darkAfter * time.Millisecond, lowCount
	}
	return time.Duration(darkAfter+1+(mark-1)/perMilli) * time.Millisecond, lowCount + (mark-1)%perMilli
}

// markOf returns the mark of a file that is a connection of a Dealer.
func markOf(fd int) (mark int, ok bool) {
	timeout, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	if err != nil || timeout <= darkAfter {
		return 0, false
	}
	count, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
	return (timeout-darkAfter-1)*perMilli + count - lowCount + 1, err == nil
}

// restOfMarks is how long a mark rests before another socket has it: libzmq closes
// a descriptor a moment after its socket.
const restOfMarks = time.Second

// A numbering gives out the marks of sockets.
type numbering struct {
	resting []retired // those that rest longest first
	last    int       // the highest so far
}

type retired struct {
	mark  int
	since time.Time
}

func (n *numbering) take(now time.Time) (mark int) {
	if len(n.resting) > 0 && now.Sub(n.resting[0].since) >= restOfMarks {
		mark, n.resting = n.resting[0].mark, n.resting[1:]
		return mark
	}
	n.last++
	return n.last
}

func (n *numbering) free(mark int, now time.Time) {
	n.resting = append(n.resting, retired{mark, now})
}

// marks numbers the Dealers of the process: a descriptor does not say whose
// context it belongs to.
var marks struct {
	sync.Mutex
	numbering // guarded by the mutex
}

func takeMark() int {
	marks.Lock()
	defer marks.Unlock()
	return marks.take(time.Now())
}

func freeMark(mark int) {
	if mark == 0 {
		return
	}
	marks.Lock()
	defer marks.Unlock()
	marks.free(mark, time.Now())
}

// Mark is the number of a Dealer, 0 of other sockets. No other Dealer of the
// process has it while this one is open, and for a moment after.
func (s *Socket) Mark() int { return s.mark }
