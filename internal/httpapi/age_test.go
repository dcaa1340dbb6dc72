package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

// peers posts n times over c and returns the callers' addresses, one for each
// connection that the gateway saw.
func (g *testServer) peers(c *http.Client, n int) map[string]bool {
	g.t.Helper()
	before := g.logs.FilterMessage("request").Len()
	for range n {
		g.do(c, http.MethodPost, "/services/echo", strings.NewReader("x")).wantBody(g.t, 200, "x")
		<-g.seen.done
	}
	g.until("all requests are in the log", func() bool { return g.logs.FilterMessage("request").Len() == before+n })
	seen := make(map[string]bool)
	for _, entry := range g.logs.FilterMessage("request").All()[before:] {
		seen[entry.ContextMap()["peer"].(string)] = true
	}
	return seen
}

// until polls, with a deadline, for what is about to become true.
func (g *testServer) until(what string, done func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("after 10 s it is not true that %s", what)
		}
	}
}

func TestAConnectionIsClosedAfterTheFirstAnswerPastItsAge(t *testing.T) {
	g := serve(t, Config{MaxConnectionAge: 1})
	a := g.post("/services/echo", "x")
	a.wantBody(t, 200, "x")
	<-g.seen.done
	if !a.Close {
		t.Error("the answer has no Connection: close")
	}
	if got := g.peers(g.http, 5); len(got) != 5 {
		t.Errorf("5 requests came over %d connections, want 5", len(got))
	}
}

func TestOverHTTP2AnOldConnectionIsClosedByGoaway(t *testing.T) {
	g := serve(t, Config{MaxConnectionAge: 1})
	first := g.peers(g.h2c, 1)
	g.until("a request comes over another connection", func() bool {
		for peer := range g.peers(g.h2c, 1) {
			return !first[peer]
		}
		return false
	})
	a := g.do(g.h2c, http.MethodPost, "/services/echo", strings.NewReader("x"))
	a.wantHeader(t, "Connection", "") // which HTTP/2 does not have
}

func TestWhatIsOpenOnAnOldConnectionEndsThere(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	slow := caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		if call.Service == "slow" {
			close(began)
			<-finish
		}
		return echo(ctx, call)
	})
	g := serve(t, Config{Caller: slow, MaxConnectionAge: 1})
	open := make(chan answer)
	go func() { open <- g.do(g.h2c, http.MethodPost, "/services/slow", strings.NewReader("slow")) }()
	<-began
	g.do(g.h2c, http.MethodPost, "/services/echo", strings.NewReader("x")).wantBody(t, 200, "x") // and GOAWAY
	g.do(g.h2c, http.MethodPost, "/services/echo", strings.NewReader("x")).wantBody(t, 200, "x")
	close(finish)
	(<-open).wantBody(t, 200, "slow")
}

func TestAYoungConnectionIsKept(t *testing.T) {
	for _, age := range []time.Duration{0, time.Hour} {
		g := serve(t, Config{MaxConnectionAge: age})
		for name, c := range map[string]*http.Client{"HTTP/1.1": g.http, "HTTP/2": g.h2c} {
			if got := g.peers(c, 10); len(got) != 1 {
				t.Errorf("age %v: 10 requests over %s came over %d connections, want 1", age, name, len(got))
			}
		}
	}
}

func TestAgesDifferByATenth(t *testing.T) {
	const age = time.Hour
	least, most := 2*age, time.Duration(0)
	for range 10_000 {
		d := jittered(age)
		least, most = min(least, d), max(most, d)
	}
	if least < age*9/10 || most > age*11/10 || most-least < age*19/100 {
		t.Errorf("10,000 ages were %v to %v, want about %v to %v", least, most, age*9/10, age*11/10)
	}
}

func TestAnAgeBelowZeroIsRefused(t *testing.T) {
	_, err := New(Config{Caller: caller(echo), Health: health{}, MaxConnectionAge: -time.Second})
	if err == nil || err.Error() != "max connection age is -1s, want at least 0" {
		t.Errorf("got %v", err)
	}
}
