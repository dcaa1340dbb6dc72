package client_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// A link that goes dark says nothing: no connection breaks. Only the sentinel's
// heartbeats can tell.
func TestCallsInFlightEndWhenTheLinkGoesDark(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	link := mdptest.NewProxy(t, broker.Endpoint())
	p := newPool(t, client.Config{QueueTimeout: patience, ConnectTimeout: patience}, at(link.Endpoint()))
	const calls = 50
	var ended []<-chan error
	for range calls {
		ended = append(ended, inBackground(context.Background(), p, echo("hello")))
	}
	for range calls {
		await(t, arrived)
	}
	link.Stall()
	start := time.Now()
	for _, c := range ended {
		failure(t, await(t, c), gateway.BrokerLost, "")
	}
	t.Logf("%d calls ended %v after the link went dark", calls, time.Since(start).Round(time.Millisecond))

	start = time.Now()
	_, err := p.Call(context.Background(), echo("dark"))
	failure(t, err, gateway.BrokerUnavailable, "")
	t.Logf("a new call was refused within %v", time.Since(start).Round(time.Microsecond))
}

// Connections that break while the sentinel's own lives, so that neither it nor
// its grace ends a call: the calls' sockets see it themselves.
func TestCallsSeeThemselvesThatTheirConnectionsBroke(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	link := mdptest.NewProxy(t, broker.Endpoint())
	p := newPool(t, client.Config{QueueTimeout: patience, ConnectTimeout: patience}, at(link.Endpoint()))
	eventually(t, "the sentinel is connected", func() bool { return p.Stats().Endpoints[0].State == gateway.Up })
	const calls = 50
	var ended []<-chan error
	for range calls {
		ended = append(ended, inBackground(context.Background(), p, echo("hello")))
	}
	for range calls {
		await(t, arrived)
	}
	before := p.Stats().Endpoints[0].Since
	link.CutAfter(1)
	start := time.Now()
	for _, c := range ended {
		failure(t, await(t, c), gateway.BrokerLost, "")
	}
	t.Logf("%d calls ended %v after their connections broke", calls, time.Since(start).Round(time.Millisecond))
	if s := p.Stats().Endpoints[0]; s.State != gateway.Up || s.Reconnects != 0 || s.Since != before {
		t.Errorf("the sentinel: %+v, want its connection unharmed", s)
	}
}

func TestCallsWorkAgainWhenADarkLinkComesBack(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	link := mdptest.NewProxy(t, broker.Endpoint())
	p := newPool(t, client.Config{}, at(link.Endpoint()))
	mustCall(t, p, "before")
	link.Stall()
	eventually(t, "the endpoint is down", func() bool { return p.Stats().Endpoints[0].State == gateway.Down })
	link.Resume()
	start := time.Now()
	eventually(t, "calls work again", func() bool {
		reply, err := p.Call(context.Background(), echo("after"))
		return err == nil && text(reply) == "after"
	})
	t.Logf("calls worked %v after the link came back", time.Since(start).Round(time.Millisecond))
}

// The endpoint's name is asked of a name server that never answers; the other
// endpoint has an address.
func TestANameServerThatNeverAnswersStopsNoCallToOtherEndpoints(t *testing.T) {
	resolver, asked := mdptest.DeadNameServer(t)
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	p := newPool(t, client.Config{Resolver: resolver}, at("tcp://broker.invalid:5555"), at(broker.Endpoint()))
	eventually(t, "the name is asked for", func() bool { return asked.Load() > 0 })
	var slowest time.Duration
	for range 200 {
		start := time.Now()
		mustCall(t, p, "hello")
		slowest = max(slowest, time.Since(start))
	}
	t.Logf("the slowest of 200 calls took %v, the name was asked for %d times", slowest.Round(time.Microsecond), asked.Load())
	only := echo("hello")
	only.Brokers = []int{0}
	_, err := p.Call(context.Background(), only)
	failure(t, err, gateway.BrokerUnavailable, "")
}

// One of two brokers goes dark, dies and comes back under load: nobody fails but
// the calls that it had.
func TestABrokerInTroubleHarmsOnlyItsOwnCalls(t *testing.T) {
	steady := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	taken := make(chan struct{}, 1)
	shaky := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if string(m[len(m)-1]) != "hold" {
			return [][][]byte{m}
		}
		taken <- struct{}{}
		return nil
	})
	link := mdptest.NewProxy(t, shaky.Endpoint())
	p := newPool(t, client.Config{Max: 32}, at(steady.Endpoint()), at(link.Endpoint()))
	both := func() bool {
		s := p.Stats()
		return s.Endpoints[0].State == gateway.Up && s.Endpoints[1].State == gateway.Up
	}
	eventually(t, "both are up", both)
	var stop atomic.Bool
	var answered, own atomic.Int64
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			for !stop.Load() {
				reply, err := p.Call(context.Background(), echo("hello"))
				var e *gateway.Error
				switch {
				case err == nil && text(reply) == "hello":
					answered.Add(1)
				case errors.As(err, &e) && e.Kind == gateway.BrokerLost && reply.Broker == 1:
					own.Add(1)
				default:
					t.Errorf("got %q, %v of broker %d", reply.Frames, err, reply.Broker)
					return
				}
			}
		})
	}
	progress := func() {
		before := answered.Load()
		eventually(t, "calls are answered", func() bool { return answered.Load() > before+100 })
	}
	progress()
	held := echo("hold") // a call that is surely open at the broker when it goes dark
	held.Brokers = []int{1}
	lost := inBackground(context.Background(), p, held)
	await(t, taken)
	link.Stall()
	eventually(t, "the dark one is left out", func() bool { return p.Stats().Endpoints[1].State == gateway.Down })
	failure(t, await(t, lost), gateway.BrokerLost, "")
	progress()
	link.Resume()
	eventually(t, "both are up again", both)
	progress()
	link.Refuse(true)
	link.Cut()
	eventually(t, "the cut one is left out", func() bool { return p.Stats().Endpoints[1].State == gateway.Down })
	progress()
	link.Refuse(false)
	eventually(t, "both are up again", both)
	progress()
	stop.Store(true)
	running.Wait()
	t.Logf("%d answered, %d lost with their broker, %d reconnects", answered.Load(), own.Load(), p.Stats().Endpoints[1].Reconnects)
	if own.Load() > 64 {
		t.Errorf("%d calls were lost with their broker, want no more than were in flight", own.Load())
	}
}
