package mux_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mux"
)

// A timeout storm at our own broker: each of the calls is said to have run, to have perhaps run,
// or not to have, and the workers' ledger agrees. The workers are free at once after it.
func TestAStormOfTimeoutsIsToldTruly(t *testing.T) {
	t.Parallel()
	const workers, calls = 8, 600
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	var ledger sync.Map
	var ran atomic.Int64
	job := make(chan struct{}) // each worker is at its first job until it is closed
	for range workers {
		mdptest.Worker(t, endpoint, "slow", func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			ledger.Store(string(body[0]), true)
			ran.Add(1)
			select {
			case <-job:
			case <-ctx.Done():
			}
			return body, nil
		})
	}
	c := start(t, mux.Config{}, endpoint)
	up(t, c, 1)
	eventually(t, "all workers are known", func() bool { return c.Table(0).Service("slow").Workers == workers })
	var running sync.WaitGroup
	var told [3]atomic.Int64 // no, maybe, and of those with the broker's word
	for i := range calls {
		running.Go(func() {
			value := fmt.Sprint(i)
			_, err := c.Call(t.Context(), gateway.Request{Service: "slow", Frames: fr(value), Within: 500 * time.Millisecond})
			e := gateway.AsError(err)
			if err == nil || e.Kind != gateway.Timeout {
				t.Errorf("call %s: %v, want a timeout", value, err)
				return
			}
			if e.Was != "" {
				told[2].Add(1)
			}
			if e.Executed() == gateway.Maybe {
				told[1].Add(1)
				return
			}
			told[0].Add(1)
			if _, ran := ledger.Load(value); ran {
				t.Errorf("call %s is said not to have been executed, and was", value)
			}
		})
	}
	running.Wait()
	t.Logf("%d were not executed, %d may have been; the broker's word came for %d; workers ran %d", told[0].Load(), told[1].Load(), told[2].Load(), ran.Load())
	eventually(t, "the broker has heard of all", func() bool { return b.Service("slow").Saved == calls-workers })
	close(job)
	reply, err := c.Call(t.Context(), gateway.Request{Service: "slow", Frames: fr("after")})
	if err != nil || string(reply.Frames[0]) != "after" {
		t.Errorf("the call after the storm: %q, %v", reply.Frames, err)
	}
	// Nothing of the storm runs now: whatever was queued was taken back.
	if n := ran.Load(); n > workers+1 {
		t.Errorf("the workers ran %d requests, want the %d that they had and the one after", n, workers)
	}
}

// Calls of all sizes at our own broker get their own replies, also over a broker that dies.
func TestRepliesAreNeverCrossedAtOurOwnBroker(t *testing.T) {
	t.Parallel()
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	for range 4 {
		mdptest.Worker(t, endpoint, "echo", func(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
			return body, nil
		})
	}
	c := start(t, mux.Config{}, endpoint)
	up(t, c, 1)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var running sync.WaitGroup
	for caller := range 64 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(caller)))
			for i := range 30 {
				value := fmt.Sprintf("%d/%d", caller, i)
				pad := make([]byte, random.IntN(300)*random.IntN(1000)*random.IntN(2))
				ctx, leave := context.WithCancel(t.Context())
				if random.IntN(10) == 0 {
					leave()
				}
				reply, err := c.Call(ctx, gateway.Request{Service: "echo", Frames: [][]byte{[]byte(value), pad}})
				leave()
				if err != nil && gateway.AsError(err).Kind != gateway.Canceled {
					t.Errorf("call %s: %v", value, err)
				}
				if err == nil && (len(reply.Frames) != 2 || string(reply.Frames[0]) != value || len(reply.Frames[1]) != len(pad)) {
					t.Errorf("call %s: got the reply %q", value, reply.Frames[0])
				}
			}
		})
	}
	running.Wait()
}
