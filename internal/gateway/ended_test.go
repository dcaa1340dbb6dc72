package gateway

import (
	"context"
	"fmt"
	"testing"
)

// endedBy returns a context that has ended for that cause.
func endedBy(cause error) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	return ctx
}

func TestTheEndOfACallMeansWhatCausedItAndWhetherItWasSent(t *testing.T) {
	interrupted := &Error{Kind: Interrupted}
	for _, c := range []struct {
		cause        error
		sent, unsent string
	}{
		{context.Canceled, "canceled", "canceled"},
		{context.DeadlineExceeded, "timeout", "busy deadline"},
		{fmt.Errorf("later: %w", context.DeadlineExceeded), "timeout", "busy deadline"},
		{&Error{Kind: Timeout}, "timeout", "busy deadline"},
		{interrupted, "interrupted", "draining"},
		{&Error{Kind: ReplyTooLarge, Reason: ReasonReader}, "reply_too_large slow_reader", "reply_too_large slow_reader"},
	} {
		for sent, want := range map[bool]string{true: c.sent, false: c.unsent} {
			e := Ended(endedBy(c.cause), sent)
			got := string(e.Kind)
			if e.Reason != "" {
				got += " " + e.Reason
			}
			if got != want || e.Kind == Canceled && e.Sent != sent {
				t.Errorf("%v, sent %v: got %s (%v), want %s", c.cause, sent, got, e, want)
			}
			if !sent && e.Executed() != No && c.cause == error(interrupted) {
				t.Errorf("%v: executed is %s, want no", c.cause, e.Executed())
			}
		}
	}
	if Ended(endedBy(interrupted), true) == interrupted {
		t.Error("the cause itself is returned, which others share")
	}
}
