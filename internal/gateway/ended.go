package gateway

import (
	"context"
	"errors"
)

// Refused is the error of a call that met a limit; reason says which.
func Refused(reason, detail string) *Error {
	return &Error{Kind: Busy, Reason: reason, Detail: detail}
}

// Ended returns the error that the end of a call's context means: its cause if that is
// an *Error, Overdue if a deadline passed, and otherwise Canceled: the caller left. A
// call that had not been sent is never Interrupted but refused as Draining.
func Ended(ctx context.Context, sent bool) *Error {
	cause := context.Cause(ctx)
	var told *Error
	switch {
	case errors.As(cause, &told) && told.Kind == Timeout, errors.Is(cause, context.DeadlineExceeded):
		return Overdue(sent)
	case told == nil:
		return &Error{Kind: Canceled, Sent: sent, Err: cause}
	case told.Kind == Interrupted && !sent:
		return ShuttingDown()
	}
	e := *told // a copy: others may wait on the same context
	return &e
}

// ShuttingDown is the error of a call that came, or was still waiting, when the gateway
// was shutting down.
func ShuttingDown() *Error {
	return &Error{Kind: Draining, Detail: "the gateway is shutting down"}
}

// Overdue is the error of a call whose time has passed. A call that had not been sent
// did not time out: the gateway was busy for too long.
func Overdue(sent bool) *Error {
	if sent {
		return &Error{Kind: Timeout}
	}
	return Refused(ReasonDeadline, "the call's time passed before it could be sent")
}

// ReservedName is the error of a call to a service whose name is the broker's own.
func ReservedName(service string) *Error {
	return &Error{Kind: Forbidden, Service: service, Detail: "names that begin with mmi. belong to the broker"}
}

// FlowgraphFailed is the error of a call whose reply says, in loudify's dialect, that
// the worker failed.
func FlowgraphFailed(frames [][]byte) *Error {
	return &Error{Kind: WorkerError, Reason: "flowgraph_failed", Frames: frames, Worker: WorkerDetail(frames), Detail: "the flowgraph failed or timed out"}
}
