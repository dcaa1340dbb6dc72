package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
)

// The caller has the last word on whether a request goes out.
func TestARequestIsSentOnlyIfItsCallerStillWantsIt(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1, QueueTimeout: patience})
	asked := 0
	request := func(sending func() error) gateway.Request {
		return gateway.Request{Service: "echo", Frames: frames("hello"), Sending: func() error {
			asked++
			if busy := h.pool.Stats().Busy; busy != 1 {
				t.Errorf("%d connections are leased, want 1", busy)
			}
			return sending()
		}}
	}
	told := &gateway.Error{Kind: gateway.Forbidden}
	for _, refusal := range []error{errors.New("no"), told} {
		_, err := h.pool.Call(h.ctx, request(func() error { return refusal }))
		if e := gateway.AsError(err); e.Executed() != gateway.No || !errors.Is(err, refusal) {
			t.Errorf("got %v, executed %q, want %v and no", err, e.Executed(), refusal)
		}
	}
	if s := h.pool.Stats(); s.Idle != 1 || s.Busy != 0 || sum(s.Closed) != 0 {
		t.Errorf("after two refusals %d connections rest, %d are busy, closed are %v: want 1, 0 and none", s.Idle, s.Busy, s.Closed)
	}
	ended := inBackground(h.ctx, h.pool, request(func() error { return nil }))
	sent := await(t, h.arrived)
	h.answer(sent[0], "echo")
	if err := await(t, ended); err != nil || sent[1] != "hello" {
		t.Errorf("got %q and %v, want hello and no error", sent[1], err)
	}
	if asked != 3 || len(h.arrived) != 0 {
		t.Errorf("asked %d times, want 3; %d requests more than one were sent", asked, len(h.arrived))
	}
}

// A connection that is lost while the caller is asked is not used again.
func TestAConnectionThatIsLostWhileTheCallerIsAskedIsClosed(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1, QueueTimeout: patience})
	_, err := h.pool.Call(h.ctx, gateway.Request{Service: "echo", Sending: func() error {
		h.broker.Close()
		eventually(t, "the broker is missed", func() bool { return h.pool.Stats().Endpoints[0].State == gateway.Down })
		return errors.New("no")
	}})
	if e := gateway.AsError(err); e.Executed() != gateway.No {
		t.Errorf("got %v, want an error that says unsent", err)
	}
	if s := h.pool.Stats(); s.Idle != 0 || s.Closed["lost"] != 1 {
		t.Errorf("%d connections rest, closed are %v: want 0, and 1 lost", s.Idle, s.Closed)
	}
}

// The time of a call begins when it may be sent, however long it took until then.
func TestTheTimeWithinWhichAReplyMustComeBeginsAtTheSend(t *testing.T) {
	h := newHeld(t, client.Config{QueueTimeout: patience})
	var may time.Time
	_, err := h.pool.Call(context.Background(), gateway.Request{Service: "echo", Within: 50 * time.Millisecond, Sending: func() error {
		may = time.Now()
		return nil
	}})
	if e := gateway.AsError(err); e.Kind != gateway.Timeout || time.Since(may) < 50*time.Millisecond {
		t.Errorf("got %v after %v, want timeout after at least 50 ms", err, time.Since(may))
	}
	if len(h.arrived) != 1 {
		t.Errorf("%d requests were sent, want 1", len(h.arrived))
	}
}
