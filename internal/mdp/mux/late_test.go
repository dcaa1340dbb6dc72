package mux_test

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
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mdpx"
	"mdpgateway/internal/mdp/mux"
)

// waitOn returns a request's Late that waits on until ctx ends, and where that leads to.
func waitOn(ctx context.Context) (late func(int64) (gateway.LateWait, bool), ended <-chan result) {
	c := make(chan result, 1)
	room := budget.New(1 << 30).Lease()
	return func(size int64) (gateway.LateWait, bool) {
		return gateway.LateWait{Ctx: ctx, Room: &room, Done: func(reply gateway.Reply, err error) {
			room.Release()
			c <- result{reply, err}
		}}, room.Resize(size)
	}, c
}

// overdue makes a call whose time passes at a worker, and returns its request.
func overdue(t *testing.T, c *mux.Client, b *mdptest.Muxed, late func(int64) (gateway.LateWait, bool)) mdptest.Asked {
	t.Helper()
	done := call(t.Context(), c, gateway.Request{Service: "echo", Frames: fr("x"), Late: late, Within: 100 * time.Millisecond})
	a := next(t, b)
	b.Dispatch(a)
	if e := gateway.AsError((<-done).err); e.Kind != gateway.Timeout {
		t.Fatalf("a call whose time passes: %v", e)
	}
	return a
}

func startLate(t *testing.T, most, late int) (*mux.Client, *mdptest.Muxed) {
	t.Helper()
	b := mdptest.NewMuxed(t, "echo")
	cfg := mux.Config{}
	cfg.Max, cfg.Late, cfg.QueueTimeout = most, late, patience
	c := start(t, cfg, b.Endpoint())
	up(t, c, 1)
	return c, b
}

func TestALateReplyIsThatOfWhoeverWaitsOn(t *testing.T) {
	t.Parallel()
	c, b := startLate(t, 3, 1)
	late, ended := waitOn(t.Context())
	a := overdue(t, c, b, late)
	if s := c.Stats(); s.Busy != 1 {
		t.Errorf("%d calls are in flight, want that of the late reply", s.Busy)
	}
	overdue(t, c, b, func(int64) (gateway.LateWait, bool) {
		t.Error("more are asked for than may be awaited")
		return gateway.LateWait{}, false
	})
	b.Reply(a, fr("part"), false)
	b.Reply(a, fr("done"), true)
	if r := <-ended; r.err != nil || len(r.reply.Partials) != 1 || string(r.reply.Frames[0]) != "done" || r.reply.Broker != 0 {
		t.Errorf("got %q after %q of broker %d, %v, want done after a part", r.reply.Frames, r.reply.Partials, r.reply.Broker, r.err)
	}
	eventually(t, "its place is free", func() bool { return c.Stats().Busy == 0 })
	overdue(t, c, b, func(int64) (gateway.LateWait, bool) { return gateway.LateWait{}, false })
	eventually(t, "what nobody waits for is canceled", func() bool { return b.Canceled() == 2 })
}

// A panic of whoever is asked to wait on passes, and costs no place.
func TestAPanicOfWhoeverIsAskedToWaitOnKeepsNoPlace(t *testing.T) {
	t.Parallel()
	c, b := startLate(t, 3, 1)
	passed := make(chan any, 1)
	go func() {
		defer func() { passed <- recover() }()
		_, _ = c.Call(t.Context(), gateway.Request{
			Service: "echo", Deadline: time.Now().Add(100 * time.Millisecond),
			Late: func(int64) (gateway.LateWait, bool) { panic("a bug") },
		})
	}()
	b.Dispatch(next(t, b))
	if v := <-passed; v != "a bug" {
		t.Fatalf("recovered %v, want the panic of the call", v)
	}
	if s := c.Stats(); s.Busy != 0 {
		t.Errorf("%d calls are in flight, want none", s.Busy)
	}
	if load := c.Load(0); load != 0 {
		t.Errorf("the broker has %d calls, want none", load)
	}
	late, ended := waitOn(t.Context())
	b.Reply(overdue(t, c, b, late), fr("done"), true)
	if r := <-ended; r.err != nil || string(r.reply.Frames[0]) != "done" {
		t.Errorf("the next late reply is %q, %v, want done", r.reply.Frames, r.err)
	}
}

// What the broker refuses when its time has passed was not executed: nobody waits for it.
func TestARequestThatNoWorkerHadLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	c, b := startLate(t, 1, 1)
	for tries := 1; ; tries++ {
		asked := false
		done := call(t.Context(), c, gateway.Request{
			Service: "echo", Within: 100 * time.Millisecond,
			Late: func(int64) (gateway.LateWait, bool) { asked = true; return gateway.LateWait{}, false },
		})
		a := next(t, b)
		time.AfterFunc(a.Request.TTL.Duration()+10*time.Millisecond, func() { b.Refuse(a, mdpx.Expired) })
		r := <-done
		if asked && tries < 50 {
			continue // the word took longer than it may, on a busy machine
		}
		if wantError(t, r.err, gateway.Timeout, gateway.No, gateway.WasQueued); asked {
			t.Error("someone is asked to wait for what was not executed")
		}
		return
	}
}

// The oldest late reply gives way to a call that would have to wait for a place.
func TestALateReplyYieldsToACall(t *testing.T) {
	t.Parallel()
	c, b := startLate(t, 2, 2)
	older, olderEnded := waitOn(t.Context())
	newer, newerEnded := waitOn(t.Context())
	overdue(t, c, b, older)
	second := overdue(t, c, b, newer)
	done := call(t.Context(), c, gateway.Request{Service: "echo"})
	r := <-olderEnded
	if e := gateway.AsError(r.err); e.Kind != gateway.Timeout || !strings.Contains(e.Detail, "needed for another call") {
		t.Errorf("the oldest ended with %v", r.err)
	}
	b.Reply(next(t, b), fr("ok"), true)
	b.Reply(second, fr("late"), true)
	if r := <-done; r.err != nil {
		t.Errorf("the call ended with %v", r.err)
	}
	if r := <-newerEnded; r.err != nil || string(r.reply.Frames[0]) != "late" {
		t.Errorf("the newer one ended with %q, %v", r.reply.Frames, r.err)
	}
}

func TestWhatEndsTheWaitForALateReply(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		end  func(c *mux.Client, b *mdptest.Muxed, a mdptest.Asked, cancel context.CancelCauseFunc)
		kind gateway.Kind
	}{
		"whoever waits cancels": {func(_ *mux.Client, _ *mdptest.Muxed, _ mdptest.Asked, cancel context.CancelCauseFunc) {
			cancel(&gateway.Error{Kind: gateway.Canceled, Sent: true})
		}, gateway.Canceled},
		"the client is closed": {func(c *mux.Client, _ *mdptest.Muxed, _ mdptest.Asked, _ context.CancelCauseFunc) {
			over, cancel := context.WithCancel(context.Background())
			cancel()
			_ = c.Close(over)
		}, gateway.Interrupted},
		"the broker is lost": {func(_ *mux.Client, b *mdptest.Muxed, _ mdptest.Asked, _ context.CancelCauseFunc) { b.Close() }, gateway.BrokerLost},
		"the worker is lost": {func(_ *mux.Client, b *mdptest.Muxed, a mdptest.Asked, _ context.CancelCauseFunc) {
			b.Lose(a, mdpx.WorkerLost)
		}, gateway.BrokerLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, b := startLate(t, 1, 1)
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			late, ended := waitOn(ctx)
			a := overdue(t, c, b, late)
			one.end(c, b, a, cancel)
			if e := gateway.AsError((<-ended).err); e.Kind != one.kind || e.Executed() != gateway.Maybe {
				t.Errorf("got %v, executed %s, want %s, maybe", e, e.Executed(), one.kind)
			}
		})
	}
}

// Of many calls over few connections, whose times pass at random, each reply reaches whoever asked.
func TestNoLateReplyIsCrossed(t *testing.T) {
	t.Parallel()
	const callers, calls = 10, 40
	seed := rand.Uint64()
	c, b := startLate(t, 12, 4)
	var answering, all, waits sync.WaitGroup
	quit := make(chan struct{})
	answering.Go(func() {
		random := rand.New(rand.NewPCG(seed, callers))
		for {
			select {
			case a := <-b.Requests():
				b.Dispatch(a)
				answering.Add(1)
				time.AfterFunc(time.Duration(random.IntN(150))*time.Millisecond, func() {
					defer answering.Done()
					b.Reply(a, a.Request.Body, true)
				})
			case <-quit:
				return
			}
		}
	})
	var inTime, late atomic.Int64
	for caller := range callers {
		random := rand.New(rand.NewPCG(seed, uint64(caller)))
		all.Go(func() {
			for n := range calls {
				body := fmt.Sprintf("%d of %d", n, caller)
				right := func(reply gateway.Reply, count *atomic.Int64) {
					if count.Add(1); string(reply.Frames[0]) != body {
						t.Errorf("got %q, want %q (seed %d)", reply.Frames[0], body, seed)
					}
				}
				reply, err := c.Call(context.Background(), gateway.Request{
					Service: "echo", Frames: fr(body), Deadline: time.Now().Add(time.Duration(1+random.IntN(60)) * time.Millisecond),
					Late: func(int64) (gateway.LateWait, bool) {
						waits.Add(1)
						room := budget.New(1 << 30).Lease()
						return gateway.LateWait{Ctx: context.Background(), Room: &room, Done: func(reply gateway.Reply, err error) {
							defer waits.Done()
							if err == nil {
								right(reply, &late)
							}
						}}, true
					},
				})
				if err == nil {
					right(reply, &inTime)
				}
			}
		})
	}
	all.Wait()
	waits.Wait()
	close(quit)
	answering.Wait()
	if late.Load() == 0 || inTime.Load() == 0 {
		t.Errorf("%d replies in time, %d late, want some of each (seed %d)", inTime.Load(), late.Load(), seed)
	}
	eventually(t, "all places are free", func() bool { return c.Stats().Busy == 0 })
}
