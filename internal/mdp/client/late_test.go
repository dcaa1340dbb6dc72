package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// An end is what someone who waited on was told.
type end struct {
	reply gateway.Reply
	err   error
}

// waitOn returns a request's Late that waits on until ctx ends, and where that leads to.
func waitOn(ctx context.Context) (late func(int64) (gateway.LateWait, bool), ended <-chan end) {
	c := make(chan end, 1)
	room := budget.New(1 << 30).Lease()
	return func(size int64) (gateway.LateWait, bool) {
		return gateway.LateWait{Ctx: ctx, Room: &room, Done: func(reply gateway.Reply, err error) {
			room.Release()
			c <- end{reply, err}
		}}, room.Resize(size)
	}, c
}

// overdue makes a call whose time passes before its reply, and returns the routing id that it was sent with.
func (h *held) overdue(body string, late func(int64) (gateway.LateWait, bool)) (id string) {
	h.t.Helper()
	_, err := h.pool.Call(context.Background(), gateway.Request{
		Service: "echo", Frames: frames(body), Late: late,
		Within: 200 * time.Millisecond, Sending: func() error { return nil },
	})
	failure(h.t, err, gateway.Timeout, "")
	return await(h.t, h.arrived)[0]
}

func TestALateReplyIsThatOfWhoeverWaitsOn(t *testing.T) {
	h := newHeld(t, client.Config{Max: 2, Late: 1, QueueTimeout: patience})
	late, ended := waitOn(h.ctx)
	id := h.overdue("first", late)
	if s := h.pool.Stats(); s.Busy != 1 {
		t.Errorf("%d connections are busy, want that of the late reply", s.Busy)
	}
	// No more than Late may be awaited.
	h.overdue("second", func(int64) (gateway.LateWait, bool) {
		t.Error("a second was asked for")
		return gateway.LateWait{}, false
	})
	h.answer(id, "echo")
	if got := await(t, ended); got.err != nil || text(got.reply) != "done" {
		t.Errorf("got %q and %v, want done", text(got.reply), got.err)
	}
	eventually(t, "its connection rests", func() bool { return h.pool.Stats().Idle > 0 })
	// Nobody waits on: the connection is closed as ever.
	before := h.pool.Stats().Closed["timeout"]
	h.overdue("third", func(int64) (gateway.LateWait, bool) { return gateway.LateWait{}, false })
	if got := h.pool.Stats().Closed["timeout"]; got != before+1 {
		t.Errorf("%d connections were closed after a time-out, want %d", got, before+1)
	}
}

// A panic of whoever is asked to wait on passes, and costs its connection but no place. The pool can be closed.
func TestAPanicOfWhoeverIsAskedToWaitOnKeepsNoPlace(t *testing.T) {
	h := newHeld(t, client.Config{Max: 2, Late: 1, QueueTimeout: patience})
	func() {
		defer func() {
			if v := recover(); v != "a bug" {
				t.Errorf("recovered %v, want the panic of the call", v)
			}
		}()
		h.overdue("first", func(int64) (gateway.LateWait, bool) { panic("a bug") })
	}()
	await(t, h.arrived)
	if s := h.pool.Stats(); s.Busy != 0 {
		t.Errorf("%d connections are busy, want none", s.Busy)
	}
	late, ended := waitOn(h.ctx)
	h.answer(h.overdue("second", late), "echo")
	if got := await(t, ended); got.err != nil || text(got.reply) != "done" {
		t.Errorf("the next late reply is %q and %v, want done", text(got.reply), got.err)
	}
}

// The oldest late reply gives way to a call that would have to wait for a connection.
func TestALateReplyYieldsToACall(t *testing.T) {
	h := newHeld(t, client.Config{Max: 2, Late: 2, QueueTimeout: patience})
	older, olderEnded := waitOn(h.ctx)
	newer, newerEnded := waitOn(h.ctx)
	first := h.overdue("older", older)
	second := h.overdue("newer", newer)
	third, called := h.sent("echo", "a call")
	got := await(t, olderEnded)
	failure(t, got.err, gateway.Timeout, "")
	if e := gateway.AsError(got.err); !strings.Contains(e.Detail, "needed for another call") {
		t.Errorf("got %q", e.Detail)
	}
	h.answer(first, "echo") // it reaches nobody
	h.answer(third, "echo")
	h.answer(second, "echo")
	if err := await(t, called); err != nil || first == third {
		t.Errorf("the call ended with %v; on the connection that was given up: %v", err, first == third)
	}
	if got := await(t, newerEnded); got.err != nil {
		t.Errorf("the newer one ended with %v", got.err)
	}
}

func TestWhatEndsTheWaitForALateReply(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(h *held, cancel context.CancelCauseFunc)
		kind gateway.Kind
	}{
		"whoever waits cancels": {func(_ *held, cancel context.CancelCauseFunc) { cancel(nil) }, gateway.Canceled},
		"with a cause": {func(_ *held, cancel context.CancelCauseFunc) {
			cancel(&gateway.Error{Kind: gateway.Interrupted})
		}, gateway.Interrupted},
		"the pool is closed": {func(h *held, _ context.CancelCauseFunc) {
			over, cancel := context.WithCancel(context.Background())
			cancel()
			_ = h.pool.Close(over)
		}, gateway.Interrupted},
		"the broker is lost": {func(h *held, _ context.CancelCauseFunc) { h.broker.Close() }, gateway.BrokerLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHeld(t, client.Config{Max: 1, Late: 1})
			ctx, cancel := context.WithCancelCause(h.ctx)
			defer cancel(nil)
			late, ended := waitOn(ctx)
			h.overdue("hello", late)
			c.end(h, cancel)
			failure(t, await(t, ended).err, c.kind, "")
		})
	}
}

// Of many calls on few connections, whose times pass at random, each reply reaches whoever asked.
func TestNoLateReplyIsCrossed(t *testing.T) {
	const callers, calls = 10, 60
	seed := rand.Uint64()
	var router *mdptest.Router
	ready := make(chan struct{})
	var answers sync.WaitGroup
	router = mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		<-ready
		id, reply := append([]byte{}, id...), frames("", "MDPC01", string(m[2]), string(m[3]))
		answers.Add(1)
		time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, func() {
			defer answers.Done()
			router.Send(id, reply)
		})
		return nil
	})
	close(ready)
	p := newPool(t, client.Config{Max: 12, Late: 4, QueueTimeout: patience}, at(router.Endpoint()))
	var inTime, late, yielded atomic.Int64
	var all, waits sync.WaitGroup
	for caller := range callers {
		random := rand.New(rand.NewPCG(seed, uint64(caller)))
		all.Go(func() {
			for n := range calls {
				body := fmt.Sprintf("%d of %d", n, caller)
				req := echo(body)
				req.Deadline = time.Now().Add(time.Duration(1+random.IntN(30)) * time.Millisecond)
				req.Late = func(int64) (gateway.LateWait, bool) {
					waits.Add(1)
					room := budget.New(1 << 30).Lease()
					return gateway.LateWait{Ctx: context.Background(), Room: &room, Done: func(reply gateway.Reply, err error) {
						defer waits.Done()
						switch {
						case err != nil:
							yielded.Add(1)
						case text(reply) != body:
							t.Errorf("late: got %q, want %q (seed %d)", text(reply), body, seed)
						default:
							late.Add(1)
						}
					}}, true
				}
				reply, err := p.Call(context.Background(), req)
				if err == nil {
					inTime.Add(1)
					if text(reply) != body {
						t.Errorf("got %q, want %q (seed %d)", text(reply), body, seed)
					}
				}
			}
		})
	}
	all.Wait()
	waits.Wait()
	answers.Wait()
	t.Logf("of %d calls %d were answered in time, %d late, %d gave way", callers*calls, inTime.Load(), late.Load(), yielded.Load())
	if late.Load() == 0 || inTime.Load() == 0 {
		t.Errorf("%d replies in time, %d late, want some of each (seed %d)", inTime.Load(), late.Load(), seed)
	}
}
