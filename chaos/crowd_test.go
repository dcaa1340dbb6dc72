package chaos

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The variables that make this program a crowd of strangers: the gateway, and how many they are.
const (
	crowdEnv     = "CHAOS_CROWD"
	crowdSizeEnv = "CHAOS_CROWD_SIZE"
)

// Strangers hold as many connections as they get, and open others in place of those
// that the gateway closes. A caller and the probe are answered all the same.
//
// The strangers are a process with the least priority: what they need of the CPU is no
// work of the gateway's, which they would have machines of their own for.
func TestACallerIsAnsweredAmongHostileConnections(t *testing.T) {
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	p := startPod(t, b.endpoint, "header-timeout: 5s\n")
	quiet := p.timeRounds(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	crowd := spawn(t, "crowd", []string{crowdEnv + "=" + p.url, crowdSizeEnv + "=" + strconv.Itoa(many(10_000))}, "nice", "-n", "19", self)
	held := crowd.logged("each had a connection or was refused", "held")
	start := time.Now()
	p.alive(t)
	livez := time.Since(start)
	among := p.timeRounds(t)
	figure(t, "%s connections of strangers: a caller's p99 is %v, and %v without them; /livez after %v; at most %d MiB",
		held, among, quiet, livez.Round(time.Millisecond), p.peak()>>20)
	if p.peak() > peakLimit {
		t.Errorf("held %d MiB, want at most %d", p.peak()>>20, peakLimit>>20)
	}
	if *timed && (among > 5*quiet || livez > time.Second) {
		t.Errorf("p99 %v and /livez %v, want at most five times %v and 1 s", among, livez, quiet)
	}
}

// timeRounds makes calls one after the other, in rounds, and returns the median of the
// rounds' 99th percentiles: a pause of the machine spoils one of them.
func (p *pod) timeRounds(t *testing.T) time.Duration {
	t.Helper()
	const rounds, calls = 5, 200
	var all []time.Duration
	for range rounds {
		var took []time.Duration
		for range calls {
			start := time.Now()
			if status := p.call(p.caller, "application/json", `{"body":"hello"}`); status != http.StatusOK {
				t.Errorf("a call with a valid key: got %d, want 200", status)
			}
			took = append(took, time.Since(start))
		}
		all = append(all, percentile(took, 0.99))
	}
	slices.Sort(all)
	t.Logf("the 99th percentiles of %d rounds: %v", rounds, all)
	return all[rounds/2]
}

// runCrowd is this program's main if it is a crowd.
func runCrowd() int {
	n, err := strconv.Atoi(os.Getenv(crowdSizeEnv))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p := &pod{gateway: &gateway{url: os.Getenv(crowdEnv)}}
	var held, tried atomic.Int64
	var strangers sync.WaitGroup
	for i := range n {
		strangers.Go(func() { p.holdOne(ctx, i, &held, &tried) })
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for tried.Load() < int64(n) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return 1
		}
	}
	fmt.Fprintf(os.Stderr, "{\"msg\":\"each had a connection or was refused\",\"held\":\"%d\"}\n", held.Load())
	strangers.Wait()
	return 0
}

// holdOne keeps one connection of one of three kinds, until ctx ends.
func (p *pod) holdOne(ctx context.Context, i int, held, tried *atomic.Int64) {
	for ctx.Err() == nil {
		c, err := p.dial(i)
		if err == nil {
			held.Add(1)
			tried.Add(1)
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			silent := func(net.Conn) error { return nil }
			if [...]func(net.Conn) error{endlessHeaders, unauthorized, silent}[i%3](c) == nil {
				_, _ = io.Copy(io.Discard, c)
			}
			stop()
			_ = c.Close()
			held.Add(-1)
		} else {
			tried.Add(1)
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
}
