package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var chaosFor = flag.Duration("chaos", 25*time.Second, "how long TestChaos runs")

const (
	callers = 32
	stormOf = 500 // calls that their callers cancel

	// longest is more than any call of TestChaos may take: its timeout, the queue
	// and the answer.
	longest = 30 * time.Second
)

// call makes one call of a random kind and enters it into the ledger.
func (s *stage) call(l *ledger, random *rand.Rand, value string) {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	query := ""
	switch random.IntN(10) {
	case 0, 1, 2:
		query = fmt.Sprintf("?timeout=%dms", 1+random.IntN(100))
	case 3, 4:
		timer := time.AfterFunc(time.Duration(random.IntN(50))*time.Millisecond, cancel)
		defer timer.Stop()
	}
	s.enter(ctx, l, random, query, value)
}

func (s *stage) enter(ctx context.Context, l *ledger, random *rand.Rand, query, value string) {
	service := [...]string{"fast", "fast", "slow", "twice", "twice-apart", narrow}[random.IntN(6)]
	a, err := s.gateway.post(ctx, service+query, value)
	l.note(ctx, value, service == "twice", a, err)
}

// storm makes calls that their callers cancel within 20 ms.
func (s *stage) storm(l *ledger, name string) {
	var running sync.WaitGroup
	for i := range stormOf {
		leaves := time.Duration(s.random.IntN(20)) * time.Millisecond
		random := rand.New(rand.NewPCG(s.random.Uint64(), 0))
		running.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), longest)
			defer cancel()
			defer time.AfterFunc(leaves, cancel).Stop()
			s.enter(ctx, l, random, "", fmt.Sprintf("%s-%d", name, i))
		})
	}
	running.Wait()
}

// makeTrouble causes one trouble after the other, in a new order each round, until
// ctx ends. A run of less than a minute has shorter pauses, so that each trouble
// occurs once. It prints its progress twenty times.
func (s *stage) makeTrouble(ctx context.Context, l *ledger) {
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	scale := min(1, chaosFor.Seconds()/60)
	between := func(from, to time.Duration, scale float64) time.Duration {
		return time.Duration(scale * float64(from+time.Duration(s.random.Int64N(int64(to-from)))))
	}
	storms := 0
	all := s.troubles(func() { storms++; s.storm(l, fmt.Sprint("storm", storms)) })
	times := make([]int, len(all))
	start, shown := time.Now(), time.Now()
	for ctx.Err() == nil {
		for nth, i := range s.random.Perm(len(all)) {
			pause(between(0, 2*time.Second, scale))
			if ctx.Err() != nil {
				break
			}
			times[i]++
			all[i].begin()
			lasts := scale
			if nth == 0 {
				lasts = 1 // the heartbeats of a stopped broker are missed after 4.5 s
			}
			pause(between(500*time.Millisecond, 6500*time.Millisecond, lasts))
			all[i].end()
			if time.Since(shown) > *chaosFor/20 {
				shown = time.Now()
				s.t.Logf("%3.0f s, last: %s; %v", time.Since(start).Seconds(), all[i].name, l)
			}
		}
	}
	var had []string
	for i, trouble := range all {
		had = append(had, fmt.Sprintf("%s %d", trouble.name, times[i]))
	}
	s.t.Logf("caused: %s", strings.Join(had, ", "))
}

// Processes are killed and stopped, links are cut, and replies are repeated. Every
// call gets one answer: its own reply or a true error. No call hangs, nothing is left
// behind, and no call ran of which the gateway says that it did not.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %v", seed, *chaosFor)
	s := newStage(t, rand.New(rand.NewPCG(seed, 0)))
	l := &ledger{codes: map[string]int{}}
	warm := rand.New(rand.NewPCG(seed, 1))
	for i := range 200 {
		s.call(l, warm, fmt.Sprint("warm-", i))
	}
	before := s.gateway.emptied()

	ctx, cancel := context.WithTimeout(context.Background(), *chaosFor)
	defer cancel()
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(100+caller)))
			for i := 0; ctx.Err() == nil; i++ {
				s.call(l, random, fmt.Sprintf("%d-%d", caller, i))
			}
		})
	}
	s.makeTrouble(ctx, l)
	running.Wait()

	s.allUp()
	for _, service := range []string{"fast", "slow", "twice", "twice-apart", narrow} {
		s.gateway.works(service)
	}
	after := s.gateway.emptied()
	t.Logf("before: %v; after: %v", before, after)
	if after.files > before.files+8 || after.goroutines > before.goroutines+8 {
		t.Errorf("held before: %v, after: %v, want nothing left behind: %v", before, after, s.gateway.descriptors())
	}
	t.Logf("%v; leaked %d files, %d goroutines", l, after.files-before.files, after.goroutines-before.goroutines)
	t.Logf("%d replies were repeated, late: %d of them crossed where connections are shared; with reuse: false they would be among the %d above",
		s.repeats.Load(), len(l.repeated), len(l.crossed))
	t.Logf("reconnects %v, stray replies %v", s.gateway.metric("mdp_gateway_broker_reconnects_total"),
		s.gateway.metric("mdp_gateway_stray_replies_total"))
	saved := s.gateway.metric("mdp_gateway_requests_saved_total")
	if t.Logf("the broker of mdpx/1 said of %v calls that were given up that no worker had them: executed is no", saved); saved == 0 {
		t.Error("no call was given up while it waited at the broker of mdpx/1")
	}
	if s.wire != nil {
		t.Log(s.wire)
	}
	l.check(t, executed(t, s.ledgers))
	s.gateway.signal(syscall.SIGTERM)
	if code := s.gateway.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
