package gateway

import (
	"context"
	"encoding/json"
	"time"

	"mdpgateway/internal/mdp"
)

// A Service is one service for the length of one request. All its answers are of the
// configuration that was in force when it was looked up, also after a reload. It is used
// by one goroutine at a time.
type Service interface {
	// Info returns what is known about the service. It returns false if nothing is
	// known, or if the service may not be called.
	Info() (info ServiceInfo, ok bool)

	// Form returns the Content-Type of raw replies and the encoding of their frames
	// within JSON; both are empty if nothing is configured.
	Form() (contentType string, reply Encoding)

	// Limit returns how long the call may take: its Timeout, or the default, cut to the
	// maxima that hold for the service.
	Limit(call Call) time.Duration

	// Plan checks a call and returns what would be sent, without asking a broker.
	// Errors are *Error.
	Plan(call Call) (Plan, error)

	// Admit returns the error that every call has now, whatever its body: there is no such
	// service, no broker can be reached, or the service has its maximum of calls in flight.
	// nil means that a call may succeed. It asks no broker and takes no place. Errors are
	// *Error.
	Admit() error

	// Call sends a request and waits for its reply, at most for the time of Limit and
	// until ctx ends. Errors are *Error. The reply's Timing is also set with an error.
	// After Call has returned, it does not use the call's frames and vars, and the reply
	// does not share memory with them.
	Call(ctx context.Context, call Call) (Reply, error)

	// Refused counts a call that was refused before its body was complete, so that Call
	// was never called.
	Refused(e *Error)
}

// A Plan is what would be sent for a call.
type Plan struct {
	Dialect *mdp.Dialect
	Timeout time.Duration
	Frames  [][]byte // the whole message, header included
}

// Availability says whether a service can be called now, as far as is known.
type Availability string

// Up: a broker confirmed it a moment ago, or the embedded broker has workers. Down: no
// broker can be reached, or all of them last said that it has no workers. Unknown:
// everything else.
const (
	ServiceUp      Availability = "up"
	ServiceDown    Availability = "down"
	ServiceUnknown Availability = "unknown"
)

// A ServiceInfo is what is known about a service: what the catalogue says, and how its
// calls ended. Durations are in milliseconds.
type ServiceInfo struct {
	Name         string          `json:"name"`
	Description  string          `json:"description,omitempty"`
	Catalogued   bool            `json:"catalogued"`
	Availability Availability    `json:"availability"`
	InFlight     int64           `json:"in_flight"`
	Calls        uint64          `json:"calls"`                // that have ended
	Failed       uint64          `json:"failed"`               // of those
	LastOK       *int64          `json:"last_ok_ms,omitempty"` // since its last reply
	Silent       bool            `json:"silent,omitempty"`     // calls were sent to it, and none was ever answered: UnansweredHint
	Brokers      []string        `json:"brokers,omitempty"`    // that it may be asked at; none means all
	Timeout      int64           `json:"timeout_ms"`
	MaxTimeout   int64           `json:"max_timeout_ms"`
	Vars         string          `json:"vars"` // python, json or none
	VarsSchema   json.RawMessage `json:"vars_schema,omitempty"`
	Example      json.RawMessage `json:"example,omitempty"` // a request's body
	MaxFrames    int             `json:"max_frames"`
	MaxInFlight  int             `json:"max_in_flight,omitempty"`
	Reply        Encoding        `json:"reply"`
	ContentType  string          `json:"content_type,omitempty"`
	Repeats      bool            `json:"repeats,omitempty"` // it was seen to repeat replies lately
	Live         *LiveService    `json:"live,omitempty"`    // at the embedded broker
}

// A LiveService is a service that has workers, or requests that wait for one, at
// a broker now.
type LiveService struct {
	Name    string `json:"-"`
	Workers int    `json:"workers"` // registered
	Busy    int    `json:"busy"`    // of them with a request
	Queued  int    `json:"queued"`  // requests that wait for a worker
	Saved   uint64 `json:"saved"`   // requests that no worker ran, since their callers had gone
}
