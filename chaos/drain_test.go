package chaos

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A balancer sends each request to a backend that is ready.
type balancer struct {
	mu        sync.Mutex
	backends  []*gateway // guarded by mu
	next      atomic.Uint64
	transport http.RoundTripper
}

func (b *balancer) set(i int, g *gateway) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends[i] = g
}

// ServeHTTP asks for readiness at every request, so that it notices a drain as early
// as a balancer can.
func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	backends := append([]*gateway(nil), b.backends...)
	b.mu.Unlock()
	for range backends {
		g := backends[b.next.Add(1)%uint64(len(backends))]
		response, err := g.client.Get(g.url + "/readyz")
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			continue
		}
		target, err := url.Parse(g.url)
		if err != nil {
			continue
		}
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.Transport = b.transport
		proxy.ServeHTTP(w, r)
		return
	}
	http.Error(w, "no backend", http.StatusBadGateway)
}

// Three gateways are replaced one after the other while calls of two seconds run
// through a balancer. No call fails.
func TestRollingThreeGatewaysFailsNoCall(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[h2], func(t *testing.T) {
			t.Parallel()
			b := startBroker(t, "")
			for range 4 {
				startDemo(t, b.endpoint)
			}
			start := func() *gateway {
				g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--drain-delay", "1s", "--drain", "30s")
				g.works("echo")
				return g
			}
			pool := &balancer{backends: []*gateway{start(), start(), start()}, transport: newClient(t, h2).Transport}
			front := httptest.NewServer(pool)
			defer front.Close()
			l := startLoadOn(t, newClient(t, false), front.URL, 9, "sleep", "2s")
			l.progress(9)
			for i := range pool.backends {
				old, fresh := pool.backends[i], start()
				old.signal(syscall.SIGTERM)
				pool.set(i, fresh)
				if code := old.exit(); code != 0 {
					t.Errorf("exit code %d, want 0", code)
				}
			}
			l.progress(9)
			l.stop()
			t.Logf("%v", l)
			if codes := l.codes(); len(codes) > 0 {
				t.Errorf("failed: %v, want none", l)
			}
		})
	}
}

func TestADrainThatEndsInterruptsWhatIsOpenAndASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--drain", "2s")
	g.works("echo")
	answers := inFlight(g, 2)
	g.signal(syscall.SIGTERM)
	for _, a := range answers() {
		if a.status != http.StatusBadGateway || a.code != "interrupted" || a.executed != "maybe" {
			t.Errorf("got %v, want 502 interrupted", a)
		}
	}
	if code := g.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	g = startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--drain", "10m")
	g.works("echo")
	lost := make(chan error, 1)
	go func() {
		_, err := g.post(context.Background(), "sleep?timeout=1m", "50s")
		lost <- err
	}()
	eventually(t, "the call is in flight", func() bool { return g.metric(`mdp_gateway_pool_connections{state="busy"}`) == 1 })
	g.signal(syscall.SIGTERM)
	g.logged("draining", "level")
	start := time.Now()
	eventually(t, "a second signal ends it", func() bool {
		g.signal(syscall.SIGTERM)
		select {
		case <-g.done:
			return true
		default:
			return false
		}
	})
	// A process without a handler ends in the same way; a shell shows 143.
	if status, ok := g.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want by the signal", g.cmd.ProcessState)
	}
	t.Logf("a second signal ended it after %v", time.Since(start).Round(time.Millisecond))
	if err := <-lost; err == nil {
		t.Error("the open call was answered, want its connection closed")
	}
}
