package client_test

import (
	"context"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
)

func within(d time.Duration, req gateway.Request) gateway.Request {
	req.Deadline = time.Now().Add(d)
	return req
}

func TestARequestsDeadlineEndsItsCall(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1})
	id, ended := h.sent("echo", "opens the connection")
	h.answer(id, "echo")
	if err := await(t, ended); err != nil {
		t.Fatal(err)
	}
	_, err := h.pool.Call(context.Background(), within(500*time.Millisecond, echo("first")))
	failure(t, err, gateway.Timeout, "")
	if e := gateway.AsError(err); e.Executed() != gateway.Maybe {
		t.Errorf("executed is %s, want maybe", e.Executed())
	}
	first := await(t, h.arrived)[0]

	second, ended := h.sent("echo", "second")
	h.answer(first, "echo") // late
	h.answer(second, "echo")
	if err := await(t, ended); err != nil || first != id || first == second {
		t.Errorf("the next call: %v, on the same connection: %v, want a reply on one of its own", err, first == second)
	}
	if got := h.pool.Stats().Closed; got["timeout"] != 1 {
		t.Errorf("connections closed: %v, want that of the timeout", got)
	}
}

func TestARequestsDeadlineEndsItsWaitForAConnection(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1, QueueTimeout: patience})
	id, first := h.sent("echo", "first")
	_, err := h.pool.Call(context.Background(), within(50*time.Millisecond, echo("second")))
	failure(t, err, gateway.Busy, gateway.ReasonDeadline)
	h.answer(id, "echo")
	if err := await(t, first); err != nil {
		t.Errorf("the first call: %v", err)
	}
	_, err = h.pool.Call(context.Background(), within(-time.Second, echo("late")))
	failure(t, err, gateway.Busy, gateway.ReasonDeadline)
	if n := len(h.arrived); n != 0 {
		t.Errorf("%d requests were sent after their deadline", n)
	}
}

// The deadline of a call that was answered passes while its connection is idle or
// carries another call.
func TestADeadlineEndsNoCallButItsOwn(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1})
	call := func(req gateway.Request) (id string, ended <-chan error) {
		ended = inBackground(context.Background(), h.pool, req)
		return await(t, h.arrived)[0], ended
	}
	opens, ended := call(echo("opens the connection"))
	h.answer(opens, "echo")
	if err := await(t, ended); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Second)
	req := echo("first")
	req.Deadline = deadline
	first, ended := call(req)
	h.answer(first, "echo")
	if err := await(t, ended); err != nil {
		t.Fatal(err)
	}
	second, ended := call(echo("second"))
	<-time.After(time.Until(deadline.Add(50 * time.Millisecond)))
	h.answer(second, "echo")
	if err := await(t, ended); err != nil {
		t.Errorf("the call that outlived the deadline of the one before: %v", err)
	}
	third, ended := call(within(patience, echo("third")))
	h.answer(third, "echo")
	if err := await(t, ended); err != nil || opens != first || first != second || second != third {
		t.Errorf("the call after it: %v, want a reply, all on one connection", err)
	}
}
