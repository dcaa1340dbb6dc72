package chaos

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Times are judged only if nothing else uses the machine.
var timed = flag.Bool("timed", false, "the tests of overload and storms last longer, and judge times")

const (
	places    = 8                      // of the pool, and as many workers
	work      = 100 * time.Millisecond // of each call, so 80 calls a second
	queueTime = 200 * time.Millisecond // --queue-timeout
	rate      = 3 * places * int(time.Second/work)
)

// percentile returns the duration that the given share does not exceed.
func percentile(took []time.Duration, share float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[int(share*float64(len(sorted)-1))].Round(100 * time.Microsecond)
}

// arrive makes calls at a rate that does not depend on their answers, catches up if it
// is late, and returns when all calls have ended.
func (l *load) arrive(g *gateway, perSecond int, while time.Duration, service, body string) {
	var calls sync.WaitGroup
	start := time.Now()
	for i := range int(while.Seconds() * float64(perSecond)) {
		<-time.After(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		calls.Go(func() { l.note(post(context.Background(), g.client, g.url, service, body))(body) })
	}
	calls.Wait()
}

// Three times as many calls arrive as the workers can do. Each is answered or refused
// as busy, the queue keeps its bound, and afterwards the gateway holds what it did.
func TestThreeTimesTheLoadIsAnsweredOrBusyAndLeavesNothing(t *testing.T) {
	b := startBroker(t, "")
	worker := spawn(t, "worker", nil, binary, "worker", "--broker", b.endpoint, "--dialect", "mdp/0.2", "--concurrency", strconv.Itoa(places))
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--pool-max", strconv.Itoa(places), "--pool-reserve", "0", "--queue-timeout", queueTime.String(), "--slow-log", "1m")
	g.works("sleep")
	quiet := newLoad(t)
	for range 50 {
		quiet.note(g.post(context.Background(), "sleep", work.String()))(work.String())
	}
	unloaded := percentile(quiet.took, 0.99)
	while := 5 * time.Second
	if *timed {
		while = 30 * time.Second
	}
	newLoad(t).arrive(g, rate, 2*time.Second, "sleep", work.String()) // for what a load allocates once
	before, beside := g.atRest(), worker.peak()

	var deepest atomic.Int64
	watching, stop := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() {
		for watching.Err() == nil {
			deepest.Store(max(deepest.Load(), int64(g.metric("mdp_gateway_queue_depth"))))
		}
	})
	l := newLoad(t)
	l.arrive(g, rate, while, "sleep", work.String())
	stop()
	watch.Wait()
	ended := time.Now()
	after := g.atRest()
	settled := time.Since(ended).Round(time.Millisecond)

	slowest, latest := percentile(l.took, 0.99), percentile(l.refused, 0.99)
	t.Logf("%v; unloaded p99 %v", l, unloaded)
	t.Logf("answered: p50 %v, p99 %v, max %v; refused: p50 %v, p99 %v, max %v; at most %d waited",
		percentile(l.took, 0.5), slowest, percentile(l.took, 1), percentile(l.refused, 0.5), latest, percentile(l.refused, 1), deepest.Load())
	t.Logf("before: %v; after: %v; at rest for a second %v after the load; the worker held %d MiB", before, after, settled, beside>>20)
	for _, code := range l.codes() {
		if code != "busy pool" && code != "busy queue" {
			t.Errorf("%v, want only answers and busy", l)
		}
	}
	if l.answers() == 0 || len(l.refused) == 0 {
		t.Errorf("%v, want both answers and refusals", l)
	}
	if deepest.Load() > 1024 {
		t.Errorf("%d calls waited, want at most --queue-max", deepest.Load())
	}
	after.within(t, before)
	if !*timed {
		return
	}
	if slowest > 2*unloaded+queueTime {
		t.Errorf("p99 of the answered is %v, want at most twice the unloaded %v and the queue's %v", slowest, unloaded, queueTime)
	}
	if latest > queueTime+50*time.Millisecond {
		t.Errorf("p99 of the refused is %v, want at most the queue's %v and 50 ms", latest, queueTime)
	}
	if settled > 3*time.Second { // which includes one second at rest
		t.Errorf("all was as before %v after the load, want 2 s", settled-time.Second)
	}
}

// within fails the test if a process holds more than it did: a quarter more, and the garbage that
// GOGC=200 lets lie beside a live heap of a few MiB.
func (u usage) within(t *testing.T, before usage) {
	t.Helper()
	if u.files > before.files+8 || u.goroutines > before.goroutines+16 || u.memory > before.memory+before.memory/4+24<<20 {
		t.Errorf("before: %v; after: %v, want nothing left behind", before, u)
	}
}

// One service takes all connections that it may have, for minutes. Calls of the others
// are answered as before.
func TestASlowServiceDoesNotStarveTheOthers(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	for range 8 {
		startDemo(t, b.endpoint)
	}
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--pool-max", "20", "--pool-reserve", "0.1", "--queue-timeout", "60s")
	g.works("echo")
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	var slow sync.WaitGroup
	for range 60 {
		slow.Go(func() {
			if a, err := g.post(ctx, "sleep?timeout=5m", "4m"); err == nil {
				t.Errorf("the slow service: got %v, want it to take its time", a)
			}
		})
	}
	eventually(t, "it has all the places that it may have", func() bool {
		return g.metric(`mdp_gateway_pool_connections{state="busy"}`) == 18 && g.metric("mdp_gateway_queue_depth") == 42
	})
	for i := range 200 {
		if a := g.must("echo", fmt.Sprint(i)); a.status != http.StatusOK || a.data != fmt.Sprint(i) {
			t.Fatalf("another service: got %v", a)
		}
	}
	leave()
	slow.Wait()
	g.atRest()
}
