package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/mdp/mdptest"
)

// inFlight starts long calls and waits until the gateway has sent them. The function
// that it returns waits for their answers.
func inFlight(g *gateway, n int) (answers func() []answer) {
	g.t.Helper()
	results := make(chan answer, n)
	for range n {
		go func() {
			a, err := g.post(context.Background(), "sleep?timeout=1m", "50s")
			if err != nil {
				a.raw = err.Error()
			}
			results <- a
		}()
	}
	eventually(g.t, "the calls are in flight", func() bool {
		return int(g.metric(`mdp_gateway_pool_connections{state="busy"}`)) == n
	})
	return func() (all []answer) {
		for range n {
			all = append(all, <-results)
		}
		return all
	}
}

func wantLost(t *testing.T, answers []answer) {
	t.Helper()
	for _, a := range answers {
		if a.status != http.StatusBadGateway || a.code != "broker_lost" || a.executed != "maybe" {
			t.Errorf("got %v, want 502 broker_lost", a)
		}
	}
}

// wantWithin prints how long something took and fails the test if that is far too long.
func wantWithin(t *testing.T, start time.Time, far time.Duration, what string) {
	t.Helper()
	took := time.Since(start)
	t.Logf("%s after %v", what, took.Round(time.Millisecond))
	if took > far {
		t.Errorf("%s after %v, want far less than %v", what, took, far)
	}
}

func wantUnavailable(t *testing.T, g *gateway) {
	t.Helper()
	a := g.must("echo", "new")
	if a.status != http.StatusServiceUnavailable || a.code != "broker_unavailable" || a.executed != "no" {
		t.Errorf("a new call: got %v, want 503 broker_unavailable", a)
	}
	t.Logf("a new call was refused within %v", a.took.Round(time.Microsecond))
}

func TestABrokersDeathEndsItsCallsAndItsReturnLetsNewOnesIn(t *testing.T) {
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2")
	g.works("echo")
	const calls = 200
	answers := inFlight(g, calls)
	start := time.Now()
	b.kill()
	all := answers()
	wantWithin(t, start, 4*time.Second, fmt.Sprintf("kill -9: %d calls in flight had ended", calls))
	wantLost(t, all)
	wantUnavailable(t, g)

	start = time.Now()
	startBroker(t, b.endpoint)
	eventually(t, "the gateway is connected again", func() bool { return g.metric("mdp_gateway_broker_up{") == 1 })
	wantWithin(t, start, 15*time.Second, "the broker was started: connected again")
	g.works("echo")
	t.Logf("answered again after %v, with the worker's own return", time.Since(start).Round(time.Millisecond))
	if n := g.metric("mdp_gateway_stray_replies_total"); n != 0 {
		t.Errorf("%v stray replies, want none: nothing of the broker's former life arrives", n)
	}
}

func TestAStoppedBrokerEndsItsCallsAndAResumedOneServesAgain(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2")
	g.works("echo")
	answers := inFlight(g, 50)
	start := time.Now()
	b.signal(syscall.SIGSTOP)
	all := answers()
	wantWithin(t, start, 20*time.Second, "SIGSTOP: 50 calls in flight had ended")
	wantLost(t, all)
	wantUnavailable(t, g)
	b.signal(syscall.SIGCONT)
	start = time.Now()
	g.works("echo")
	wantWithin(t, start, 15*time.Second, "SIGCONT: answered again")
}

// A connection stays open while a body takes longer to arrive than any heartbeat.
func TestALargeBodyCrossesASlowLinkBothWays(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	link := mdptest.NewProxy(t, b.endpoint)
	g := startGateway(t, "--broker", link.Endpoint(), "--dialect", "mdp/0.2", "--timeout", "5m")
	g.works("echo")
	link.Throttle(4 << 20)
	start := time.Now()
	if got := upload(t, g, 24<<20); got != "ok" {
		t.Error(got)
	}
	t.Logf("24 MiB both ways at 4 MiB/s took %v", time.Since(start).Round(time.Millisecond))
	if n := g.metric("mdp_gateway_broker_reconnects_total{"); n != 0 {
		t.Errorf("%v reconnects meanwhile, want none", n)
	}
}

// If one of two brokers is killed or stopped, only its own calls fail.
func TestTheLossOfOneOfTwoBrokersIsNotNoticedByTheOthersCalls(t *testing.T) {
	t.Parallel()
	steady, shaky := startBroker(t, ""), startBroker(t, "")
	startDemo(t, steady.endpoint)
	startDemo(t, shaky.endpoint)
	g := startGateway(t, "--broker", steady.endpoint, "--broker", shaky.endpoint, "--dialect", "mdp/0.2")
	eventually(t, "both are up", func() bool { return g.metric("mdp_gateway_broker_up{") == 2 })
	g.works("echo")
	l := startLoad(t, g, 8, "echo")
	l.progress(200)
	for _, trouble := range []struct {
		name       string
		begin, end func()
	}{
		{"SIGSTOP", func() { shaky.signal(syscall.SIGSTOP) }, func() { shaky.signal(syscall.SIGCONT) }},
		{"kill -9", func() { shaky.kill() }, func() { shaky = startBroker(t, shaky.endpoint) }},
	} {
		trouble.begin()
		eventually(t, "one is left out", func() bool { return g.metric("mdp_gateway_broker_up{") == 1 })
		l.progress(200)
		trouble.end()
		eventually(t, "both are up again", func() bool { return g.metric("mdp_gateway_broker_up{") == 2 })
		l.progress(200)
		t.Logf("%s: so far %v", trouble.name, l)
	}
	l.stop()
	if codes := l.codes(); len(codes) > 1 || len(codes) == 1 && codes[0] != "broker_lost" {
		t.Errorf("errors: %v, want none but broker_lost", codes)
	}
	if lost := l.count("broker_lost"); lost > 2*8 {
		t.Errorf("%d calls were lost, want no more than were in flight", lost)
	}
	if n := g.metric(`mdp_gateway_broker_reconnects_total{`); n < 2 {
		t.Errorf("%v reconnects, want at least 2", n)
	}
}

func sorted(m map[string]int) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
