package gateway

import (
	"errors"
	"fmt"
	"time"

	"mdpgateway/internal/mdp"
)

// Kind names an error. Logs, metrics and JSON use the same word.
type Kind string

// The kinds, in the order of a call's way. Before Canceled nothing was sent; from
// BadReply on the request ran or may have run. Canceled may be either.
const (
	BadRequest        Kind = "bad_request"            // malformed JSON, name, encoding or parameter
	OriginRefused     Kind = "origin_refused"         // a browser's request from a foreign origin
	Unauthorized      Kind = "unauthorized"           // who calls was not proven
	Forbidden         Kind = "forbidden"              // a service that the caller may not use, or mmi.*
	RateLimited       Kind = "rate_limited"           // the caller's rate or share of calls in flight is used up
	NotFound          Kind = "not_found"              // no such route
	ServiceNotFound   Kind = "service_not_found"      // the broker knows no such service
	MethodNotAllowed  Kind = "method_not_allowed"     // the route is there, not for this method
	NotAcceptable     Kind = "not_acceptable"         // the reply has no form that the caller accepts
	UnsupportedMedia  Kind = "unsupported_media_type" // the body's type is not supported
	BodyTimeout       Kind = "body_timeout"           // the body did not arrive in time
	BodyTooLarge      Kind = "body_too_large"         // the body is over its limit
	HeadersTooLarge   Kind = "headers_too_large"      // the headers are over their limit
	InvalidVars       Kind = "invalid_vars"           // flowgraph vars that cannot be sent
	Busy              Kind = "busy"                   // a limit was reached; Reason says which
	BrokerUnavailable Kind = "broker_unavailable"     // no connection to a broker
	NoWorkers         Kind = "no_workers"             // a known service without a worker
	Draining          Kind = "draining"               // the gateway is shutting down
	Canceled          Kind = "canceled"               // the caller left
	BadReply          Kind = "bad_reply"              // a reply that is not one to this request
	ReplyTooLarge     Kind = "reply_too_large"        // the reply is over its limit
	WorkerError       Kind = "worker_error"           // the worker says that it failed
	BrokerLost        Kind = "broker_lost"            // the connection broke during the call
	Interrupted       Kind = "interrupted"            // the drain ended during the call
	Timeout           Kind = "timeout"                // sent, and no reply in time
	Internal          Kind = "internal"               // a bug

	// Of asynchronous calls. But for JobUnconfirmed nothing was sent.
	JobNotFound         Kind = "job_not_found"        // none such, forgotten, or not this caller's
	JobNotDone          Kind = "job_not_done"         // its reply is asked for while it is queued or runs
	JobOver             Kind = "job_over"             // it is to be canceled, and is over
	IdempotencyMismatch Kind = "idempotency_mismatch" // the key was used for another request
	StoreUnavailable    Kind = "store_unavailable"    // the store of jobs is away
	JobUnconfirmed      Kind = "job_unconfirmed"      // it is unknown whether the store took the job
	Expired             Kind = "expired"              // a job's time in the queue passed
)

// Kinds returns every kind, in the order above.
func Kinds() []Kind {
	return []Kind{
		BadRequest, OriginRefused, Unauthorized, Forbidden, RateLimited, NotFound, ServiceNotFound,
		MethodNotAllowed, NotAcceptable, UnsupportedMedia, BodyTimeout, BodyTooLarge, HeadersTooLarge,
		InvalidVars, Busy, BrokerUnavailable, NoWorkers, Draining, Canceled, BadReply, ReplyTooLarge,
		WorkerError, BrokerLost, Interrupted, Timeout, Internal,
		JobNotFound, JobNotDone, JobOver, IdempotencyMismatch, StoreUnavailable, JobUnconfirmed, Expired,
	}
}

// Reasons of Busy: the limit that was reached.
const (
	ReasonPool        = "pool"        // no connection was free within --queue-timeout
	ReasonQueue       = "queue"       // too many calls wait for a connection
	ReasonService     = "service"     // the service has its maximum of calls in flight
	ReasonMemory      = "memory"      // too many bytes of bodies and replies are held
	ReasonDescriptors = "descriptors" // the process cannot open more files
	ReasonDeadline    = "deadline"    // the call's deadline passed before it was sent
	ReasonLookup      = "lookup"      // too many unknown names are asked for
	ReasonAudit       = "audit"       // the audit log can't be written
	ReasonConnections = "connections" // there are too many connections of callers
	ReasonRequests    = "requests"    // too many requests are in flight, over all routes
	ReasonJobs        = "jobs"        // too many jobs are queued; of RateLimited: those of one caller
	ReasonJobsBytes   = "jobs_bytes"  // the store of jobs has no room
)

// NoMemory is the detail where --max-buffered has no room for a request or for a reply
// that came.
const NoMemory = "the gateway holds as many bytes of requests and replies as it may"

// NoBroker is the detail of BrokerUnavailable unless more is known.
const NoBroker = "no broker can be reached"

// Unspoken is what is wrong with a broker that is configured to speak MDPX/1, takes connections
// and says nothing.
const Unspoken = "this broker does not speak mdpx/1"

// SilentHint says what is probably wrong with a broker that answers nothing, look-ups included, and what to do.
const SilentHint = "wrong dialect, or a broker without MMI: set --dialect, or list the services in the file"

// UnansweredHint says what is probably wrong with a service that has answered no call, although its broker says that it
// is there.
const UnansweredHint = "its workers take no requests of this name, speak another dialect than their broker, or need more time"

// ReasonReader is a reason of ReplyTooLarge: the caller reads a stream so slowly that
// too much of it waits.
const ReasonReader = "slow_reader"

// ReasonWorkerLost is the reason of BrokerLost if the broker is there, and says that it lost the
// worker that had the request.
const ReasonWorkerLost = "worker_lost"

// ReasonRate is the reason of RateLimited, beside those of Busy wherever what was
// refused is counted.
const ReasonRate = "rate"

// RejectReasons returns every reason for which a call is refused at a bound: those of
// Busy but ReasonConnections, which the listener counts, and ReasonRate.
func RejectReasons() []string {
	return []string{
		ReasonPool, ReasonQueue, ReasonService, ReasonMemory, ReasonDescriptors, ReasonDeadline, ReasonLookup, ReasonAudit,
		ReasonRequests, ReasonRate, ReasonJobs, ReasonJobsBytes,
	}
}

// Stages of a timeout: where the time passed.
const (
	StageBroker = "broker" // waiting for the reply
	StageStream = "stream" // between two parts of it
)

// TimeoutStages returns every stage of a timeout.
func TimeoutStages() []string { return []string{StageBroker, StageStream} }

// LookupRefused is what came of a question about a service that was not put to a broker:
// too many names that nobody knows were asked for.
const LookupRefused = "refused"

// LookupResults returns all that may come of such a question: a status of MMI, the kind of
// an error, or LookupRefused.
func LookupResults() []string {
	return []string{
		mdp.StatusFound, mdp.StatusNotFound, mdp.StatusNotImplemented, LookupRefused,
		string(Busy), string(BrokerUnavailable), string(Draining), string(BadReply), string(Timeout),
	}
}

// Executed says whether a request ran.
type Executed string

// No: it was not sent. Maybe: it was sent, and may have run. Yes: a worker answered.
const (
	No    Executed = "no"
	Maybe Executed = "maybe"
	Yes   Executed = "yes"
)

// An Error is a failed call.
type Error struct {
	Kind    Kind
	Reason  string         // of Busy, RateLimited, BadReply, BrokerLost and WorkerError: a constant, fit for a label
	Service string         // empty if the call never reached a service
	Detail  string         // for the caller; never a cause's text or an address
	Faults  []Fault        // where a request is wrong
	Timeout *TimeoutDetail // of Timeout
	Status  int            // of WorkerError: the HTTP status that the service's rule sets, or 0
	Sent    bool           // of Canceled and Internal: the request was sent
	Was     Was            // what a broker that can cancel requests says of one that was given up
	Frames  [][]byte       // a reply that cannot be given in the form that was asked for
	Worker  string         // of WorkerError: why, as the worker says; empty if it does not
	Err     error          // the cause; for the operator, not for the caller
}

// A Fault is one place where a request is wrong.
type Fault struct {
	Pointer string `json:"pointer,omitempty"` // JSON pointer as a fragment (RFC 6901 §6), such as #/vars/sf
	Detail  string `json:"detail"`
}

// A TimeoutDetail says which limit a call that timed out had met.
type TimeoutDetail struct {
	Stage   string        // StageBroker or StageStream
	Limit   time.Duration // the timeout that passed
	Most    time.Duration // the largest that the caller could have asked for; 0 if that would not have helped
	LimitBy string        // the flag, key or header that set it
	Elapsed time.Duration // since the clock started
	LastOK  time.Duration // since the service last replied; negative if it never did
	MMI     string        // the broker's last word about the service: 200, 404 or unknown
}

// Error returns the kind and what is known of it, for logs.
func (e *Error) Error() string {
	s := string(e.Kind)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	if e.Service != "" {
		s += fmt.Sprintf(" service %q", e.Service)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Was says where a request was when its call was given up.
type Was string

// The places. Empty means that nobody knows.
const (
	WasQueued     Was = "queued"     // no worker had it, and none will
	WasDispatched Was = "dispatched" // a worker had it
)

// Executed says whether the request ran.
func (e *Error) Executed() Executed {
	if e.Was == WasQueued {
		return No
	}
	switch e.Kind {
	case BadReply, ReplyTooLarge, BrokerLost, Interrupted, Timeout, JobUnconfirmed:
		return Maybe
	case WorkerError:
		return Yes
	case NotAcceptable:
		if e.Frames != nil {
			return Yes
		}
	case Canceled, Internal:
		if e.Sent {
			return Maybe
		}
	}
	return No
}

// AsError returns err as an *Error: the one that it is or wraps, or else Internal.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Sent: true, Err: err}
}
