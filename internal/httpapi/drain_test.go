package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFromNotReadyOnEveryAnswerAsksForTheEndOfItsConnection(t *testing.T) {
	g := serve(t, Config{})
	g.NotReady()
	for _, path := range []string{"/livez", "/readyz", "/version", "/nothing"} {
		if a := g.get(path); !a.Close {
			t.Errorf("%s is %d without Connection: close", path, a.StatusCode)
		}
		<-g.seen.done
	}
	if got := g.peers(g.http, 5); len(got) != 5 {
		t.Errorf("5 calls came over %d connections, want 5", len(got))
	}
	first := g.peers(g.h2c, 1)
	g.until("a call over HTTP/2 comes over another connection", func() bool {
		for peer := range g.peers(g.h2c, 1) {
			return !first[peer]
		}
		return false
	})
}

func TestIdlenessIsAwaitedWhileCallersStillSend(t *testing.T) {
	onVirtualTime(t, Config{Caller: parts(time.Second, nil)}, func(t *testing.T, g *testServer, _ *rawConn) {
		open := make(chan answer)
		go func() { open <- g.post("/services/echo", "x") }() // takes a second
		synctest.Wait()
		g.NotReady()
		start, probed := time.Now(), make(chan struct{})
		go func() {
			time.Sleep(1400 * time.Millisecond) // 400 ms after the other has ended
			g.get("/version")
			for range 100 { // probes put nothing off
				time.Sleep(lull / 10)
				g.get("/readyz")
			}
			close(probed)
		}()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := g.AwaitIdle(short); err == nil {
			t.Error("a call is open, and nothing is said of it")
		}
		if err := g.AwaitIdle(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 1400*time.Millisecond+lull || took > 1400*time.Millisecond+2*lull {
			t.Errorf("idle after %v, want a lull after the last request, at 1.4s", took)
		}
		(<-open).wantBody(t, 200, "end")
		if err := g.AwaitIdle(short); err != nil {
			t.Errorf("nothing is open: %v", err)
		}
		<-probed
	})
}

func TestACallWhileDrainingIsAnsweredOverAConnectionOfBefore(t *testing.T) {
	g := serve(t, Config{})
	g.get("/livez")
	g.Drain()
	a := g.do(g.http, http.MethodPost, "/services/echo", strings.NewReader("x"))
	if a.wantProblem(t, "draining"); !a.Close {
		t.Error("the answer has no Connection: close")
	}
}
