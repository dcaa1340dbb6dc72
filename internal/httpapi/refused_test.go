package httpapi

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"mdpgateway/internal/gateway"
)

func TestARefusedOriginIsAWarningThatNamesTheSetting(t *testing.T) {
	g := serve(t, Config{Origins: []string{lab}})
	for range 2 {
		g.preflight("/services/echo", evil, "POST", asked)
		g.post("/services/echo", "x", "Origin: "+evil).wantProblem(t, gateway.OriginRefused)
		g.post("/services/echo", "x", "Origin: http://local.example:3000").wantProblem(t, gateway.OriginRefused)
		for _, site := range []string{"cross-site", "same-origin"} {
			g.get("/services", "Origin: https://"+site+".example", "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: "+site)
		}
		g.get("/services", "Origin: "+lab, "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: cross-site")
		g.preflight("/services/echo", lab, "POST", asked)
		g.post("/services/echo", "x", "Origin: "+lab).wantBody(t, 200, "x")
	}
	g.stop()
	var origins []any
	for _, line := range g.logs.FilterMessageSnippet("--cors-origin").FilterLevelExact(zapcore.WarnLevel).All() {
		origins = append(origins, line.ContextMap()["origin"])
	}
	if got, want := fmt.Sprint(origins), "[https://evil.example http://local.example:3000 https://cross-site.example]"; got != want {
		t.Errorf("the log warns about %s, want %s", got, want)
	}
}

func TestWarningsAboutOriginsAreBounded(t *testing.T) {
	var s refusals
	start := time.Now()
	told := 0
	for i := range 2 * refusedAtOnce {
		if s.first(fmt.Sprint(i), start) {
			told++
		}
	}
	if told != refusedAtOnce {
		t.Errorf("%d origins are told in a minute, want %d", told, refusedAtOnce)
	}
	if s.first("0", start.Add(refusedEvery-1)) || !s.first("0", start.Add(refusedEvery)) {
		t.Error("an origin is not told again after a minute, or earlier")
	}
}

func TestAPreflightIsADebugLineWithItsRoute(t *testing.T) {
	g := serve(t, Config{Origins: []string{lab}})
	g.preflight("/services/a%2Fb", lab, "POST", asked)
	g.preflight("/nothing", lab, "POST", "")
	g.preflight("/services/echo", evil, "BREW", "")
	g.stop()
	for i, want := range []string{"/services/{name}", "unmatched", "unmatched"} {
		line := g.logs.FilterMessage("request").All()[i]
		if got := line.ContextMap()["route"]; got != want || line.Level != zapcore.DebugLevel {
			t.Errorf("line %d is at %v of the route %v, want debug and %s", i, line.Level, got, want)
		}
		if got, want := <-g.seen.done, want+" OPTIONS No Content"; got != want {
			t.Errorf("the observer was told %q, want %q", got, want)
		}
	}
}
