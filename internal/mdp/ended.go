package mdp

import (
	"context"
	"errors"
)

// Ended says what the end of a call means, given the cause of its context's end:
// the cause itself if that is an *Error, a time-out if a deadline passed, else that
// the caller left. What had not been sent has not timed out and was not
// interrupted: the gateway was busy for too long, or is draining.
func Ended(cause error, sent bool) *Error {
	e := Error{Kind: Canceled, Sent: sent, Err: cause}
	var told *Error
	switch {
	case errors.As(cause, &told):
		e = *told // a copy: others may wait on the same context
	case errors.Is(cause, context.DeadlineExceeded):
		e = Error{Kind: Timeout}
	}
	if sent {
		return &e
	}
	switch e.Kind {
	case Timeout:
		return &Error{Kind: Busy, Reason: ReasonDeadline, Detail: "the call's time passed before it could be sent"}
	case Interrupted:
		return &Error{Kind: Draining, Detail: "the gateway is shutting down"}
	}
	return &e
}
