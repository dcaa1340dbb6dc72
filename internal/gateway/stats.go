package gateway

import (
	"time"

	"mdpgateway/internal/mdp"
)

// An Outcome is how one call ended, for metrics.
type Outcome struct {
	Service      string // as asked for
	Known        bool   // catalogued, or it has answered: the name may become a label
	KnownBefore  bool   // Known when the call began
	Kind         Kind   // empty if a reply came and is no failure
	Reason       string // of Kind
	Was          Was    // where the request was when the call was given up, if the broker said it
	Stage        string // of a timeout
	Sent         bool   // false: it was refused before it reached the broker
	Timing       Timing
	RequestBytes int64 // of all frames sent
	ReplyBytes   int64 // of all frames received

	RequestID, TraceID string // of the call: printable ASCII, and 32 hexadecimal digits; empty if unknown
}

// PoolStats is a snapshot of a pool of connections. Counts since the start are
// monotonic.
type PoolStats struct {
	Idle, Busy, Connecting, Max int               // connections now, and at most
	Waiting, QueueMax           int               // calls waiting for a connection now, and at most
	Closed                      map[string]uint64 // connections closed, by reason
	Stray                       map[string]uint64 // messages that were no reply to anything, by reason
	Repeating                   int               // services that were seen to repeat replies lately
	Endpoints                   []EndpointStats
}

// EndpointStats is the state of one broker.
type EndpointStats struct {
	Name       string // as configured
	Endpoint   string // as configured: tcp://host:5555
	Dialect    *mdp.Dialect
	State      EndpointState
	Since      time.Time // it last came up; zero if it never did
	Reconnects uint64
	Silent     bool      // it is connected, was asked, if only by a look-up, and has never answered
	LastReply  time.Time // zero if it never replied
	InFlight   int
	Refusal    string            // why the last handshake came to nothing, if because of CURVE's keys
	Refusals   map[string]uint64 // handshakes that did, by reason; all possible ones are there
}

// Why a handshake with a broker came to nothing because of CURVE's keys.
const (
	KeyRefused = "key_refused" // the broker does not let our key in
	OtherKey   = "other_key"   // the broker's key is another than we were given
	WantsCurve = "wants_curve" // the broker seems to want a key, and we have none for it
	NoCurve    = "no_curve"    // the broker does not speak CURVE
)

// EndpointState says whether a broker can be reached.
type EndpointState int

// The states. Pending lasts until the first connection attempt has ended.
const (
	Pending EndpointState = iota
	Up
	Down
)

// ConnectionStats is a snapshot of the connections of callers at one listener.
type ConnectionStats struct {
	Open, Max int
	Refused   map[string]uint64 // refused or closed early, by reason; all reasons are there

	Handshakes map[string]uint64 // of TLS that failed, by reason; all reasons are there, nil without TLS
}

// JobStats is a snapshot of asynchronous calls.
type JobStats struct {
	Services             map[string]JobServiceStats // that have some
	Expires              time.Duration              // in the queue, of a job that asks for nothing else
	Waiters              int                        // requests that wait for a job to change
	StoreUp              bool                       // it can be written, as its last operations tell
	StoreBytes, StoreMax int64                      // in use, and at most
	StoreErrors          map[string]int64           // by operation, since the start
	Redelivered          map[string]int64           // looks at jobs that run at other gateways, by verdict; all are there
	Damaged              int64                      // records that could not be read, since the start
}

// JobServiceStats is the jobs of one service.
type JobServiceStats struct {
	Queued, Running int
	Oldest          time.Duration // since the submission of its oldest queued job; 0 if there is none
	Interrupted     int           // that are kept
	LastInterrupted time.Time     // when the newest of them ended
}
