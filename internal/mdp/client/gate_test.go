package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// held is a pool whose broker answers nothing of its own accord.
type held struct {
	t       *testing.T
	pool    *client.Pool
	broker  *mdptest.Router
	arrived <-chan [2]string // routing id and body
	ctx     context.Context
}

func newHeld(t *testing.T, cfg client.Config) *held {
	arrived := make(chan [2]string, 1000)
	broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		arrived <- [2]string{string(id), string(m[3])}
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	h := &held{t: t, pool: newPool(t, cfg, at(broker.Endpoint())), broker: broker, arrived: arrived, ctx: ctx}
	t.Cleanup(cancel)
	return h
}

// call starts a call and returns where it ends.
func (h *held) call(service, body string) <-chan error {
	return inBackground(h.ctx, h.pool, gateway.Request{Service: service, Frames: frames(body)})
}

// sent starts a call and waits until the broker has it.
func (h *held) sent(service, body string) (id string, ended <-chan error) {
	h.t.Helper()
	ended = h.call(service, body)
	return await(h.t, h.arrived)[0], ended
}

func (h *held) waiting(n int) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("%d calls wait", n), func() bool { return h.pool.Stats().Waiting == n })
}

func (h *held) answer(id, service string) {
	h.broker.Send([]byte(id), frames("", "MDPC01", service, "done"))
}

func TestCallsWaitInTheOrderTheyCame(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1, QueueTimeout: patience})
	id, _ := h.sent("echo", "first")
	var ended []<-chan error
	for i := range 5 {
		ended = append(ended, h.call("echo", fmt.Sprint(i)))
		h.waiting(i + 1)
	}
	for i := range 5 {
		h.answer(id, "echo")
		next := await(h.t, h.arrived)
		if next[1] != fmt.Sprint(i) {
			t.Errorf("call %s was next, want %d", next[1], i)
		}
		id = next[0]
	}
	h.answer(id, "echo")
	for _, c := range ended {
		if err := await(t, c); err != nil {
			t.Error(err)
		}
	}
}

func TestTheQueueIsBoundedInLengthAndTime(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1, QueueMax: 2, QueueTimeout: 100 * time.Millisecond})
	h.sent("echo", "holds the only connection")
	first, second := h.call("echo", "waits"), h.call("echo", "waits")
	h.waiting(2)
	failure(t, await(t, h.call("echo", "one too many")), gateway.Busy, gateway.ReasonQueue)
	failure(t, await(t, first), gateway.Busy, gateway.ReasonPool)
	failure(t, await(t, second), gateway.Busy, gateway.ReasonPool)
	if got := h.pool.Stats(); got.Waiting != 0 || got.Busy != 1 {
		t.Errorf("left behind: %+v, want one busy connection", got)
	}
}

func TestAWaitingCallEndsWithItsContext(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1, QueueTimeout: patience})
	h.sent("echo", "holds the only connection")

	late, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	failure(t, await(t, inBackground(late, h.pool, echo("late"))), gateway.Busy, gateway.ReasonDeadline)

	left, leave := context.WithCancel(context.Background())
	ended := inBackground(left, h.pool, echo("left"))
	h.waiting(1)
	leave()
	err := await(t, ended)
	failure(t, err, gateway.Canceled, "")
	if gateway.AsError(err).Sent {
		t.Error("the call is said to have been sent, want not")
	}
}

func TestACancelledCallFreesItsPlace(t *testing.T) {
	h := newHeld(t, client.Config{Max: 1, QueueTimeout: patience})
	ctx, cancel := context.WithCancel(context.Background())
	first := inBackground(ctx, h.pool, echo("first"))
	await(t, h.arrived)
	second := h.call("echo", "second")
	h.waiting(1)
	cancel()
	failure(t, await(t, first), gateway.Canceled, "")
	h.answer(await(t, h.arrived)[0], "echo")
	if err := await(t, second); err != nil {
		t.Error(err)
	}
}

func TestOneSlowServiceDoesNotTakeTheWholePool(t *testing.T) {
	h := newHeld(t, client.Config{Max: 10, Reserve: 0.2, QueueTimeout: patience})
	var ids []string
	for range 8 {
		id, _ := h.sent("slow", "work")
		ids = append(ids, id)
	}
	waits := h.call("slow", "more work")
	h.waiting(1)
	for range 2 { // another service may have what is reserved
		h.sent("fast", "work")
	}
	third := h.call("third", "other work")
	h.waiting(2)
	h.answer(ids[0], "slow") // a place below the reserve: not for the slow one, though it waits longer
	next := await(h.t, h.arrived)
	if next[1] != "other work" {
		t.Errorf("the place went to %q, want the service that holds least", next[1])
	}
	h.waiting(1)
	select {
	case err := <-waits:
		t.Errorf("the slow service's call ended with %v, want it to wait", err)
	default:
	}
	h.answer(next[0], "third")
	if err := await(t, third); err != nil {
		t.Error(err)
	}
}
