package httpapi

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// Over HTTP/2 a connection has up to maxStreams requests at once, and its caller can take nothing of their answers.
// Callers who have shown no right to be here hold so many answers at once, and probes so many more. Others are broken
// off.
const (
	maxStrangers = 512
	maxProbing   = 128
)

// places are those of answers.
type places struct{ taken atomic.Int64 }

// take takes one of max places, and reports whether there was one.
func (p *places) take(max int64) bool {
	if p.taken.Add(1) <= max {
		return true
	}
	p.taken.Add(-1)
	return false
}

// errCrowd is the error of writing an answer that is broken off.
var errCrowd = errors.New("there are too many answers that strangers do not take")

// A seat is what the answer to a stranger needs to begin. The zero seat needs nothing.
type seat struct {
	of    *places // nil if it needs none
	max   int64
	taken bool
	none  bool // there was none: the answer is broken off
}

// seatFor returns what the answer to a request needs until it was let in.
func (a *API) seatFor(r *http.Request) seat {
	switch {
	case r.ProtoMajor < 2: // it has a connection of its own
		return seat{}
	case isProbe(r):
		return seat{of: &a.probing, max: maxProbing}
	}
	return seat{of: &a.strangers, max: maxStrangers}
}

// take takes the seat when the answer begins, and reports whether it may.
func (s *seat) take() bool {
	if s.of != nil && !s.taken {
		s.taken = s.of.take(s.max)
		s.none = !s.taken
	}
	return !s.none
}

// leave gives the seat back.
func (s *seat) leave() {
	if s.taken {
		s.of.taken.Add(-1)
	}
	*s = seat{none: s.none}
}
