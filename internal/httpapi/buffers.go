package httpapi

import "sync"

// Bodies of these sizes are read into buffers that others had before. Smaller ones
// cost the collector little, larger ones are too rare to be kept for the next.
const (
	leastKept = 4 << 10
	mostKept  = firstBuffer
)

// buffers are those that nobody uses. They are shared by all of the process, and let go
// of by the collector.
var buffers sync.Pool

// A buffer is a part of memory that is used again. Whoever has it calls free once
// nobody reads or writes its bytes any more; it may do so only once.
type buffer struct {
	bytes []byte // of length 0; its capacity is the buffer's
}

// newBuffer returns a buffer of size bytes, or of up to twice as many: a call that waits
// holds little that its budget does not count. What is in it beyond its length is
// whatever was there before.
func newBuffer(size int) *buffer {
	if size >= leastKept && size <= mostKept {
		if b, ok := buffers.Get().(*buffer); ok {
			if cap(b.bytes) >= size && cap(b.bytes) <= 2*size {
				return b
			}
			buffers.Put(b) // for a body of its size
		}
	}
	return &buffer{make([]byte, 0, size)}
}

// free gives the buffer back. A nil one is none.
func (b *buffer) free() {
	if b != nil && cap(b.bytes) >= leastKept && cap(b.bytes) <= mostKept {
		poison(b.bytes[:cap(b.bytes)])
		buffers.Put(b)
	}
}
