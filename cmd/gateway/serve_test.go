package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

func TestACallGoesFromHTTPToAWorkerAndBack(t *testing.T) {
	g := start(t)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })

	a := g.post("echo", `{"body":"hello","vars":{"sf":7,"has_crc":false}}`)
	if got := fmt.Sprint(a.data()); a.status != 200 || got != "[hello {'sf': 7, 'has_crc': False}]" {
		t.Errorf("JSON: got %d %s", a.status, a.body)
	}
	samples := string([]byte{0, 255, 128, 65, 10})
	a = request(t, newClient(t), http.MethodPost, g.url+"/services/echo?frame=0", "application/octet-stream", samples, "Flowgraph-Vars", `{"sf":7}`)
	if a.status != 200 || string(a.body) != samples || a.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("raw: got %d %q", a.status, a.body)
	}
	a = g.post("vars", `{"vars":{"sf":7.0,"list":[1,null]}}`)
	if got := fmt.Sprint(a.data()); got != "[{'sf': 7.0, 'list': [1, None]}]" {
		t.Errorf("vars: got %s", a.body)
	}
	metrics := string(g.get("/metrics").body)
	for _, line := range []string{
		`mdp_gateway_requests_total{outcome="ok",service="vars"} 1`,
		`mdp_gateway_broker_up{endpoint="embedded"} 1`,
		`mdp_gateway_http_requests_total{code="200",method="POST",route="/services/{name}"}`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("/metrics has no line %s", line)
		}
	}
	if code := g.end(); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestACallGoesOverHTTP2WithoutTLS(t *testing.T) {
	g := start(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	eventually(t, "the demo worker answers", func() bool {
		a := request(t, client, http.MethodPost, g.url+"/services/echo", "application/json", `{"body":"hi"}`)
		return a.status == 200 && fmt.Sprint(a.data()) == "[hi]"
	})
}

func TestWorkersOfEveryDialectAreReachableAtOnce(t *testing.T) {
	g := start(t)
	for i, d := range []*mdp.Dialect{mdp.V01, mdp.V02, mdp.Loudify} {
		service := fmt.Sprintf("mine-%d", i)
		mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Dialect: d, Services: map[string]worker.Handler{service: echoBack}})
		a := g.post(service, `{"body":"hi","vars":{}}`)
		if got := fmt.Sprint(a.data()); a.status != 200 || got != "[hi {}]" {
			t.Errorf("%v: got %d %s", d, a.status, a.body)
		}
	}
}

func echoBack(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	return body, nil
}

// hang never answers.
func hang(ctx context.Context, _ [][]byte, _ func([][]byte) error) ([][]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// randomly makes a handler that echoes after a random time.
func randomly(seed uint64, number *atomic.Uint64) worker.Handler {
	return func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		random := rand.New(rand.NewPCG(seed, number.Add(1)))
		select {
		case <-time.After(time.Duration(random.ExpFloat64() * float64(time.Millisecond))):
		case <-ctx.Done():
		}
		return body, nil
	}
}

func TestAnUnknownServiceIsRefusedAtOnceAndNeverSent(t *testing.T) {
	var asked atomic.Int64
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if string(m[2]) != mdp.MMIService {
			asked.Add(1)
			return nil
		}
		return [][][]byte{{nil, []byte("MDPC01"), []byte(mdp.MMIService), []byte("404")}}
	})
	g := start(t, "--broker", broker.Endpoint())
	for i := range 5 {
		problem(t, g.post(fmt.Sprintf("nobody-%d", i), `{"body":"hi"}`), 404, "service_not_found", "no")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests reached the broker, want none", n)
	}
}

func TestWhereNoBrokerListensACallFailsAtOnce(t *testing.T) {
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	g := start(t, "--broker", gone.Endpoint(), "--timeout", "20s")
	for range 3 {
		a := g.post("echo", `{"body":"hi"}`)
		problem(t, a, 503, "broker_unavailable", "no")
		if a.json("retryable") != true || a.header.Get("Retry-After") == "" {
			t.Errorf("got %s, Retry-After %q, want it retryable", a.body, a.header.Get("Retry-After"))
		}
	}
	if a := g.get("/readyz"); a.status != 503 {
		t.Errorf("readyz: got %d %s, want 503: no broker was ever reached", a.status, a.body)
	}
	if a := g.get("/livez"); a.status != 200 {
		t.Errorf("livez: got %d, want 200", a.status)
	}
}

func TestReadyBrokerSaysHowReadyzFollowsTheBrokers(t *testing.T) {
	broker := mdptest.NewRouter(t, nil)
	once := start(t, "--broker", broker.Endpoint())
	always := start(t, "--broker", broker.Endpoint(), "--ready-broker", "always")
	never := start(t, "--broker", broker.Endpoint(), "--ready-broker", "never")
	is := func(g *running, status int, text string) func() bool {
		return func() bool {
			a := g.get("/readyz")
			return a.status == status && strings.Contains(string(a.body), text)
		}
	}
	all := []*running{once, always, never}
	for _, g := range all {
		eventually(t, "the broker is reached", is(g, 200, `{"ready":true}`))
	}
	broker.Close()
	eventually(t, "always: not ready without the broker", is(always, 503, "no broker can be reached"))
	eventually(t, "start: ready, but the broker is missed", is(once, 200, "degraded"))
	eventually(t, "never: the same", is(never, 200, "degraded"))
	mdptest.NewRouterAt(t, broker.Endpoint(), nil)
	for _, g := range all {
		eventually(t, "the broker is back", is(g, 200, `{"ready":true}`))
	}
}

func TestAWorkerThatNeverAnswersIsATimeOutThatSaysWhichLimitItMet(t *testing.T) {
	t.Parallel()
	g := start(t, "--timeout", "900ms", "--max-timeout", "1200ms")
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	for _, c := range []struct {
		query, by string
		header    []string
		limit     float64
	}{
		{"", "--timeout", nil, 900},
		{"?timeout=600ms", "?timeout", nil, 600},
		{"?timeout=1m", "--max-timeout", nil, 1200},
		{"", "--max-timeout", []string{"Prefer", "wait=2"}, 1200},
	} {
		a := g.post("sleep"+c.query, `{"body":"1m"}`, c.header...)
		problem(t, a, 504, "timeout", "maybe")
		if a.json("stage") != "broker" || a.json("limit_ms") != c.limit || a.json("limit_by") != c.by {
			t.Errorf("%s %v: got %s, want the limit %v by %s", c.query, c.header, a.body, c.limit, c.by)
		}
	}
	if a := g.post("echo", `{"body":"next"}`); a.status != 200 {
		t.Errorf("the next call: got %d %s", a.status, a.body)
	}
}

func TestRequestsThatWereGivenUpAreCountedWhileTheyMayStillRun(t *testing.T) {
	t.Parallel()
	g := start(t)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	for range 3 {
		problem(t, g.post("sleep?timeout=1s", `{"body":"1m"}`), 504, "timeout", "maybe")
	}
	if metrics := string(g.get("/metrics").body); !strings.Contains(metrics, `mdp_gateway_orphaned_requests{service="sleep"} 3`) {
		t.Error("the three requests that were given up are not counted as orphans")
	}
}

func TestAScannerCreatesNoSeries(t *testing.T) {
	g := start(t)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	before := strings.Count(string(g.get("/metrics").body), "\n")
	const names = 2000
	client := newClient(t)
	var running sync.WaitGroup
	for scanner := range 16 {
		running.Go(func() {
			for i := range names / 16 {
				r, _ := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/services/scan-%d-%d", g.url, scanner, i), strings.NewReader("{}"))
				r.Header.Set("Content-Type", "application/json")
				a, err := do(client, r)
				if err != nil || a.status != 404 && a.status != 503 {
					t.Errorf("got %d %s, %v", a.status, a.body, err)
					return
				}
			}
		})
	}
	running.Wait()
	if a := g.post("echo", `{"body":"still here"}`); a.status != 200 {
		t.Errorf("a known service: got %d %s", a.status, a.body)
	}
	// What is new: _unknown with its outcomes, and the codes of the answers.
	after := strings.Count(string(g.get("/metrics").body), "\n")
	if after-before > 300 {
		t.Errorf("%d names made %d lines more, want no more than those of one service and of the codes", names, after-before)
	}
	if strings.Contains(string(g.get("/metrics").body), "scan-") {
		t.Error("a name that nobody serves is in the metrics")
	}
}

func TestTheBrokersDeathEndsEveryCallInFlight(t *testing.T) {
	broker := spawn(t, "broker", "--bind", "tcp://127.0.0.1:*")
	endpoint := broker.logged(t, "broker listens", "endpoint")
	mdptest.WorkerWith(t, worker.Config{Endpoint: endpoint, Concurrency: 8, Services: map[string]worker.Handler{"hang": hang, "echo": echoBack}})
	g := start(t, "--broker", endpoint, "--pool-reserve", "0", "--queue-timeout", "20s")
	client := newClient(t)
	const calls = 200
	answers := make(chan answered, calls)
	for range calls {
		go func() {
			r, _ := http.NewRequest(http.MethodPost, g.url+"/services/hang", strings.NewReader(`{"body":"hi"}`))
			r.Header.Set("Content-Type", "application/json")
			a, err := do(client, r)
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
	}
	eventually(t, "all calls are in flight", func() bool {
		return strings.Contains(string(g.get("/metrics").body), fmt.Sprintf(`mdp_gateway_pool_connections{state="busy"} %d`, calls))
	})
	killed := time.Now()
	if err := broker.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range calls {
		problem(t, <-answers, 502, "broker_lost", "maybe")
	}
	t.Logf("the last of %d calls ended %v after the kill", calls, time.Since(killed))
	problem(t, g.post("hang", `{}`), 503, "broker_unavailable", "no")
	if a := g.get("/readyz"); a.status != 200 || !strings.Contains(string(a.body), "degraded") {
		t.Errorf("readyz: got %d %s, want 200 and the lost broker's name", a.status, a.body)
	}

	again := spawn(t, "broker", "--bind", endpoint)
	again.logged(t, "broker listens", "endpoint")
	eventually(t, "calls work again", func() bool { return g.post("echo", `{"body":"back"}`).status == 200 })
}

func TestEveryAnswerIsTheCallersOwn(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := start(t, "--pool-max", "48", "--queue-timeout", "20s")
	var workers atomic.Uint64
	slow := randomly(seed, &workers)
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Dialect: mdp.V01, Concurrency: 4, Services: map[string]worker.Handler{"slow": slow}})
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Dialect: mdp.V02, Concurrency: 2, Services: map[string]worker.Handler{"slow": slow}})
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Dialect: mdp.Loudify, Concurrency: 2, Services: map[string]worker.Handler{"slow": slow}})

	// A service that has answered is called even if the broker is then too slow to
	// say whether it has it.
	eventually(t, "the service answers", func() bool { return g.post("slow", `{}`).status == http.StatusOK })

	const callers, calls = 64, 6400
	client := newClient(t)
	var mine, timedOut, left atomic.Int64
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(1000+caller)))
			for i := range calls / callers {
				own := fmt.Sprintf("%d-%d", caller, i)
				switch outcome := callOnce(t, client, g.url, own, random); outcome {
				case http.StatusOK:
					mine.Add(1)
				case http.StatusGatewayTimeout, http.StatusServiceUnavailable:
					timedOut.Add(1)
				default:
					left.Add(1)
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d answered, %d timed out, %d left by their callers", mine.Load(), timedOut.Load(), left.Load())
	if mine.Load() == 0 || timedOut.Load() == 0 || left.Load() == 0 {
		t.Error("want some of each")
	}
	eventually(t, "nothing is left in flight", func() bool {
		return strings.Contains(string(g.get("/metrics").body), `mdp_gateway_pool_connections{state="busy"} 0`)
	})
}

// callOnce makes one call that may time out or be left by its caller, and checks
// that the answer, if there is one, is its own. It returns the status, 0 if the
// caller left.
func callOnce(t *testing.T, client *http.Client, url, own string, random *rand.Rand) int {
	after := time.Duration(random.ExpFloat64() * float64(20*time.Millisecond))
	query := ""
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"body":"`+own+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	leaves := false
	switch random.IntN(5) {
	case 0:
		query = "?timeout=" + max(after, time.Microsecond).String()
	case 1:
		ctx, cancel := context.WithTimeout(context.Background(), after)
		defer cancel()
		r, leaves = r.WithContext(ctx), true
	}
	if r.URL, err = r.URL.Parse("/services/slow" + query); err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := do(client, r)
	if err != nil {
		if !leaves {
			t.Errorf("%s: %v", own, err)
		}
		return 0
	}
	if got := a.data(); a.status == http.StatusOK && (len(got) != 1 || got[0] != own) {
		t.Errorf("%s got the answer %q", own, got)
	}
	// On a busy machine the broker may be taken for lost a moment; then nothing was sent.
	unsent := a.status == http.StatusServiceUnavailable && strings.Contains(string(a.body), `"executed":"no"`)
	if a.status != http.StatusOK && query == "" && !leaves && !unsent {
		t.Errorf("%s: got %d %s", own, a.status, a.body)
	}
	return a.status
}

func TestTheDrainLetsOpenCallsEnd(t *testing.T) {
	g := start(t, "--drain", "20s")
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	open := make(chan answered, 1)
	go func() { open <- g.post("sleep", `{"body":"700ms"}`) }()
	eventually(t, "the call is in flight", func() bool {
		return strings.Contains(string(g.get("/metrics").body), `mdp_gateway_pool_connections{state="busy"} 1`)
	})
	if code := g.end(); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
	if a := <-open; a.status != 200 {
		t.Errorf("the open call: got %d %s, want its reply", a.status, a.body)
	}
}

func TestTheEndOfTheDrainInterruptsWhatIsOpen(t *testing.T) {
	g := start(t, "--drain", "100ms")
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	open := make(chan answered, 1)
	go func() { open <- g.post("sleep", `{"body":"1m"}`) }()
	eventually(t, "the call is in flight", func() bool {
		return strings.Contains(string(g.get("/metrics").body), `mdp_gateway_pool_connections{state="busy"} 1`)
	})
	if code := g.end(); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
	problem(t, <-open, 502, "interrupted", "maybe")
}

// Callers who keep their connections open are all answered: with a reply, or that the
// gateway is draining, after which they go elsewhere.
func TestAShutdownLosesNoCallOfThoseWhoKeepTheirConnections(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := start(t, "--drain-delay", "300ms", "--drain", "30s")
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	var callers sync.WaitGroup
	var answered, told atomic.Int64
	warm := make(chan struct{}, 1000)
	for i := range 60 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			client := newClient(t)
			for {
				resp, err := client.Post(g.url+"/services/echo", "application/json", strings.NewReader(`{"body":"x"}`))
				if err != nil {
					t.Errorf("after %d answers a call was lost: %v", answered.Load(), err)
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode == http.StatusServiceUnavailable {
					if err != nil {
						t.Errorf("an answer broke off: %v", err)
					}
					told.Add(1)
					return
				}
				if n := answered.Add(1); n <= int64(cap(warm)) {
					warm <- struct{}{}
				}
				time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond) // what a caller does with the answer
			}
		})
	}
	for range cap(warm) / 2 {
		<-warm
	}
	if code := g.end(); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
	callers.Wait()
	t.Logf("%d calls were answered", answered.Load())
	if told.Load() != 60 {
		t.Errorf("%d of 60 callers were told that the gateway is draining", told.Load())
	}
}

func TestAPortThatIsTakenStopsTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, args := range [][]string{
		{"--listen", taken.Addr().String(), "--embedded-bind", "tcp://127.0.0.1:*"},
		{"--listen", "127.0.0.1:0", "--embedded-bind", "tcp://" + taken.Addr().String()},
	} {
		var stderr strings.Builder
		code := run(t.Context(), append([]string{"serve", "--log-level", "error"}, args...), nil, io.Discard, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), "address already in use") || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%v: exit code %d, %q, want one line that the address is in use", args, code, stderr.String())
		}
	}
}

func TestMetricsAndProfilesCanHaveAListenerOfTheirOwn(t *testing.T) {
	g := start(t, "--admin-listen", "127.0.0.1:0")
	client := newClient(t)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/livez", "/readyz"} {
		if a := request(t, client, http.MethodGet, g.admin+path, "", ""); a.status != 200 && path != "/readyz" {
			t.Errorf("admin %s: got %d, want 200", path, a.status)
		}
	}
	for _, host := range []string{"foreign.example", "foreign.example:8081", "127.0.0.1.foreign.example"} {
		r := g.request(t, http.MethodGet, "", nil, nil)
		r.URL.Host, r.URL.Path, r.Host = strings.TrimPrefix(g.admin, "http://"), "/debug/pprof/", host
		if a, err := do(client, r); err != nil || a.status != http.StatusForbidden {
			t.Errorf("admin as %s: got %d %s, %v, want 403", host, a.status, a.body, err)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if a := g.get(path); a.status != 404 {
			t.Errorf("api %s: got %d, want 404", path, a.status)
		}
	}
}

func TestServicesAreDiscovered(t *testing.T) {
	g := start(t)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	a := g.get("/services/echo")
	if a.status != 200 || a.json("availability") != "up" || a.json("catalogued") != false || a.json("vars") != "python" {
		t.Errorf("got %d %s, want echo to be up", a.status, a.body)
	}
	if a = g.get("/services"); a.status != 200 || !strings.Contains(string(a.body), `"name":"echo"`) {
		t.Errorf("got %d %s, want echo in it", a.status, a.body)
	}
	problem(t, g.get("/services/nobody"), 404, "service_not_found", "no")
	a = g.post("echo/dry-run", `{"body":"hi","vars":{"sf":7}}`)
	if frames, _ := a.json("frames").([]any); a.status != 200 || a.json("dialect") != "mdpx/1" || len(frames) != 7 {
		t.Errorf("dry run: got %d %s, want the seven frames of the message", a.status, a.body)
	}
}
