package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	soakFor  = flag.Duration("soak", 0, "how long TestSoak runs; 0: not at all")
	soakRate = flag.Int("rate", 100, "calls a second of TestSoak")
)

// A steady load runs for a long time. Its calls are answered, time out, are left by
// their callers, stream or carry 64 KiB. The test prints what the gateway holds at rest
// at the start, in the middle and at the end.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("no -soak says for how long; make soak runs this test for an hour")
	}
	b := startBroker(t, "")
	w := startDemo(t, b.endpoint)
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--pool-idle", "10s")
	s := &soak{t: t, gateway: g, beside: []*process{b.process, w}}
	s.run(min(*soakFor/20, time.Minute)) // first calls fill pools and caches
	s.show("warmed")
	start := s.rest("start")
	s.run(*soakFor / 2)
	middle := s.rest("middle")
	s.run(*soakFor / 2)
	end := s.rest("end")
	s.judge()
	for _, before := range []usage{start, middle} {
		if end.files > before.files+8 || end.goroutines > before.goroutines+8 {
			t.Errorf("before: %v, end: %v, want nothing left behind: %v", before, end, g.descriptors())
		}
	}
	if end.memory > middle.memory+middle.memory/4+8<<20 {
		t.Errorf("middle: %v, end: %v, want no growth", middle, end)
	}
}

// A soak counts the results of the calls.
type soak struct {
	t       *testing.T
	gateway *gateway
	beside  []*process

	begun                    time.Time // of the first call
	calls                    int       // owned by run
	right, late, left, wrong atomic.Int64
	refused                  atomic.Int64 // 503, a true answer on a busy machine
}

// run makes calls at the rate for the given time, one of twenty of each rarer kind, and
// prints its progress ten times. It returns when all calls have ended.
func (s *soak) run(d time.Duration) {
	var running sync.WaitGroup
	defer running.Wait()
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	start, shown, first := time.Now(), time.Now(), s.calls
	for next := start; next.Sub(start) < d; next = next.Add(time.Second / time.Duration(*soakRate)) {
		<-time.After(time.Until(next))
		n := s.calls
		s.calls++
		running.Go(func() { s.call(n) })
		if time.Since(shown) > d/10 {
			shown = time.Now()
			s.show(fmt.Sprintf("%.1f calls/s", float64(s.calls-first)/time.Since(start).Seconds()))
		}
	}
}

func (s *soak) call(n int) {
	unique := fmt.Sprintf("%dns", 5_000_000+n) // 5 ms
	switch n % 20 {
	case 0:
		// On a busy machine the reply may be there before the timeout is noticed.
		a, err := s.gateway.post(context.Background(), "sleep?timeout=50ms", "300ms")
		s.note(&s.late, err == nil && (a.code == "timeout" || a.reason == "deadline" || a.data == "300ms"), a.raw, err)
	case 1:
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		a, err := s.gateway.post(ctx, "sleep", "300ms")
		s.note(&s.left, errors.Is(err, context.DeadlineExceeded) || a.data == "300ms", a.raw, err)
	case 2:
		events, err := s.gateway.fetch("stream", "text/event-stream", "20")
		s.note(&s.right, err == nil && strings.Count(events, "event: partial\n") == 20 && strings.Contains(events, "event: final\n"), events, err)
	case 3:
		body := strings.Repeat(unique, 64<<10/len(unique))
		back, err := s.gateway.fetch("echo", "application/octet-stream", body)
		s.note(&s.right, err == nil && back == body, back, err)
	default:
		a, err := s.gateway.post(context.Background(), [...]string{"echo", "sleep"}[n%2], unique)
		s.note(&s.right, err == nil && a.status == http.StatusOK && a.data == unique, a.raw, err)
	}
}

func (s *soak) note(kind *atomic.Int64, expected bool, got string, err error) {
	switch {
	case expected:
		kind.Add(1)
	case strings.Contains(got, `"status":503`):
		s.refused.Add(1)
	case s.wrong.Add(1) <= 20:
		s.t.Errorf("got %.1000s, %v", got, err)
	}
}

// judge fails the test if calls went wrong, if more than 1 % were refused, or if a kind
// of result never occurred.
func (s *soak) judge() {
	if s.wrong.Load() > 0 {
		s.t.Errorf("%d calls went wrong, want none", s.wrong.Load())
	}
	if refused := s.refused.Load(); 100*refused > int64(s.calls) {
		s.t.Errorf("%d of %d calls were refused, want at most 1 %%", refused, s.calls)
	}
	if s.right.Load() == 0 || s.late.Load() == 0 || s.left.Load() == 0 {
		s.t.Errorf("%d right, %d late, %d left, want some of each", s.right.Load(), s.late.Load(), s.left.Load())
	}
}

func (s *soak) show(what string) {
	var beside []string
	for _, p := range s.beside {
		beside = append(beside, fmt.Sprintf("%s %d MiB", p.name, p.resident()>>20))
	}
	s.t.Logf("%4.0f s, %s: %d right, %d late, %d left, %d refused, %d wrong; %v; %s", time.Since(s.begun).Seconds(), what,
		s.right.Load(), s.late.Load(), s.left.Load(), s.refused.Load(), s.wrong.Load(), s.gateway.usage(), strings.Join(beside, ", "))
}

// rest waits until nothing is in flight and prints what the gateway holds then.
func (s *soak) rest(when string) usage {
	u := s.gateway.emptied()
	s.t.Logf("%s: %v", when, u)
	return u
}
