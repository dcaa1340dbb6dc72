package httpapi

import (
	"context"
	"sync/atomic"
	"time"

	"mdpgateway/internal/gateway"
)

// lull is how long no request must come until the callers count as gone. A request that
// is on its way on a connection of before arrives within it.
const lull = 500 * time.Millisecond

// requests counts those that are served, probes excepted.
type requests struct {
	since  time.Time // set once; what last counts from
	open   atomic.Int64
	last   atomic.Int64 // when one last began or ended, in nanoseconds
	places atomic.Int64 // taken, of MaxRequests
}

// begin counts a request, which ends with end.
func (q *requests) begin() {
	q.open.Add(1)
	q.last.Store(int64(time.Since(q.since)))
}

func (q *requests) end() {
	q.last.Store(int64(time.Since(q.since)))
	q.open.Add(-1)
}

// idle is how long no request has been open.
func (q *requests) idle() time.Duration {
	if q.open.Load() > 0 {
		return 0
	}
	return time.Since(q.since) - time.Duration(q.last.Load())
}

// place takes one of max places for a request; 0 means that there are any number.
func (q *requests) place(max int) bool {
	if q.places.Add(1) <= int64(max) || max == 0 {
		return true
	}
	q.places.Add(-1)
	return false
}

// NotReady makes /readyz say that no more calls should be sent here. Those that come are
// still taken. Every answer asks for the end of its connection from now on: callers who
// keep theirs open would otherwise lose what they send while it is closed.
func (a *API) NotReady() { a.notReady.Store(true) }

// Drain makes every new call fail with draining. Open calls go on.
func (a *API) Drain() {
	a.NotReady()
	a.draining.Store(true)
}

// AwaitIdle waits until no request has been open for a moment. net/http's
// Shutdown answers nothing that it reads afterwards, so it should begin then. With the
// end of ctx only open requests are an error.
func (a *API) AwaitIdle(ctx context.Context) error {
	tick := time.NewTicker(lull / 20)
	defer tick.Stop()
	for a.requests.idle() < lull {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if a.requests.open.Load() == 0 {
				return nil
			}
			return ctx.Err()
		}
	}
	return nil
}

// Interrupt ends the open calls of Server's servers: with interrupted those that
// were sent, with draining the others.
func (a *API) Interrupt() { a.interrupt(&gateway.Error{Kind: gateway.Interrupted}) }
