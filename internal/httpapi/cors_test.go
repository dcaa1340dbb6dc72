package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"mdpgateway/internal/gateway"
)

const (
	lab  = "https://lab.example"
	evil = "https://evil.example"
)

// asked is the headers that a browser asks leave for, as it writes them.
const asked = "authorization,content-type,flowgraph-vars,prefer,traceparent,x-request-id"

func (g *testServer) preflight(path, origin, method, headers string) answer {
	g.t.Helper()
	h := []string{"Origin: " + origin, "Access-Control-Request-Method: " + method}
	if headers != "" {
		h = append(h, "Access-Control-Request-Headers: "+headers)
	}
	return g.do(g.http, http.MethodOptions, path, nil, h...)
}

func TestAPreflightSaysWhatATrustedPageMaySend(t *testing.T) {
	for _, c := range []struct {
		origins                 []string
		origin, method, headers string
		want                    string // Access-Control-Allow-Origin
	}{
		{[]string{lab}, lab, "POST", asked, lab},
		{[]string{"http://other.example", lab}, lab, "GET", "", lab},
		{[]string{"*"}, evil, "POST", asked, "*"},
		{[]string{lab}, evil, "POST", asked, ""},
		{[]string{lab}, "null", "POST", asked, ""},
		{[]string{lab}, lab + ".evil", "POST", "", ""},
		{[]string{lab}, "http://lab.example", "POST", "", ""},
		{[]string{lab}, lab, "DELETE", "", lab},
		{[]string{lab}, lab, "PUT", "", ""},
		{[]string{lab}, lab, "POST", "cookie", ""},
		{nil, lab, "POST", asked, ""},
	} {
		// With keys and draining: nothing that refuses comes first.
		g := serve(t, Config{Origins: c.origins, Access: keys(t)})
		g.Drain()
		for _, path := range []string{"/services/echo", "/services/nobody", "/livez", "/nothing"} {
			a := g.preflight(path, c.origin, c.method, c.headers)
			if a.StatusCode != http.StatusNoContent || len(a.body) != 0 {
				t.Errorf("%s for %v: got %d %q, want 204", path, c, a.StatusCode, a.body)
			}
			a.wantHeader(t, "Access-Control-Allow-Origin", c.want)
			a.wantHeader(t, "Access-Control-Allow-Credentials", "")
			if c.want != "" {
				a.wantHeader(t, "Access-Control-Allow-Methods", c.method)
				a.wantHeader(t, "Access-Control-Allow-Headers", c.headers)
				a.wantHeader(t, "Access-Control-Max-Age", "600")
			}
			if vary := strings.Join(a.Header.Values("Vary"), ","); !strings.Contains(vary, "Origin") {
				t.Errorf("Vary is %q, want Origin in it", vary)
			}
		}
	}
}

// A page must be able to read why it was refused, or its user sees a network
// error.
func TestATrustedPageReadsEveryAnswer(t *testing.T) {
	g := serve(t, Config{Origins: []string{lab}, Access: keys(t), MaxHeader: 4000})
	for _, c := range []struct {
		name string
		got  answer
		want int
	}{
		{"reply", g.post("/services/echo", "x", "Origin: "+lab, bearer("all")), 200},
		{"no key", g.post("/services/echo", "x", "Origin: "+lab), 401},
		{"another key", g.post("/services/echo", "x", "Origin: "+lab, bearer("other")), 403},
		{"no route", g.get("/nothing", "Origin: "+lab, bearer("all")), 404},
		{"bad name", g.post("/services/%20", "x", "Origin: "+lab, bearer("all")), 400},
		{"long headers", g.get("/livez", "Origin: "+lab, "A: "+strings.Repeat("x", 4000)), 431},
	} {
		if c.got.StatusCode != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, c.got.StatusCode, c.got.body, c.want)
		}
		c.got.wantHeader(t, "Access-Control-Allow-Origin", lab)
		c.got.wantHeader(t, "Vary", "Accept, Prefer, Origin")
		exposed := strings.Split(c.got.Header.Get("Access-Control-Expose-Headers"), ", ")
		for _, name := range []string{"X-Request-Id", "Server-Timing", "Retry-After", "Preference-Applied", "Timeout-Applied"} {
			if !slices.Contains(exposed, name) {
				t.Errorf("%s: %s is not exposed: %v", c.name, name, exposed)
			}
		}
	}
	a := g.post("/services/echo", "x", "Origin: "+evil, bearer("all"))
	a.wantProblem(t, gateway.OriginRefused)
	a.wantHeader(t, "Access-Control-Allow-Origin", "")
	a.wantHeader(t, "Access-Control-Expose-Headers", "")
}

func TestTrustedOriginsAreSwappedWhileRequestsRun(t *testing.T) {
	running, end := make(chan struct{}), make(chan struct{})
	g := serve(t, Config{Origins: []string{lab}, Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		if call.Service == "slow" {
			close(running)
			<-end
		}
		return echo(ctx, call)
	})})
	release := sync.OnceFunc(func() { close(end) })
	t.Cleanup(release) // before that of serve, which waits for all requests
	slow := make(chan answer, 1)
	go func() { slow <- g.post("/services/slow", "x", "Origin: "+lab) }()
	<-running
	if err := g.Trust([]string{evil}); err != nil {
		t.Fatal(err)
	}
	g.post("/services/echo", "x", "Origin: "+lab).wantProblem(t, gateway.OriginRefused)
	a := g.post("/services/echo", "x", "Origin: "+evil)
	a.wantBody(t, 200, "x")
	a.wantHeader(t, "Access-Control-Allow-Origin", evil)
	a.wantHeader(t, "Timing-Allow-Origin", evil)
	if err := g.Trust([]string{lab, "no origin"}); err == nil {
		t.Error("a text that is no origin is taken for one")
	}
	g.post("/services/echo", "x", "Origin: "+evil).wantBody(t, 200, "x")
	release()
	a = <-slow
	a.wantBody(t, 200, "x")
	a.wantHeader(t, "Access-Control-Allow-Origin", lab)
}

func TestOnlyWhatBrowsersSendIsAnOrigin(t *testing.T) {
	for _, origin := range []string{"*", lab, "http://localhost:3000", "http://127.0.0.1:8000", "https://[::1]:8443", "capacitor://localhost", "https://a.b:80", "http://a.b:443"} {
		if err := CheckOrigin(origin); err != nil {
			t.Errorf("%s: got %v", origin, err)
		}
	}
	for _, origin := range []string{
		"", "null", "lab.example", "https://", "https://lab.example/", "https://lab.example/x", "https://lab.example?x", "https://lab.example#x", "https://Lab.example",
		"HTTPS://lab.example", "https://u:p@lab.example", "https://lab.example:443", "http://lab.example:80", "https://lab.example:", "https://:443",
		"https://*.lab.example", "https://a,https://b", " https://lab.example", "https://lab.example:x", "//lab.example",
	} {
		err := CheckOrigin(origin)
		if want := fmt.Sprintf("origin is %q, want one like https://lab.example or http://localhost:3000, or * for any", origin); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", origin, err, want)
		}
	}
}

// Browsers send few headers; a stranger may send as many as fit.
func TestAHugePreflightCostsLittle(t *testing.T) {
	g := serve(t, Config{Origins: []string{lab}, MaxHeader: 200 << 10})
	g.preflight("/services/echo", lab, "POST", strings.Repeat("a,", 50<<10)+"a").wantHeader(t, "Access-Control-Allow-Origin", "")
	huge := strings.Repeat(",", 100<<10)
	allocs := testing.AllocsPerRun(20, func() {
		w := discard{header: make(http.Header)}
		g.origins.Load().cors.HandlerFunc(w, &http.Request{Method: http.MethodOptions, Header: http.Header{
			"Origin": {lab}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {huge},
		}})
	})
	if allocs > 20 {
		t.Errorf("a preflight of 100 KiB allocates %v times, want a few", allocs)
	}
}

// discard is a ResponseWriter that keeps nothing but headers.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
