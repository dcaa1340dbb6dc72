package gateway

import "time"

// A Trace is the place of a request in a trace that spans several systems (W3C
// Trace Context). The zero Trace is none.
type Trace struct {
	ID      string // of the whole, 32 hexadecimal digits in lower case
	Parent  string // the caller's span, 16 of them; empty if the trace begins here
	Sampled bool   // the caller records its part
}

// An Answered is one request of a caller after its answer, as traces tell of it.
type Answered struct {
	Trace     Trace
	RequestID string
	Route     string // a pattern, or "unmatched"
	Method    string // a standard one, or "other"
	Path      string // percent-encoded
	Peer      string // the address of the caller, or of its proxy
	Principal string // empty where anyone may call
	Start     time.Time
	End       time.Time
	Status    int
	Kind      Kind  // empty if all went well
	In, Out   int64 // bytes of the body, and of the answer's

	Service  string    // empty if it named none
	Timing   Timing    // of its call
	Returned time.Time // when the call had its reply or failed; zero if there was none
	CallKind Kind      // of the call; Kind may be of what came after it
}

// A Ran is one job that is over, as traces tell of it.
type Ran struct {
	Trace     Trace // of the request that submitted it
	Job       string
	RequestID string
	Service   string
	Principal string    // empty where anyone may call
	Created   time.Time // when it was submitted
	Started   time.Time // when it was sent; zero if it was not
	Ended     time.Time
	Kind      Kind // of its problem; empty if it has a reply
}
