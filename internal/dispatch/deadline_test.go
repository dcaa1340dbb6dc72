// Every sleep in this file is in a bubble of testing/synctest: its clock is virtual, and
// moves on when all goroutines of the bubble wait.

package dispatch_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// hangs waits for the end of a call's context, as the pool does.
func hangs(ctx context.Context, _ gateway.Request) (gateway.Reply, error) {
	<-ctx.Done()
	return gateway.Reply{Timing: gateway.Timing{Broker: time.Second}}, gateway.Ended(ctx, true)
}

func TestATimeOutSaysWhichLimitFired(t *testing.T) {
	const services = `{slow: {timeout: 40s, max_timeout: 50s}}`
	for _, c := range []struct {
		name    string
		service string
		timeout time.Duration
		want    time.Duration
		by      string
		most    time.Duration
	}{
		{"the default", "any", 0, 25 * time.Second, "--timeout", 5 * time.Minute},
		{"the caller's", "any", 10 * time.Second, 10 * time.Second, "?timeout", 5 * time.Minute},
		{"cut to the largest", "any", time.Hour, 5 * time.Minute, "--max-timeout", 5 * time.Minute},
		{"the service's", "slow", 0, 40 * time.Second, "services.slow.timeout", 50 * time.Second},
		{"cut to the service's largest", "slow", time.Minute, 50 * time.Second, "services.slow.max_timeout", 50 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDispatcher(t, &pool{call: hangs}, dispatch.Config{}, services)
				request := call(c.service, "x")
				request.Timeout, request.TimeoutBy = c.timeout, "?timeout"
				if got := d.Service(c.service).Limit(request); got != c.want {
					t.Errorf("limit %v, want %v", got, c.want)
				}
				start := time.Now()
				_, err := send(t.Context(), d, request)
				e := failure(t, err, gateway.Timeout, "")
				if took := time.Since(start); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
				if d := e.Timeout; d == nil || d.Limit != c.want || d.LimitBy != c.by || d.Most != c.most || d.Stage != "broker" || d.Elapsed != c.want || d.LastOK != -1 {
					t.Errorf("detail %+v, want the limit %v by %s", d, c.want, c.by)
				}
			})
		})
	}
}

func TestAStreamTimesOutBySilenceAndAsAWhole(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // between two parts
		parts int
		limit time.Duration
		by    string
		took  time.Duration
	}{
		{"silence from the start", 0, 0, 10 * time.Second, "?timeout", 10 * time.Second},
		{"silence after two parts", 9 * time.Second, 2, 10 * time.Second, "?timeout", 28 * time.Second},
		{"the whole", 9 * time.Second, 100, time.Minute, "--max-timeout", time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{call: func(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
					for range c.parts {
						select {
						case <-time.After(c.every):
						case <-ctx.Done():
							return hangs(ctx, req)
						}
						if err := req.Partial(nil); err != nil {
							return gateway.Reply{}, err
						}
					}
					return hangs(ctx, req)
				}}
				d := newDispatcher(t, p, dispatch.Config{MaxTimeout: time.Minute}, "")
				request := call("any", "x")
				request.Timeout, request.TimeoutBy = 10*time.Second, "?timeout"
				passed := 0
				request.Partial = func([][]byte) error { passed++; return nil }
				start := time.Now()
				_, err := send(t.Context(), d, request)
				e := failure(t, err, gateway.Timeout, "")
				stage := "broker"
				if c.parts > 0 {
					stage = "stream"
				}
				if took := time.Since(start); took != c.took || e.Timeout.Limit != c.limit || e.Timeout.LimitBy != c.by || e.Timeout.Stage != stage {
					t.Errorf("took %v, %+v, want %v, %v by %s", took, e.Timeout, c.took, c.limit, c.by)
				}
				if c.parts > 0 && passed == 0 {
					t.Error("no part was passed on")
				}
			})
		})
	}
}

func TestASlowReaderIsNoSilenceOfTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{call: func(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
			for range 2 {
				if err := req.Partial(nil); err != nil {
					return gateway.Reply{}, err
				}
			}
			if ctx.Err() != nil {
				return hangs(ctx, req)
			}
			return gateway.Reply{Frames: req.Frames}, nil
		}}
		request := call("any", "x")
		request.Timeout = 10 * time.Second
		request.Partial = func([][]byte) error { time.Sleep(15 * time.Second); return nil }
		if _, err := send(t.Context(), newDispatcher(t, p, dispatch.Config{}, ""), request); err != nil {
			t.Errorf("got %v, want the reply", err)
		}
	})
}

func TestOrphansAreForgottenInTimeOrWithTheirBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{call: hangs}
		d := newDispatcher(t, p, dispatch.Config{MaxTimeout: time.Minute}, "")
		for range 3 {
			send(t.Context(), d, call("slow", "x"))
		}
		left, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		send(left, d, call("left", "x"))
		if got := d.Orphans(); got["slow"] != 3 || got["left"] != 1 {
			t.Errorf("got %v, want 3 of slow and 1 of left", got)
		}
		time.Sleep(30 * time.Second)
		if got := d.Orphans(); got["slow"] != 2 {
			t.Errorf("30 s later: got %v, want 2 of slow, whose first is over a minute old", got)
		}
		p.mu.Lock()
		p.epoch++
		p.mu.Unlock()
		if got := d.Orphans(); len(got) != 0 {
			t.Errorf("with another broker: got %v, want none", got)
		}
	})
}

// A service that answers is not taken to be at work for much longer than it ever was.
func TestAnOrphanCountsForAsLongAsItsServiceTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung atomic.Bool
		p := &pool{call: func(ctx context.Context, req gateway.Request) (reply gateway.Reply, err error) {
			if hung.Load() {
				reply, err = hangs(ctx, req)
				reply.Timing.Broker = 25 * time.Second
				return reply, err
			}
			time.Sleep(20 * time.Second)
			reply.Timing.Broker = 20 * time.Second
			return reply, nil
		}}
		d := newDispatcher(t, p, dispatch.Config{MaxTimeout: time.Hour}, "")
		if _, err := send(t.Context(), d, call("echo", "x")); err != nil {
			t.Fatal(err)
		}
		hung.Store(true)
		send(t.Context(), d, call("echo", "x"))
		time.Sleep(49 * time.Second)
		if got := d.Orphans(); got["echo"] != 1 {
			t.Errorf("49 s after a wait of 25 s: got %v, want it counted", got)
		}
		time.Sleep(time.Second)
		if got := d.Orphans(); got["echo"] != 0 {
			t.Errorf("50 s after a wait of 25 s: got %v, want none", got)
		}
	})
}

// has is the registry of a broker that has that many requests of any service.
type has struct{ busy, queued *int }

func (h has) Services() []gateway.LiveService { return nil }

func (h has) Service(name string) gateway.LiveService {
	return gateway.LiveService{Name: name, Workers: 9, Busy: *h.busy, Queued: *h.queued}
}

func TestTheBrokerInThisProcessSaysHowManyOrphansThereAreAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, queued := 2, 2
		d, err := dispatch.New(dispatch.Config{
			Pool: &pool{call: hangs}, Brokers: []dispatch.Broker{{Name: "embedded", Dialect: mdp.V01, Live: has{&busy, &queued}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			send(t.Context(), d, call("echo", "x"))
		}
		for _, c := range []struct{ busy, queued, want int }{{2, 2, 4}, {2, 0, 2}, {0, 0, 0}, {9, 0, 0}} {
			busy, queued = c.busy, c.queued
			if got := d.Orphans()["echo"]; got != c.want {
				t.Errorf("%d at work, %d queued: %d orphans, want %d", c.busy, c.queued, got, c.want)
			}
		}
	})
}

// A broker of mdpx/1 tells what has changed a moment later, so an orphan counts until then.
func TestWhatABrokerHasNotYetToldEndsNoOrphan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, queued := 0, 0
		d, err := dispatch.New(dispatch.Config{
			Pool: &pool{call: hangs}, Brokers: []dispatch.Broker{{Name: "own", Dialect: mdp.X1, Live: has{&busy, &queued}}},
			Catalogue: catalogue.NewStore(parsed(t, "{echo: {}}", "own")), NoWorkersWait: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		send(t.Context(), d, call("echo", "x"))
		if got := d.Orphans()["echo"]; got != 1 {
			t.Errorf("before the broker can have told: %d orphans, want 1", got)
		}
		busy = 1
		time.Sleep(time.Second)
		if got := d.Orphans()["echo"]; got != 1 {
			t.Errorf("while it is at work: %d orphans, want 1", got)
		}
		busy = 0
		if got := d.Orphans()["echo"]; got != 0 {
			t.Errorf("once it has told: %d orphans, want none", got)
		}
	})
}

// An orphan is work that was sent and whose end nobody knows.
func TestAnOrphanIsWorkThatWasSentAndWhoseEndIsUnknown(t *testing.T) {
	parts := []dispatch.Broker{{Name: "parts", Dialect: mdp.V02}} // what is too large may be a part of a reply
	for _, c := range []struct {
		err     gateway.Error
		want    int
		brokers []dispatch.Broker
	}{
		{gateway.Error{Kind: gateway.ReplyTooLarge}, 1, parts},
		{gateway.Error{Kind: gateway.Timeout}, 1, nil},
		{gateway.Error{Kind: gateway.Interrupted}, 1, nil},
		{gateway.Error{Kind: gateway.Canceled, Sent: true}, 1, nil},
		{gateway.Error{Kind: gateway.Canceled}, 0, nil},
		{gateway.Error{Kind: gateway.BadReply, Reason: mdp.ReasonAsked}, 1, nil},
		{gateway.Error{Kind: gateway.ReplyTooLarge}, 0, nil},
		{gateway.Error{Kind: gateway.ReplyTooLarge, Reason: gateway.ReasonReader}, 1, nil},
		{gateway.Error{Kind: gateway.ReplyTooLarge, Reason: gateway.ReasonMemory}, 1, nil},
		{gateway.Error{Kind: gateway.BrokerLost}, 0, nil},
		{gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonPool}, 0, nil},
	} {
		p := &pool{call: func(context.Context, gateway.Request) (gateway.Reply, error) { return gateway.Reply{}, &c.err }}
		d := newDispatcher(t, p, dispatch.Config{Brokers: c.brokers}, "")
		if _, err := send(t.Context(), d, call("echo", "x")); err == nil {
			t.Fatal("the call has not failed")
		}
		if got := d.Orphans()["echo"]; got != c.want {
			t.Errorf("%v: %d orphans, want %d", &c.err, got, c.want)
		}
	}
}
