package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

var chaosFor = flag.Duration("chaos", time.Minute, "how long TestChaos runs")

// longest is more than any call of TestChaos may take: its time-out, the queue
// and the answer.
const longest = 30 * time.Second

// A stage is a gateway with three brokers: a, whose process is killed and
// stopped; b, behind a link that is cut, stalled and throttled; and c, which
// repeats some replies, late. Workers of a and b die and stop, too.
type stage struct {
	t       *testing.T
	random  *rand.Rand // owned by the goroutine of trouble
	ledgers string
	a, b    *broker
	link    *mdptest.Proxy
	workers []*process // owned by the goroutine of trouble, from there on
	repeats atomic.Int64
	gateway *gateway
}

func newStage(t *testing.T, random *rand.Rand) *stage {
	s := &stage{t: t, random: random, ledgers: t.TempDir(), a: startBroker(t, ""), b: startBroker(t, "")}
	s.link = mdptest.NewProxy(t, s.b.endpoint)
	for _, b := range []*broker{s.a, s.b} {
		s.workers = append(s.workers, startWorker(t, b.endpoint, s.ledgers), startWorker(t, b.endpoint, s.ledgers))
		mdptest.WaitForService(t, b.endpoint, "fast")
		mdptest.WaitForService(t, b.endpoint, "slow")
	}
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	content := fmt.Sprintf(`
listen: 127.0.0.1:0
pool-max: 8
timeout: 5s
log-level: info
slow-log: 1m
brokers:
  - {name: a, endpoint: "%s", dialect: mdp/0.2}
  - {name: b, endpoint: "%s", dialect: mdp/0.2}
  - {name: c, endpoint: "%s", dialect: mdp/0.1}
services:
  fast: {brokers: [a, b], vars: none}
  slow: {brokers: [a, b], vars: none}
  twice: {brokers: [c], vars: none}
  twice-apart: {brokers: [c], vars: none, reuse: false}
`, s.a.endpoint, s.link.Endpoint(), s.repeater().Endpoint())
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway = attach(t, spawn(t, "gateway", nil, binary, "serve", "--config", config))
	eventually(t, "all brokers are up", func() bool { return s.gateway.metric("mdp_gateway_broker_up{") == 3 })
	return s
}

// repeater is a broker that answers by itself and sends one reply in a hundred
// again, up to 20 ms later.
func (s *stage) repeater() *mdptest.Router {
	var r *mdptest.Router
	var ready sync.WaitGroup
	ready.Add(1)
	defer ready.Done()
	r = mdptest.NewRouter(s.t, func(id []byte, m [][]byte) [][][]byte {
		ready.Wait()
		if len(m) == 4 && string(m[2]) == mdp.MMIService {
			return [][][]byte{{nil, m[1], m[2], []byte(mdp.StatusFound)}}
		}
		if rand.IntN(100) == 0 {
			s.repeats.Add(1)
			time.AfterFunc(rand.N(20*time.Millisecond), func() { r.Send(id, m) })
		}
		return [][][]byte{m}
	})
	return r
}

// trouble does one thing wrong, and rights it again.
func (s *stage) trouble(pause func(time.Duration)) (what string) {
	while := time.Duration(1+s.random.IntN(5)) * time.Second
	i := s.random.IntN(len(s.workers))
	switch s.random.IntN(7) {
	case 0:
		what = "broker killed"
		s.a.kill()
		pause(while / 2)
		s.a = startBroker(s.t, s.a.endpoint)
	case 1:
		what = "broker stopped"
		s.a.signal(syscall.SIGSTOP)
		pause(while)
		s.a.signal(syscall.SIGCONT)
	case 2:
		what = "link stalled"
		s.link.Stall()
		pause(while)
		s.link.Resume()
	case 3:
		what = "link cut"
		s.link.Refuse(true)
		s.link.Cut()
		pause(while / 4)
		s.link.Refuse(false)
	case 4:
		what = "link slow"
		s.link.Throttle(10_000)
		pause(while)
		s.link.Throttle(0)
	case 5:
		what = "worker killed"
		s.workers[i].kill()
		s.workers[i] = startWorker(s.t, [...]string{s.a.endpoint, s.b.endpoint}[i/2], s.ledgers)
	default:
		what = "worker stopped"
		s.workers[i].signal(syscall.SIGSTOP)
		pause(while)
		s.workers[i].signal(syscall.SIGCONT)
	}
	return what
}

// call makes one call of a random kind and enters it.
func (s *stage) call(l *ledger, random *rand.Rand, value string) {
	service := [...]string{"fast", "fast", "slow", "twice", "twice-apart"}[random.IntN(5)]
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	path := service
	switch random.IntN(10) {
	case 0, 1, 2:
		path += fmt.Sprintf("?timeout=%dms", 1+random.IntN(100))
	case 3, 4:
		timer := time.AfterFunc(time.Duration(random.IntN(50))*time.Millisecond, cancel)
		defer timer.Stop()
	}
	a, err := s.gateway.post(ctx, path, value)
	l.note(ctx, value, service == "twice", a, err)
}

// Whatever is killed, stopped, cut and repeated: every call has one answer, its
// own or a true error; none hangs; nothing is left behind; and what is said not
// to have been executed was not.
func TestChaos(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %v", seed, *chaosFor)
	s := newStage(t, rand.New(rand.NewPCG(seed, 0)))
	l := &ledger{codes: map[string]int{}}
	warm := rand.New(rand.NewPCG(seed, 1))
	for i := range 200 {
		s.call(l, warm, fmt.Sprint("warm-", i))
	}
	before := s.gateway.atRest()

	ctx, cancel := context.WithTimeout(context.Background(), *chaosFor)
	defer cancel()
	var running sync.WaitGroup
	for caller := range 32 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(100+caller)))
			for i := 0; ctx.Err() == nil; i++ {
				s.call(l, random, fmt.Sprintf("%d-%d", caller, i))
			}
		})
	}
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	for start, shown := time.Now(), time.Now(); ctx.Err() == nil; {
		pause(time.Duration(s.random.IntN(2000)) * time.Millisecond)
		what := s.trouble(pause)
		if time.Since(shown) > *chaosFor/20 {
			shown = time.Now()
			t.Logf("%3.0f s, last: %s; %v", time.Since(start).Seconds(), what, l)
		}
	}
	running.Wait()

	eventually(t, "all brokers are up again", func() bool { return s.gateway.metric("mdp_gateway_broker_up{") == 3 })
	for _, service := range []string{"fast", "slow", "twice", "twice-apart"} {
		s.gateway.works(service)
	}
	after := s.gateway.atRest()
	t.Logf("before: %v; after: %v", before, after)
	if after.files > before.files+8*3 || after.goroutines > before.goroutines+16 {
		t.Errorf("held before: %v, after: %v, want nothing left behind: %v", before, after, s.gateway.descriptors())
	}
	t.Logf("%v; %d replies were repeated; reconnects %v, stray replies %v", l, s.repeats.Load(),
		s.gateway.metric("mdp_gateway_broker_reconnects_total"), s.gateway.metric("mdp_gateway_stray_replies_total"))
	l.check(t, executed(t, s.ledgers))
	s.gateway.signal(syscall.SIGTERM)
	if code := s.gateway.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
