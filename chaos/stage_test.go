package chaos

import (
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

// A stage is a gateway with five brokers:
//   - a, whose process is killed and stopped;
//   - e, to which the same happens at the same time; its dialect is mdpx/1;
//   - b, behind a link that is cut, stalled and throttled; its dialect is declared;
//   - c, which repeats some replies, late; its dialect is declared, and nobody else's;
//   - d, at the end of a wire that loses packets, if this machine allows one.
//
// Workers of a, b and e are killed and stopped, too.
type stage struct {
	// Set once.
	t       *testing.T
	ledgers string
	link    *mdptest.Proxy
	wire    *wire // nil if there is none
	gateway *gateway
	b, d    *broker

	// Owned by the goroutine that causes trouble.
	random  *rand.Rand
	a, e    *broker
	workers []*process // two of a, two of b, two of e

	repeats atomic.Int64
}

func newStage(t *testing.T, random *rand.Rand) *stage {
	s := &stage{t: t, random: random, ledgers: t.TempDir(), a: startBroker(t, ""), b: startBroker(t, ""), e: startBroker(t, "")}
	s.link = mdptest.NewProxy(t, s.b.endpoint)
	for _, b := range []*broker{s.a, s.b, s.e} {
		s.workers = append(s.workers, startWorker(t, b.endpoint, s.ledgers), startWorker(t, b.endpoint, s.ledgers))
		s.await(b)
	}
	far, serve := s.layWire()
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	content := fmt.Sprintf(`
listen: 127.0.0.1:0
pool-max: 8
pool-idle: 5s
timeout: 5s
log-level: info
slow-log: 1m
brokers:
  - {name: a, endpoint: "%s", dialect: mdp/0.2}
  - {name: e, endpoint: "%s", dialect: mdpx/1}
  - name: b
    endpoint: "%s"
    dialect: {header: MDPC02, delimiter: {request: false, reply: false}, request: "\x01", partial: "\x02", final: "\x03"}
  - name: c
    endpoint: "%s"
    dialect: {header: LAB1, delimiter: {reply: false}, request: ask, partial: part, final: done, padded: true, status_frame: {ok: ok, failed: no}}
%sservices:
  fast: {brokers: [%s], vars: none}
  slow: {brokers: [%s], vars: none}
  narrow: {brokers: [e], vars: none}
  twice: {brokers: [c], vars: none}
  twice-apart: {brokers: [c], vars: none, reuse: false}
`, s.a.endpoint, s.e.endpoint, s.link.Endpoint(), s.repeater().Endpoint(), far, serve, serve)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway = attach(t, spawn(t, "gateway", nil, binary, "serve", "--config", config))
	s.allUp()
	return s
}

func (s *stage) await(b *broker) {
	for service := range delays {
		mdptest.WaitForService(s.t, b.endpoint, service)
	}
}

// layWire starts d if it can. It returns the configuration of d and the names of the
// brokers that have workers.
func (s *stage) layWire() (line, brokers string) {
	w, err := newWire(s.t)
	if err != nil {
		s.t.Logf("no packets are dropped, because no wire can be laid on this machine: %v", err)
		return "", "a, b, e"
	}
	s.wire = w
	s.d = attachBroker(spawn(s.t, "broker", nil, w.there(brokerAt("tcp://"+w.address+":*")...)...))
	startWorker(s.t, s.d.endpoint, s.ledgers, w.there()...)
	s.await(s.d)
	return fmt.Sprintf("  - {name: d, endpoint: %q, dialect: mdp/0.2}\n", s.d.endpoint), "a, b, e, d"
}

// allUp waits until the gateway is connected to all brokers.
func (s *stage) allUp() {
	want := 4.0
	if s.wire != nil {
		want = 5
	}
	eventually(s.t, "all brokers are up", func() bool { return s.gateway.metric("mdp_gateway_broker_up{") == want })
}

// repeater starts a broker that answers by itself and sends one reply in a hundred again,
// up to 20 ms later. A request is an empty frame, LAB1, ask, the
// service and the body.
func (s *stage) repeater() *mdptest.Router {
	var r *mdptest.Router
	var ready sync.WaitGroup
	ready.Add(1)
	defer ready.Done()
	r = mdptest.NewRouter(s.t, func(id []byte, m [][]byte) [][][]byte {
		ready.Wait()
		reply := [][]byte{m[1], []byte("done"), m[3]}
		if string(m[3]) == mdp.MMIService {
			return [][][]byte{append(reply, []byte("ok"), []byte(mdp.StatusFound))}
		}
		reply = append(append(reply, nil, []byte("ok")), m[4:]...)
		if rand.IntN(100) == 0 {
			s.repeats.Add(1)
			time.AfterFunc(rand.N(20*time.Millisecond), func() { r.Send(id, reply) })
		}
		return [][][]byte{reply}
	})
	return r
}

// A trouble is something that goes wrong and is repaired.
type trouble struct {
	name       string
	begin, end func()
}

// troubles returns all troubles, which must not overlap.
func (s *stage) troubles(storm func()) []trouble {
	nothing := func() {}
	i := 0 // the worker in trouble
	pick := func() *process {
		i = s.random.IntN(len(s.workers))
		return s.workers[i]
	}
	all := []trouble{
		{"broker killed", func() { s.a.kill(); s.e.kill() }, func() { s.a, s.e = startBroker(s.t, s.a.endpoint), startBroker(s.t, s.e.endpoint) }},
		{"broker stopped", func() { s.a.signal(syscall.SIGSTOP); s.e.signal(syscall.SIGSTOP) }, func() { s.a.signal(syscall.SIGCONT); s.e.signal(syscall.SIGCONT) }},
		{"link stalled", s.link.Stall, s.link.Resume},
		{"link cut", func() { s.link.Refuse(true); s.link.Cut() }, func() { s.link.Refuse(false) }},
		{"link slow", func() { s.link.Throttle(10_000) }, func() { s.link.Throttle(0) }},
		{"worker killed", func() { pick().kill() }, func() {
			s.workers[i] = startWorker(s.t, [...]*broker{s.a, s.b, s.e}[i/2].endpoint, s.ledgers)
		}},
		{"worker stopped", func() { pick().signal(syscall.SIGSTOP) }, func() { s.workers[i].signal(syscall.SIGCONT) }},
		{"storm of cancellations", storm, nothing},
	}
	if w := s.wire; w != nil {
		all = append(all,
			trouble{"all packets dropped", func() { w.loss.Store(100) }, func() { w.loss.Store(0) }},
			trouble{"a third of the packets dropped", func() { w.loss.Store(33) }, func() { w.loss.Store(0) }},
			trouble{"wire unplugged", func() { w.link("down") }, func() { w.link("up") }})
	}
	return all
}
