package gateway

import (
	"context"
	"time"

	"mdpgateway/internal/ijson"
)

// BalanceWait is how long a call that one broker could take waits so that it may go to a
// less busy one: for the word of others on its service, and again for a connection. It is
// far longer than either takes.
const BalanceWait = 50 * time.Millisecond

// A Request is one request to a service, ready for the wire.
type Request struct {
	Service string
	Frames  [][]byte // the body; none is sent as one empty frame. Those of over 1 MiB must never be changed

	// Partial, if set, is given each PARTIAL of the reply as it comes, on the
	// goroutine of the call; its error ends the call. Unset, they are collected
	// in Reply.Partials. It may keep the frames.
	Partial func(frames [][]byte) error

	// Deadline is when the call ends with Timeout; zero means that its context
	// alone ends it. It costs less than the deadline of a context.
	Deadline time.Time

	// Sending, if set, is called once: when a connection is leased, the brokers have been asked, and nothing has
	// been sent. Its error ends the call unsent and leaves the connection good. After nil the request is sent, or
	// the call's error says that it was not.
	Sending func() error

	// Within, if set, is the time from Sending to the whole reply, in place of Deadline.
	Within time.Duration

	// Route, if set, is told before Sending over which connection the request will go, if that carries nothing else
	// until it is closed: whoever comes after may then wait there for the reply.
	Route *Route

	// Room, if set, holds the bytes that the reply will need from before the request is
	// sent. When the call has ended it holds those of the reply, or none with an error. Until
	// then other goroutines resize it, one at a time.
	Room Room

	// Late, if set, is asked, on the goroutine of the call, when the time of a request that was sent has passed:
	// whether someone waits on for the reply. Room is how many bytes that takes first. The call ends with Timeout
	// all the same.
	Late func(room int64) (LateWait, bool)

	Expect   int64 // bytes that the reply is likely to have
	MaxReply int64 // bytes that it may have; 0 means as many as the pool allows

	Brokers []int // which of the pool's endpoints may be asked, by index; nil means any
	Reuse   Reuse // whether it may use a connection that calls had before, and leave it to others
}

// A Route is a connection to a broker that carries one request alone, whose reply is one message: the broker answers to
// its routing id, whoever connects with that. The zero Route is none.
type Route struct {
	Broker string `json:"broker,omitzero"` // its address, as it is configured
	ID     string `json:"id,omitzero"`     // the routing id, printable ASCII
}

// A LateWait is someone who waits for a reply after its caller.
type LateWait struct {
	Ctx       context.Context    // ends the wait
	Deadline  time.Time          // when it ends with Timeout
	Timeout   time.Duration      // as which it was asked for
	TimeoutBy string             // what set Timeout
	Room      Room               // holds the bytes that Late was asked for
	Done      func(Reply, error) // is called once, with what Pool.Call would have returned
}

// A Room is a part of the memory for callers. A *budget.Lease is one.
type Room interface {
	// Resize makes n the number of bytes held and reports whether they were to be had.
	// To hold less always succeeds.
	Resize(n int64) bool
}

// A Call is what a caller asks for: a request to be checked, completed by a
// vars frame and sent within a time.
type Call struct {
	Request
	Vars      ijson.Object  // the zero Object if the caller gave none
	Timeout   time.Duration // how long to wait for the reply; 0 means the default
	TimeoutBy string        // what set Timeout, such as "?timeout"

	// Leave, if set, gives back the places that the call holds at its caller. Service.Call
	// calls it once: when it returns, or, of a call that was given up after it was sent, when
	// its reply would no longer matter.
	Leave func()

	Caller string // who calls, a key or an address: places and look-ups are shared among callers

	RequestID, TraceID string // of the caller's request, for logs and metrics; empty if it has none
}

// A Reply is the answer to a Request.
type Reply struct {
	Frames   [][]byte   // of the FINAL, or only, reply
	Partials [][][]byte // frames of each PARTIAL, if Request.Partial was unset
	Broker   int        // which of the pool's endpoints it was sent to, by index; -1 if none
	Bytes    int64      // of the parts that are here and, with an error, of what was received
	Timing   Timing
}

// Timing says where the time of a call went.
type Timing struct {
	Queue  time.Duration // waiting for a socket
	Broker time.Duration // from send to the last frame
}

// TimingOf returns the timing of a call that ends now. The zero sent means that it was never sent.
func TimingOf(start, sent time.Time) Timing {
	if sent.IsZero() {
		return Timing{Queue: time.Since(start)}
	}
	return Timing{Queue: sent.Sub(start), Broker: time.Since(sent)}
}

// JobRules are what the catalogue says of a service's asynchronous calls.
type JobRules struct {
	None     bool          // it takes none
	Only     bool          // it takes no others
	InFlight int           // at once; 0: as many as places allow
	Timeout  time.Duration // from send to reply; 0: the gateway's
}
