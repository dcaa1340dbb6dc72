package httpapi

import (
	"slices"
	"sync"
	"testing"

	"mdpgateway/internal/gateway"
)

func TestBeyondTheMostRequestsOnlyProbesAreAnswered(t *testing.T) {
	began := make(chan struct{})
	g := serve(t, Config{Caller: waiting(began, false), MaxRequests: 2})
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() { g.post("/services/sleep", "x") })
		<-began
	}
	for _, path := range []string{"/services", "/version", "/nothing"} {
		p := g.get(path).wantProblem(t, gateway.Busy)
		if p["reason"] != gateway.ReasonRequests || p["executed"] != "no" || p["retryable"] != true {
			t.Errorf("%s: the problem is %v, want the reason requests, not executed, retryable", path, p)
		}
	}
	g.get("/livez").wantBody(t, 200, "{\"live\":true}\n")
	if a := g.get("/docs"); a.StatusCode != 200 { // anyone may ask for it, so it must take no place
		t.Errorf("/docs is %d, want 200", a.StatusCode)
	}
	if want := []string{"requests", "requests", "requests"}; !slices.Equal(g.seen.rejected, want) {
		t.Errorf("the observer was told of %q, want %q", g.seen.rejected, want)
	}
	g.Interrupt()
	calls.Wait()
	for range 3 { // what has ended, or was refused, holds no place
		if a := g.get("/services"); a.StatusCode != 200 {
			t.Errorf("after the calls the answer is %d, want 200", a.StatusCode)
		}
	}
}
