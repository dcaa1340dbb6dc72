// Package budget bounds the bytes that a process holds at once for its callers: the
// bodies of requests, the room for replies that are awaited, and the replies that wait to
// be written.
//
// It counts and refuses; it allocates nothing and does not block. Whoever holds bytes
// takes them before they are allocated, and gives them back with whatever ends the work
// that they were for.
package budget

import "sync/atomic"

// A Budget is a number of bytes that many goroutines share.
type Budget struct {
	max  int64
	held atomic.Int64
}

// New returns a budget of max bytes. With max <= 0 every Take of more than 0 bytes fails.
func New(max int64) *Budget { return &Budget{max: max} }

// Max returns how many bytes may be held at once.
func (b *Budget) Max() int64 { return b.max }

// Bytes returns how many bytes are held now.
func (b *Budget) Bytes() int64 { return b.held.Load() }

// Take takes n bytes and reports whether they were to be had; if not, none are taken. It
// does not wait: a caller that waits would keep what it already holds from the others.
func (b *Budget) Take(n int64) bool {
	for {
		held := b.held.Load()
		if n > b.max-held {
			return false
		}
		if b.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

// Release gives back n bytes that were taken.
func (b *Budget) Release(n int64) { b.held.Add(-n) }

// Lease returns a lease of no bytes.
func (b *Budget) Lease() Lease { return Lease{budget: b} }

// A Lease is what one piece of work holds of a budget. It belongs to one
// goroutine at a time and must not be copied once it holds bytes.
type Lease struct {
	budget *Budget
	held   int64
}

// Resize makes n the number of bytes held and reports whether they were to be
// had; if not, the lease stays as it was. To hold less, or nothing, always
// succeeds.
func (l *Lease) Resize(n int64) bool {
	switch more := n - l.held; {
	case more <= 0:
		l.budget.Release(-more)
	case !l.budget.Take(more):
		return false
	}
	l.held = n
	return true
}

// Bytes returns how many bytes the lease holds.
func (l *Lease) Bytes() int64 { return l.held }

// Release gives everything back. The lease may be used again.
func (l *Lease) Release() { l.Resize(0) }
