package httpapi

import (
	"math/bits"
	"sync"
)

// Bodies of these sizes are read into buffers that others had before. Smaller ones
// cost the collector little, larger ones are too rare to be kept for the next.
const (
	leastKept = 4 << 10
	mostKept  = firstBuffer
)

// steps is how many sizes of buffers there are from one power of two to the next, so
// that at most a fourth of a buffer is beyond what was asked for.
const steps = 4

// buffers are those that nobody uses, by size. They are shared by all of the
// process, and let go of by the collector.
var buffers [steps*(bits.UintSize-1) + 1]sync.Pool

// A buffer is a part of memory that is used again. Whoever has it calls free once
// nobody reads or writes its bytes any more; it may do so only once.
type buffer struct {
	bytes []byte // of length 0; its capacity is the buffer's
	class int    // of buffers; -1 if it is not kept
}

// newBuffer returns a buffer of size bytes or a little more. What is in it beyond
// its length is whatever was there before.
func newBuffer(size int) *buffer {
	if size < leastKept || size > mostKept {
		return &buffer{make([]byte, 0, size), -1}
	}
	class, rounded := classOf(size)
	if b, ok := buffers[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, 0, rounded), class}
}

// free gives the buffer back. A nil one is none.
func (b *buffer) free() {
	if b != nil && b.class >= 0 {
		buffers[b.class].Put(b)
	}
}

// classOf rounds a size of at least leastKept up to the next of buffers.
func classOf(size int) (class, rounded int) {
	power := bits.Len(uint(size - 1)) // size is above half of 1<<power
	step := 1 << (power - 1) / steps
	n := (size + step - 1) / step // steps+1 to 2*steps
	return steps*(power-1) + n - steps, n * step
}
