package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
)

// A call that was given up keeps its places until its reply would no longer matter, or its
// broker is lost: what it started may still run.
func TestACallThatWasGivenUpKeepsItsPlaces(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   gateway.Error
		lost  bool          // the broker, after the call
		after time.Duration // places are free
	}{
		{"the caller left", gateway.Error{Kind: gateway.Canceled, Sent: true}, false, time.Minute},
		{"no reply in time", gateway.Error{Kind: gateway.Timeout}, false, time.Minute},
		{"the caller left before it was sent", gateway.Error{Kind: gateway.Canceled}, false, 0},
		{"the caller left and the broker was lost", gateway.Error{Kind: gateway.Canceled, Sent: true}, true, 0},
		{"the broker was lost", gateway.Error{Kind: gateway.BrokerLost}, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{call: func(context.Context, gateway.Request) (gateway.Reply, error) {
					e := c.err
					return gateway.Reply{}, &e
				}}
				d := newDispatcher(t, p, dispatch.Config{Timeout: time.Second, MaxTimeout: time.Minute}, "svc: {max_in_flight: 1}")
				left := 0
				one := call("svc", "x")
				one.Leave = func() { left++ }
				_, err := send(t.Context(), d, one)
				failure(t, err, c.err.Kind, "")
				if c.lost {
					p.mu.Lock()
					p.epoch++
					p.mu.Unlock()
				}
				time.Sleep(200 * time.Millisecond)
				if c.after > 0 {
					time.Sleep(c.after - 300*time.Millisecond)
					failure(t, d.Service("svc").Admit(), gateway.Busy, gateway.ReasonService)
					if left != 0 {
						t.Errorf("the caller's place was given back %d times, want it held", left)
					}
					time.Sleep(200 * time.Millisecond)
				}
				if err := d.Service("svc").Admit(); err != nil || left != 1 {
					t.Errorf("got %v, and the caller's place was given back %d times, want no error and once", err, left)
				}
				time.Sleep(time.Hour)
				if d.Orphans(); left != 1 {
					t.Errorf("the caller's place was given back %d times, want once", left)
				}
			})
		})
	}
}

// A caller who gives up calls takes no more than half of a service's places from the others.
func TestACallerWhoGivesUpCallsLeavesPlacesToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{call: func(_ context.Context, r gateway.Request) (gateway.Reply, error) {
			return gateway.Reply{}, &gateway.Error{Kind: gateway.Timeout}
		}}
		d := newDispatcher(t, p, dispatch.Config{Timeout: time.Second, MaxTimeout: time.Minute}, "svc: {max_in_flight: 4}")
		from := func(caller string) error {
			c := call("svc", "x")
			c.Caller = caller
			_, err := send(t.Context(), d, c)
			return err
		}
		for range 2 {
			failure(t, from("hostile"), gateway.Timeout, "")
		}
		failure(t, from("hostile"), gateway.Busy, gateway.ReasonService)
		for range 2 {
			failure(t, from("other"), gateway.Timeout, "")
		}
		failure(t, from("third"), gateway.Busy, gateway.ReasonService) // there is no place
		time.Sleep(time.Minute + time.Second)
		failure(t, from("hostile"), gateway.Timeout, "")
	})
}
