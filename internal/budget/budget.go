// Package budget bounds the bytes that a process holds at once for its callers:
// the bodies of requests, the replies that wait to be written, and what libzmq
// holds of both.
//
// It counts and refuses; it allocates nothing and makes nobody wait. Who holds
// bytes takes them before they are allocated, and gives them back with whatever
// ends the work that they were for. What libzmq holds can't be taken and given
// back, since nobody is told when it comes and goes: it is measured.
package budget

import "sync/atomic"

// A Budget is a number of bytes that many goroutines share.
type Budget struct {
	max       int64
	held      atomic.Int64 // taken and measured
	elsewhere atomic.Int64 // of held, what was measured or handed over
}

// New returns a budget of max bytes. Zero or less is a budget that nothing but
// nothing fits in.
func New(max int64) *Budget { return &Budget{max: max} }

// Max returns how many bytes may be held at once.
func (b *Budget) Max() int64 { return b.max }

// Bytes returns how many bytes are held now.
func (b *Budget) Bytes() int64 { return b.held.Load() }

// Take takes n bytes and reports whether they were to be had; if not, none are
// taken. It never waits: a caller who could be told at once to come back later
// would otherwise wait with all that it already holds.
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

// HandOver says that n bytes that were taken are now where measurements find them.
// The next one counts in their place: they must not be given back.
func (b *Budget) HandOver(n int64) { b.elsewhere.Add(n) }

// Measure puts what measure finds, which nobody took, in place of what it found
// the last time, and returns that and how many bytes are left; they are fewer than
// none if too many are held. What is handed over meanwhile still counts until
// the next measurement. Only one goroutine may measure.
func (b *Budget) Measure(measure func() int64) (found, left int64) {
	before := b.elsewhere.Load()
	found = measure()
	b.elsewhere.Add(found - before)
	return found, b.max - b.held.Add(found-before)
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
