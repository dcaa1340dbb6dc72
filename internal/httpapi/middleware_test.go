package httpapi

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"mdpgateway/internal/gateway"
)

func TestTheRequestIdIsTheCallersIfItCanBeRepeated(t *testing.T) {
	g := serve(t, Config{})
	for _, id := range []string{"a", "web 7/§"[:6], strings.Repeat("x", 128), "~!"} {
		g.post("/services/echo", "x", "X-Request-Id: "+id).wantHeader(t, "X-Request-Id", id)
	}
	made := make(map[string]bool)
	for _, id := range []string{"", strings.Repeat("x", 129), "tab\there", "grün", "\x80"} {
		got := g.post("/services/echo", "x", "X-Request-Id: "+id).Header.Get("X-Request-Id")
		if raw, err := hex.DecodeString(got); err != nil || len(raw) != 16 || made[got] {
			t.Errorf("for %q the id is %q, want 128 bits in hex that no other has", id, got)
		}
		made[got] = true
	}
}

func TestAProblemTellsTheRequestId(t *testing.T) {
	g := serve(t, Config{})
	a := g.get("/nothing")
	if p := a.wantProblem(t, gateway.NotFound); p["request_id"] != a.Header.Get("X-Request-Id") || p["request_id"] == "" {
		t.Errorf("the problem's request_id is %v, the header's %q", p["request_id"], a.Header.Get("X-Request-Id"))
	}
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	g := serve(t, Config{})
	for _, a := range []answer{g.post("/services/echo", "x"), g.post("/services/mmi.x", "x"), g.get("/services/echo"), g.get("/problems")} {
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Security-Policy": "sandbox; default-src 'none'", "Vary": "Accept, Prefer, Origin",
		} {
			a.wantHeader(t, name, want)
		}
	}
	for _, h := range answerHeaders {
		if h.name == "Vary" && (len(h.value) != 1 || h.value[0] != "Accept, Prefer, Origin") {
			t.Errorf("an answer has changed the headers that all share: %v", h)
		}
	}
}

func TestPagesOfForeignOriginsCannotPost(t *testing.T) {
	var sent int
	count := caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		sent++
		return echo(ctx, call)
	})
	for _, c := range []struct {
		origins []string
		headers string
		refused bool
		timing  string
	}{
		{nil, "", false, ""},
		{nil, "Sec-Fetch-Site: same-origin|Origin: https://own.example", false, ""},
		{nil, "Sec-Fetch-Site: none", false, ""},
		{nil, "Sec-Fetch-Site: cross-site|Origin: https://evil.example", true, ""},
		{nil, "Sec-Fetch-Site: same-site|Origin: https://evil.example", true, ""},
		{nil, "Origin: https://evil.example", true, ""},
		{nil, "Origin: null", true, ""},
		{[]string{"https://lab.example"}, "Sec-Fetch-Site: cross-site|Origin: https://lab.example", false, "https://lab.example"},
		{[]string{"https://lab.example"}, "Sec-Fetch-Site: cross-site|Origin: https://lab.example.evil", true, ""},
		{[]string{"https://lab.example"}, "Sec-Fetch-Site: cross-site|Origin: http://lab.example", true, ""},
		{[]string{"*"}, "Sec-Fetch-Site: cross-site|Origin: https://evil.example", false, "*"},
	} {
		g := serve(t, Config{Caller: count, Origins: c.origins})
		sent = 0
		a := g.post("/services/echo", "x", strings.FieldsFunc(c.headers, func(r rune) bool { return r == '|' })...)
		a.wantHeader(t, "Timing-Allow-Origin", c.timing)
		if c.refused {
			a.wantProblem(t, gateway.OriginRefused)
		} else {
			a.wantBody(t, 200, "x")
		}
		if (sent == 0) != c.refused {
			t.Errorf("%d calls were sent with %q", sent, c.headers)
		}
	}
}

func TestOnlyTheGatewaysOwnNamesAreAnswered(t *testing.T) {
	g := serve(t, Config{AllowedHosts: []string{"localhost", "127.0.0.1", "[::1]", "Gateway.Example"}})
	for host, allowed := range map[string]bool{
		"localhost": true, "LocalHost:8080": true, "127.0.0.1:1": true, "[::1]:8080": true, "[::1]": true, "gateway.example.": true,
		"evil.example": false, "localhost.evil.example:8080": false, "127.0.0.2": false, "xlocalhost": false,
	} {
		a := g.post("/services/echo", "x", "Host: "+host)
		if allowed {
			a.wantBody(t, 200, "x")
		} else {
			a.wantProblem(t, gateway.OriginRefused)
		}
	}
	if a := g.get("/livez", "Host: 10.1.2.3:8080"); a.StatusCode != http.StatusOK {
		t.Errorf("a probe by address: got %d, want 200", a.StatusCode)
	}
	for _, hosts := range [][]string{nil, {"*"}} {
		serve(t, Config{AllowedHosts: hosts}).post("/services/echo", "x", "Host: any.example").wantBody(t, 200, "x")
	}
}

func TestHeadersOverTheLimitAreAProblemLikeAnyOther(t *testing.T) {
	g := serve(t, Config{MaxHeader: 2000})
	for _, c := range []*http.Client{g.http, g.h2c} {
		g.do(c, "POST", "/services/echo", strings.NewReader("x"), "A: "+strings.Repeat("x", 1000)).wantBody(t, 200, "x")
		g.do(c, "POST", "/services/echo", strings.NewReader("x"), "A: "+strings.Repeat("x", 2000)).wantProblem(t, gateway.HeadersTooLarge)
	}
	g.do(g.http, "POST", "/services/echo?vars="+strings.Repeat("x", 2000), strings.NewReader("x")).wantProblem(t, gateway.HeadersTooLarge)
}

// Headers that no limit of ours would have to bear are not read to their end; a
// caller that goes on sending may be cut off before it sees the answer.
func TestHeadersFarOverTheLimitAreNotRead(t *testing.T) {
	g := serve(t, Config{MaxHeader: 2000})
	a, err := g.try(g.http, "POST", "/services/echo", strings.NewReader("x"), "A: "+strings.Repeat("x", 20_000))
	if err == nil && a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("the answer is %d, want 431", a.StatusCode)
	}
	g.post("/services/echo", "x").wantBody(t, 200, "x")
}

func TestHeadersThatDoNotComeInTimeEndTheConnection(t *testing.T) {
	onVirtualTime(t, Config{HeaderTimeout: 10 * time.Second}, func(t *testing.T, g *testServer, raw *rawConn) {
		start := time.Now()
		raw.send("GET /livez HTTP/1.1\r\nHost: x\r\nA: ")
		raw.wantClosed()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("the connection ended after %v, want 10s", took)
		}
	})
}

func TestARequestIsOneLogLine(t *testing.T) {
	g := serve(t, Config{})
	g.post("/services/echo", "hello", "X-Request-Id: r1")
	g.post("/services/mmi.service", "hello")
	for _, path := range []string{"/livez", "/readyz", "/version", "/secret%0Apath"} {
		g.get(path)
	}
	g.stop()
	want := []map[string]any{
		{"level": zapcore.InfoLevel, "request_id": "r1", "route": "/services/{name}", "method": "POST", "service": "echo", "status": int64(200), "in": int64(5), "out": int64(5), "queue": time.Millisecond, "broker": 2 * time.Millisecond, "code": nil},
		{"level": zapcore.InfoLevel, "route": "/services/{name}", "status": int64(403), "code": "forbidden", "service": nil, "in": int64(0)},
		{"level": zapcore.DebugLevel, "route": "/livez", "method": "GET", "status": int64(200), "service": nil},
		{"level": zapcore.DebugLevel, "route": "/readyz"},
		{"level": zapcore.InfoLevel, "route": "/version"},
		{"level": zapcore.InfoLevel, "route": "unmatched", "status": int64(404), "code": "not_found"},
	}
	lines := g.logs.FilterMessage("request").All()
	if len(lines) != len(want) {
		t.Fatalf("%d lines were logged, want %d: %v", len(lines), len(want), lines)
	}
	for i, line := range lines {
		got := line.ContextMap()
		got["level"] = line.Level
		for key, value := range want[i] {
			if got[key] != value {
				t.Errorf("line %d: %s is %v, want %v", i, key, got[key], value)
			}
		}
		if got["took"] == nil || got["peer"] == "" {
			t.Errorf("line %d has no took or no peer: %v", i, got)
		}
	}
}

func TestASlowRequestIsLoggedAtWarn(t *testing.T) {
	pause := 4 * time.Second
	slow := caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		<-time.After(pause)
		return echo(ctx, call)
	})
	onVirtualTime(t, Config{Caller: slow, SlowLog: 5 * time.Second}, func(t *testing.T, g *testServer, raw *rawConn) {
		for _, pause = range []time.Duration{4 * time.Second, 6 * time.Second} {
			g.post("/services/echo", "x")
			synctest.Wait()
		}
		lines := g.logs.FilterMessage("request").All()
		if len(lines) != 2 || lines[0].Level != zapcore.InfoLevel || lines[1].Level != zapcore.WarnLevel {
			t.Errorf("the lines are %v, want one at Info and one at Warn", lines)
		}
	})
}

func TestTheObserverIsToldBoundedNames(t *testing.T) {
	g := serve(t, Config{})
	g.post("/services/echo", "x")
	g.do(g.http, "BREW", "/pot", nil)
	g.do(g.http, "HEAD", "/version", nil)
	g.do(g.http, "PUT", "/services/echo", nil)
	g.stop()
	for _, want := range []string{"/services/{name} POST OK", "unmatched other Not Found", "/version HEAD OK", "unmatched PUT Method Not Allowed"} {
		if got := <-g.seen.done; got != want {
			t.Errorf("the observer was told %q, want %q", got, want)
		}
	}
	if g.seen.open != 0 {
		t.Errorf("%d requests are open at the end, want 0", g.seen.open)
	}
}
