package gateway

import (
	"context"
	"errors"
)

// Refused is the error of a call for which a bound was reached: reason says which.
func Refused(reason, detail string) *Error {
	return &Error{Kind: Busy, Reason: reason, Detail: detail}
}

// Ended says what the end of a call's context means: its cause if that is an
// *Error, that the call is Overdue if a deadline passed, else that the caller left.
// What had not been sent was not interrupted: the gateway is draining.
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

// Overdue is the error of a call whose time has passed. What had not been sent has
// not timed out: the gateway was busy for too long.
func Overdue(sent bool) *Error {
	if sent {
		return &Error{Kind: Timeout}
	}
	return Refused(ReasonDeadline, "the call's time passed before it could be sent")
}

// FlowgraphFailed is the error of a call whose reply says, in loudify's dialect, that
// the worker failed.
func FlowgraphFailed(frames [][]byte) *Error {
	return &Error{Kind: WorkerError, Reason: "flowgraph_failed", Frames: frames, Detail: "the flowgraph failed or timed out"}
}
