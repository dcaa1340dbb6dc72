package chaos

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"mdpgateway/internal/mdp/mdptest"
)

// Broker and worker are at the other end of a wire that drops all packets or some,
// delays them, or is unplugged.
func TestPacketsThatAreDroppedOrDelayed(t *testing.T) {
	t.Parallel()
	w, err := newWire(t)
	if err != nil {
		t.Skipf("no wire can be laid on this machine: %v", err)
	}
	ledgers := t.TempDir()
	b := attachBroker(spawn(t, "broker", nil, w.there(brokerAt("tcp://"+w.address+":*")...)...))
	startWorker(t, b.endpoint, ledgers, w.there()...)
	spawn(t, "demo worker", nil, w.there(binary, "worker", "--broker", b.endpoint, "--dialect", "mdp/0.2")...)
	for _, service := range []string{"fast", "sleep"} {
		mdptest.WaitForService(t, b.endpoint, service)
	}
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--connect-timeout", "10s")
	g.works("fast")

	t.Run("all are dropped", func(t *testing.T) {
		linkGoesAndReturns(t, g, func() { w.loss.Store(100) }, func() { w.loss.Store(0) })
	})
	t.Run("the link is down", func(t *testing.T) {
		linkGoesAndReturns(t, g, func() { w.link("down") }, func() { w.link("up") })
	})
	t.Run("30 % are dropped", func(t *testing.T) {
		w.loss.Store(30)
		l := callsOver(g, "lossy")
		w.loss.Store(0)
		t.Logf("%v; %v", l, w)
		l.check(t, executed(t, ledgers))
		if l.answered == 0 || w.dropped.Load() == 0 {
			t.Errorf("%d calls were answered, %d packets dropped, want some", l.answered, w.dropped.Load())
		}
		// One end of some connections has given up, and the other notices it now.
		eventually(t, "all calls are answered again", func() bool {
			l := callsOver(g, "whole again")
			return l.answered == l.sent
		})
	})
	t.Run("each takes 100 ms", func(t *testing.T) {
		w.delay.Store(int64(100 * time.Millisecond))
		defer w.delay.Store(0)
		start := time.Now()
		l := callsOver(g, "slow")
		took := time.Since(start)
		t.Logf("%v", l)
		l.check(t, executed(t, ledgers))
		if l.answered != l.sent || took < callsEach*200*time.Millisecond {
			t.Errorf("%v, after %v, want all answered, each after 200 ms at least", l, took)
		}
	})
}

// linkGoesAndReturns breaks the link under calls in flight and restores it.
func linkGoesAndReturns(t *testing.T, g *gateway, begin, end func()) {
	answers := inFlight(g, 50)
	strays := g.metric("mdp_gateway_stray_replies_total")
	start := time.Now()
	begin()
	all := answers()
	wantWithin(t, start, 20*time.Second, "50 calls in flight had ended")
	wantLost(t, all)
	wantUnavailable(t, g)
	end()
	start = time.Now()
	g.works("fast")
	wantWithin(t, start, 15*time.Second, "the link is back: answered again")
	if n := g.metric("mdp_gateway_stray_replies_total") - strays; n != 0 {
		t.Errorf("%v stray replies, want none: nothing of the link's former life arrives", n)
	}
}

const callsEach = 20

// callsOver makes calls from sixteen callers, each of which makes one at a time.
func callsOver(g *gateway, name string) *ledger {
	l := &ledger{codes: map[string]int{}}
	var running sync.WaitGroup
	for caller := range 16 {
		running.Go(func() {
			for i := range callsEach {
				value := fmt.Sprintf("%s-%d-%d", name, caller, i)
				ctx, cancel := context.WithTimeout(context.Background(), longest)
				a, err := g.post(ctx, "fast?timeout=10s", value)
				l.note(ctx, value, false, a, err)
				cancel()
			}
		})
	}
	running.Wait()
	return l
}
