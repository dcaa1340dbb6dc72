package httpapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-chi/chi/v5"

	"mdpgateway/internal/access"
	"mdpgateway/internal/gateway"
)

// keys are those of the tests: one for all services, one for another service than
// echo, one that expired, and limited ones.
func keys(t *testing.T) *access.Store {
	t.Helper()
	var file strings.Builder
	for id, rest := range map[string]string{
		"all": "services: ['*']", "other": "services: ['lora_*', other]", "old": "services: ['*'], expires: 2020-01-01",
		"scraper": "metrics: true", "slow": "services: ['*'], rate: 2/h", "narrow": "services: ['*'], max_in_flight: 1",
	} {
		fmt.Fprintf(&file, "- {id: %s, sha256: %x, %s}\n", id, sha256.Sum256([]byte("key-"+id)), rest)
	}
	k, err := access.ParseList("keys", []byte(file.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return access.NewStore(k, nil)
}

// bearer is the header with the key of that id.
func bearer(id string) string { return "Authorization: Bearer key-" + id }

// endless is a body that never ends and can't be known to have been read.
type endless struct{ read atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read.Add(int64(len(p)))
	return len(p), nil
}

// open reports whether a route needs no key: the probes, and the pages that ask
// for one, with the way to them.
func open(path string) bool {
	return path == "/livez" || path == "/readyz" || path == "/" || path == "/docs" || strings.HasPrefix(path, "/docs/") ||
		path == "/console" || strings.HasPrefix(path, "/console/")
}

// A showing is one way to show who calls, and what comes of it.
type showing struct {
	name    string
	client  *http.Client // default: that of the server
	headers []string
	told    string // what the observer is told on a route that everybody known may use
}

// Every route, and what is none, with every sort of proof.
func TestEveryRouteNeedsAKeyButTheProbesAndThePage(t *testing.T) {
	g := serve(t, Config{Access: keys(t), Metrics: someMetrics})
	g.proves(t, []showing{
		{"no key", nil, nil, "_none missing"},
		{"a wrong key", nil, []string{bearer("nobody")}, "_invalid invalid"},
		{"another scheme", nil, []string{"Authorization: Basic key-all"}, "_invalid invalid"},
		{"an expired key", nil, []string{bearer("old")}, "old expired"},
		{"a key of another service", nil, []string{bearer("other")}, "other ok"},
		{"the right key", nil, []string{bearer("all")}, "all ok"},
		{"a key for the metrics", nil, []string{bearer("scraper")}, "scraper ok"},
	})
}

var someMetrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up 1\n") })

// proves shows every one of showings on every route. The routes are walked, so that a new one can't be forgotten. The
// principals are those of keys: all, other, old and scraper.
func (g *testServer) proves(t *testing.T, showings []showing) {
	type route struct{ method, path string }
	routes := []route{{"GET", "/nothing"}, {"POST", "/livez"}, {"GET", "/services/echo"}, {"OPTIONS", "/services/echo"}, {"BREW", "/livez"}, {"POST", "/docs"}, {"GET", "/services/echo/x"}, {"GET", "/docs/a/b"}}
	err := chi.Walk(g.mux, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, route{method, strings.NewReplacer("{name}", "echo", "{file}", "docs.js").Replace(pattern)})
		return nil
	})
	if err != nil || len(routes) < 15 {
		t.Fatalf("%d routes, %v", len(routes), err)
	}
	for _, r := range routes {
		for _, c := range showings {
			told, code := expected(r.method, r.path, c.told)
			t.Run(fmt.Sprintf("%s %s with %s", r.method, r.path, c.name), func(t *testing.T) {
				g.seen.mu.Lock()
				g.seen.told = nil
				g.seen.mu.Unlock()
				client := c.client
				if client == nil {
					client = g.http
				}
				a := g.do(client, r.method, r.path, nil, c.headers...)
				<-g.seen.done
				if got := strings.Join(g.seen.told, ","); got != told {
					t.Errorf("the observer is told of %q, want %q", got, told)
				}
				if r.method == "HEAD" {
					if (a.StatusCode == 401) != (code == gateway.Unauthorized) {
						t.Errorf("got %d, want 401 only for %s", a.StatusCode, code)
					}
				} else if code != "" {
					a.wantProblem(t, code)
				} else if call := r.method == "POST" && strings.HasPrefix(r.path, "/services/echo"); a.StatusCode == 401 || a.StatusCode == 403 || call && a.StatusCode != 200 {
					t.Errorf("got %d %s, want it let through", a.StatusCode, a.body)
				}
				_, result, _ := strings.Cut(told, " ")
				a.wantHeader(t, "WWW-Authenticate", challenges[result])
			})
		}
	}
}

// challenges are those of the results of a refused proof (RFC 6750 section 3).
var challenges = map[string]string{
	"missing": `Bearer realm="mdp-gateway"`,
	"invalid": `Bearer realm="mdp-gateway", error="invalid_token"`,
	"expired": `Bearer realm="mdp-gateway", error="invalid_token", error_description="expired"`,
}

// expected returns what the observer is told on a route, and the code of the refusal, empty for none.
func expected(method, path, told string) (string, gateway.Kind) {
	read := method == "GET" || method == "HEAD"
	principal, result, _ := strings.Cut(told, " ")
	switch {
	case open(path) && read && path != "/docs/a/b":
		return "", ""
	case result != "ok":
		return told, gateway.Unauthorized
	case (path == "/metrics" || path == "/calls") && read && principal != "scraper",
		path == "/services/echo" && (read || method == "POST") && principal != "all",
		path == "/services/echo/dry-run" && method == "POST" && principal != "all":
		return principal + " forbidden", gateway.Forbidden
	}
	return told, ""
}

func TestTheContractSaysWhichRoutesNeedAKey(t *testing.T) {
	for path, item := range readContract(t).Paths {
		for method, op := range item.Operations {
			open := open(path)
			_, refuses := op.Responses["401"]
			if free := op.Security != nil && len(*op.Security) == 0; free != open || refuses == open {
				t.Errorf("%s %s needs no key: %v, answers 401: %v, want %v and %v", method, path, free, refuses, open, !open)
			}
		}
	}
}

// A caller without leave learns nothing of services, and costs nothing: neither
// its body is read nor is the caller asked, be the name good, bad or unknown.
func TestAKeyIsCheckedBeforeTheBodyTheNameAndTheBroker(t *testing.T) {
	var called atomic.Int64
	g := serve(t, Config{Access: keys(t), Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		called.Add(1)
		return gateway.Reply{}, &gateway.Error{Kind: gateway.ServiceNotFound}
	})})
	for _, c := range []struct {
		key  string
		want gateway.Kind
	}{{"nobody", gateway.Unauthorized}, {"old", gateway.Unauthorized}, {"other", gateway.Forbidden}} {
		var details []string
		for _, name := range []string{"echo", "nobody-offers-this", "mmi.service", "%20", strings.Repeat("x", 256)} {
			if c.want == gateway.Forbidden && (name[0] == '%' || name[0] == 'x') {
				continue // no name of a service at all, which any valid key may be told
			}
			body := new(endless)
			a := g.do(g.http, "POST", "/services/"+name, body, "Content-Type: application/octet-stream", bearer(c.key))
			p := a.wantProblem(t, c.want)
			if name != "mmi.service" {
				details = append(details, fmt.Sprint(p["detail"], p["title"], p["executed"], len(p)))
			}
			if n := body.read.Load(); n > 8<<20 {
				t.Errorf("%s to %s: %d bytes of the body were taken", c.key, name, n)
			}
		}
		if len(slices.Compact(details)) != 1 {
			t.Errorf("%s: the answers tell names apart: %q", c.key, details)
		}
	}
	if n := called.Load(); n != 0 {
		t.Errorf("%d calls were made, want none", n)
	}
}

func TestAKeyOverItsRateIsToldToComeBack(t *testing.T) {
	g := serve(t, Config{Access: keys(t)})
	for range 2 {
		g.post("/services/echo", "x", bearer("slow")).wantBody(t, 200, "x")
	}
	a := g.post("/services/echo", "x", bearer("slow"))
	p := a.wantProblem(t, gateway.RateLimited)
	if p["reason"] != "rate" || p["executed"] != "no" || p["retryable"] != true || p["service"] != "echo" {
		t.Errorf("the problem is %v, want the reason rate, not executed, retryable", p)
	}
	if after := a.Header.Get("Retry-After"); after != "1" && after != "2" && after != "3" {
		t.Errorf("Retry-After is %q, want 1 to 3", after)
	}
	g.post("/services/echo", "x", bearer("all")).wantBody(t, 200, "x")
	g.stop()
	if got := g.seen.told; slices.Index(got, "slow rate_limited") != 2 {
		t.Errorf("the observer was told of %q, want the third to be rate_limited", got)
	}
}

func TestEveryRequestCountsTowardsTheRateOfItsKey(t *testing.T) {
	g := serve(t, Config{Access: keys(t)})
	g.post("/services/echo", "x", bearer("slow")).wantBody(t, 200, "x")
	if a := g.get("/openapi.json", bearer("slow")); a.StatusCode != 200 {
		t.Errorf("the second request is answered %d, want 200", a.StatusCode)
	}
	for _, path := range []string{"/openapi.json", "/services", "/services/echo", "/version", "/nothing"} {
		g.get(path, bearer("slow")).wantProblem(t, gateway.RateLimited)
	}
	g.get("/livez", bearer("slow")).wantBody(t, 200, "{\"live\":true}\n")
	g.post("/services/echo", "x", bearer("slow")).wantProblem(t, gateway.RateLimited)
}

func TestAKeyHasItsShareOfCallsInFlight(t *testing.T) {
	running, end := make(chan struct{}, 1), make(chan struct{})
	g := serve(t, Config{Access: keys(t), Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		if call.Service == "slow" {
			running <- struct{}{}
			<-end
		}
		return echo(ctx, call)
	})})
	release := sync.OnceFunc(func() { close(end) })
	t.Cleanup(release) // before that of serve, which waits for all requests
	first := make(chan answer, 1)
	go func() { first <- g.post("/services/slow", "x", bearer("narrow")) }()
	<-running
	g.post("/services/echo", "x", bearer("narrow")).wantProblem(t, gateway.RateLimited)
	g.post("/services/echo", "x", bearer("all")).wantBody(t, 200, "x")
	release()
	a := <-first
	a.wantBody(t, 200, "x")
	for range 3 { // the place is given back when the handler returns, just after the answer
		<-g.seen.done
	}
	for _, body := range []string{"{", `{"body":"x"}`} { // a call that fails early gives its place back too
		g.do(g.http, "POST", "/services/echo", strings.NewReader(body), "Content-Type: application/json", bearer("narrow"))
		<-g.seen.done
	}
	g.post("/services/echo", "x", bearer("narrow")).wantBody(t, 200, "x")
}

func TestTheLogNamesTheKeyAndNeverShowsIt(t *testing.T) {
	g := serve(t, Config{Access: keys(t)})
	g.post("/services/echo", "x", bearer("all"))
	g.post("/services/echo", "x", bearer("old"))
	g.post("/services/echo", "x", bearer("stolen"))
	g.post("/services/echo", "x")
	g.get("/livez", bearer("all"))
	g.stop()
	var ids []string
	for _, entry := range g.logs.FilterMessage("request").All() {
		fields := entry.ContextMap()
		id, _ := fields["principal"].(string)
		ids = append(ids, id)
		if text := fmt.Sprint(entry.Message, fields); strings.Contains(text, "key-") {
			t.Errorf("the log shows a key: %s", text)
		}
	}
	if want := []string{"all", "old", "_invalid", "_none", ""}; !slices.Equal(ids, want) {
		t.Errorf("the log names the keys %q, want %q", ids, want)
	}
}

// A key is rotated without a request being refused: add, switch, remove.
func TestKeysAreRotatedWhileRequestsRun(t *testing.T) {
	parse := func(ids ...string) *access.List {
		var file strings.Builder
		for _, id := range ids {
			fmt.Fprintf(&file, "- {id: %s, sha256: %x, services: [echo]}\n", id, sha256.Sum256([]byte("key-"+id)))
		}
		k, err := access.ParseList("keys", []byte(file.String()), nil)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	store := access.NewStore(parse("key-0"), nil)
	g := serve(t, Config{Access: store})
	var current atomic.Value
	current.Store("key-0")
	sent, stop, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			id := current.Load().(string)
			if a := g.post("/services/echo", "x", bearer(id)); a.StatusCode != 200 {
				t.Errorf("with %s: got %d %s, want every request let through", id, a.StatusCode, a.body)
			}
			select {
			case sent <- struct{}{}:
			case <-stop:
				return
			}
		}
	}()
	for i := range 20 {
		before, after := fmt.Sprint("key-", i), fmt.Sprint("key-", i+1)
		store.Swap(parse(before, after))
		current.Store(after)
		<-sent // of one that may have begun before the switch
		<-sent
		store.Swap(parse(after))
		g.post("/services/echo", "x", bearer(before)).wantProblem(t, gateway.Unauthorized)
	}
	close(stop)
	<-ended
}
