package mux_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mux"
	"mdpgateway/internal/mdp/worker"
)

// A locked is a broker with CURVE, a worker of echo and of hold, and a client whose log is kept.
type locked struct {
	*broker.Broker
	t      *testing.T
	server curve.Pair
	worker curve.Pair
	client *mux.Client
	logs   *observer.ObservedLogs
	hold   chan struct{} // closed when the requests of hold may end
}

func lock(t *testing.T, own curve.Pair) *locked {
	t.Helper()
	l := &locked{t: t, server: curve.NewPair(), worker: curve.NewPair(), hold: make(chan struct{})}
	l.Broker = mdptest.BrokerWith(t, broker.Config{Curve: &broker.Curve{Public: l.server.Public, Secret: l.server.Secret, Allowed: l.list(own)}})
	l.serve("echo", func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) { return body, nil })
	l.serve("hold", func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		select {
		case <-l.hold:
		case <-ctx.Done():
		}
		return body, nil
	})
	core, logs := observer.New(zap.InfoLevel)
	l.logs = logs
	l.client = start(t, mux.Config{Config: client.Config{
		Endpoints: []client.Endpoint{{Name: "hall1", Address: mdptest.Endpoint(l.Broker), Dialect: mdp.X1, Curve: l.keys(own)}},
		Log:       zap.New(core),
	}})
	return l
}

func (l *locked) serve(service string, handler worker.Handler) {
	l.t.Helper()
	w, err := worker.New(worker.Config{
		Endpoint: mdptest.Endpoint(l.Broker), Curve: l.keys(l.worker), Services: map[string]worker.Handler{service: handler},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = w.Close() })
}

func (l *locked) keys(own curve.Pair) *curve.Client {
	return &curve.Client{Server: l.server.Public, Own: own}
}

// list lets in the worker, and these clients.
func (l *locked) list(clients ...curve.Pair) *curve.List {
	list := curve.NewList(curve.Peer{ID: "worker", Key: l.worker.Public, Role: curve.RoleWorker, Services: []string{"*"}})
	for _, c := range clients {
		list = list.With(curve.Peer{ID: c.Public.String(), Key: c.Public, Role: curve.RoleClient})
	}
	return list
}

func (l *locked) call(service string) error {
	_, err := l.client.Call(l.t.Context(), gateway.Request{Service: service, Frames: fr("x"), Deadline: time.Now().Add(patience)})
	return err
}

// manned waits until a service has a worker.
func (l *locked) manned(service string) {
	l.t.Helper()
	eventually(l.t, service+" has a worker", func() bool { return l.client.Table(0).Service(service).Workers == 1 })
}

// logged waits until a line was logged so often.
func (l *locked) logged(line string, times int) {
	l.t.Helper()
	eventually(l.t, line, func() bool { return l.logs.FilterMessage(line).Len() >= times })
}

const (
	replaced = "the keys for the broker were replaced"
	notTaken = "the broker does not take the new keys, those of before stay in force"
	waiting  = "the new keys for the broker wait until the calls over connections of the keys before have ended"
)

// The keys are replaced under load, twice, with a call in flight over the first all the while. Each time the broker
// forgets the keys of before, and no connection is left that has them.
func TestKeysAreReplacedWithoutLosingACall(t *testing.T) {
	t.Parallel()
	first, second, third := curve.NewPair(), curve.NewPair(), curve.NewPair()
	l := lock(t, first)
	l.manned("echo")
	l.manned("hold")
	inFlight := make(chan error, 1)
	go func() { inFlight <- l.call("hold") }()
	eventually(t, "a call is in flight", func() bool { return l.client.Stats().Busy > 0 })

	var stop atomic.Bool
	var calls atomic.Int64
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			for !stop.Load() {
				if err := l.call("echo"); err != nil {
					t.Error(err)
					return
				}
				calls.Add(1)
			}
		})
	}
	more := func() {
		t.Helper()
		n := calls.Load()
		eventually(t, "calls go on", func() bool { return calls.Load() >= n+50 || t.Failed() })
	}
	more()
	l.Allow(l.list(first, second, third))
	l.client.Rekey(0, l.keys(second))
	l.logged(replaced, 1)
	more()
	l.Allow(l.list(second, third)) // requests by the first key are refused now; the reply of the one in flight comes
	more()
	l.client.Rekey(0, l.keys(third))
	l.logged(waiting, 1)
	close(l.hold)
	if err := <-inFlight; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	l.logged(replaced, 2)
	more()
	l.Allow(l.list(third))
	more()
	l.serve("later", func(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) { return nil, nil })
	l.manned("later") // the broker's word comes, too
	stop.Store(true)
	callers.Wait()
	eventually(t, "the connections of before are closed", func() bool {
		return l.client.Stats().Closed["keys"] == 2*2*mux.DefaultConnections
	})
	if s := l.client.Stats(); s.Closed["lost"] != 0 || s.Endpoints[0].Reconnects != 0 {
		t.Errorf("closed %v, %d reconnects; want the broker up all the time", s.Closed, s.Endpoints[0].Reconnects)
	}
}

// Keys that the broker does not take change nothing. Once it takes them they are put in force.
func TestKeysThatABrokerDoesNotTakeChangeNothing(t *testing.T) {
	t.Parallel()
	first, second := curve.NewPair(), curve.NewPair()
	l := lock(t, first)
	l.manned("echo")
	l.client.Rekey(0, l.keys(second))
	l.logged(notTaken, 1)
	if err := l.call("echo"); err != nil {
		t.Errorf("after keys that the broker does not take: %v", err)
	}
	l.Allow(l.list(first, second))
	l.client.Rekey(0, l.keys(second))
	l.logged(replaced, 1)
	l.client.Rekey(0, l.keys(second)) // which are in force
	l.Allow(l.list(second))
	if err := l.call("echo"); err != nil {
		t.Errorf("after keys that it takes: %v", err)
	}
}

// A broker that comes back with another key of its own is reached by the keys that were given before.
func TestABrokersOwnKeyIsReplaced(t *testing.T) {
	t.Parallel()
	own := curve.NewPair()
	l := lock(t, own)
	l.manned("echo")
	next := curve.NewPair()
	l.client.Rekey(0, &curve.Client{Server: next.Public, Own: own})
	l.logged(notTaken, 1)
	address := mdptest.Endpoint(l.Broker)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_ = mdptest.BrokerWith(t, broker.Config{Bind: []string{address}, Curve: &broker.Curve{Public: next.Public, Secret: next.Secret, Allowed: l.list(own)}})
	eventually(t, "the broker is back", func() bool {
		state, epoch := l.client.State(0)
		return state == gateway.Up && epoch == 1
	})
}
