package httpapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

func TestABrowserIsSentToTheConsoleAndOthersAreNot(t *testing.T) {
	g := serve(t, Config{})
	g.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := g.get("/", "Accept: text/html,*/*")
	if a.StatusCode != 303 || a.Header.Get("Location") != "console" {
		t.Errorf("a browser gets %d with %v, want 303 to console", a.StatusCode, a.Header)
	}
	g.get("/").wantBody(t, 200, `{"services":"/services","openapi":"/openapi.json","docs":"/docs","console":"/console"}`+"\n")
}

func TestWithoutTheConsoleNothingLeadsToIt(t *testing.T) {
	g := serve(t, Config{NoConsole: true})
	g.get("/", "Accept: text/html").wantBody(t, 200, `{"services":"/services","openapi":"/openapi.json","docs":"/docs"}`+"\n")
	for _, path := range []string{"/console", "/console/console.js"} {
		g.get(path).wantProblem(t, gateway.NotFound)
	}
}

// A page that runs nothing of its own text, and that may ask this gateway alone.
func TestTheConsoleRunsOnlyItsFiles(t *testing.T) {
	g := serve(t, Config{})
	a := g.get("/console")
	policy := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy is %q, want %s in it", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("the policy is %q, want nothing unsafe and no other host", policy)
	}
	total := 0
	for name, content := range bundle().files {
		total += len(content)
		if content, _ := consoleFiles.ReadFile("console/" + name); strings.Contains(string(content), "<script>") {
			t.Errorf("%s has a script within", name)
		}
	}
	if total > 350<<10 {
		t.Errorf("the page is %d bytes, want 350 KiB at most", total)
	}
	for _, path := range []string{"/console/", "/console/index.html", "/console/nothing.js", "/console/..%2Fconsole.go"} {
		g.get(path).wantProblem(t, gateway.NotFound)
	}
}

// The page is told where to log in, and may ask that issuer and no other.
func TestTheConsoleIsToldWhereToLogIn(t *testing.T) {
	page := func(a answer) string {
		z, err := gzip.NewReader(bytes.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	plain := serve(t, Config{}).get("/console")
	g := serve(t, Config{Login: &Login{"https://login.lab:8443/realms/lab", `"><script>`}})
	a := g.get("/console")
	if policy := a.Header.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "; connect-src 'self' https://login.lab:8443") {
		t.Errorf("the policy is %q, want it to end with the issuer's origin", policy)
	}
	_, rest, _ := strings.Cut(page(a), `<meta name="login" content="`)
	content, _, closed := strings.Cut(rest, `">`)
	if want := `{"issuer":"https://login.lab:8443/realms/lab","client_id":"\"\u003e\u003cscript\u003e"}`; !closed || html.UnescapeString(content) != want {
		t.Errorf("the page is told %s, want %s", html.UnescapeString(content), want)
	}
	if strings.Contains(page(plain), "meta name=\"login\"") || plain.Header.Get("ETag") == a.Header.Get("ETag") {
		t.Errorf("without an issuer the page is %s with the tag %s", page(plain), plain.Header.Get("ETag"))
	}
	for _, issuer := range []string{"https://*.lab", "https://login.lab;script-src", "login.lab", "https://login.lab'"} {
		if _, err := New(Config{Caller: caller(echo), Health: health{}, Login: &Login{issuer, "x"}}); err == nil {
			t.Errorf("the issuer %q is taken", issuer)
		}
	}
}

func TestTheLastCallsAreToldWithoutTheirBodies(t *testing.T) {
	g := serve(t, Config{})
	for i := range keptCalls + 2 {
		g.post("/services/echo?vars=%7B%22secret%22:1%7D", "secret", fmt.Sprintf("X-Request-Id: r%d", i))
	}
	a := g.get("/calls")
	var told struct{ Calls []callView }
	if err := json.Unmarshal([]byte(a.body), &told); err != nil {
		t.Fatal(err)
	}
	if n := len(told.Calls); n != keptCalls || told.Calls[0].RequestID != "r2" || told.Calls[n-1].RequestID != fmt.Sprintf("r%d", keptCalls+1) {
		t.Errorf("%d calls, want the last %d", n, keptCalls)
	}
	if strings.Contains(string(a.body), "secret") {
		t.Error("a body or vars are told")
	}
	if c := told.Calls[0]; c.Service != "echo" || c.Status != 200 || c.Code != "ok" || c.In != 6 || c.Out == 0 {
		t.Errorf("a call is told as %+v", c)
	}
}

func TestCallsAreFollowedUntilTheGatewayLeaves(t *testing.T) {
	g := serve(t, Config{})
	g.post("/services/echo", "x", "X-Request-Id: before")
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+g.ln.Addr().String()+"/calls", nil)
	r.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	next := func(want string) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if !strings.Contains(data, `"request_id":"`+want+`"`) {
					t.Errorf("got %s, want the call %s", data, want)
				}
				return
			}
		}
		t.Fatalf("the stream ended before the call %s: %v", want, lines.Err())
	}
	next("before")
	g.post("/services/echo", "x", "X-Request-Id: after")
	next("after")
	g.NotReady()
	for lines.Scan() {
		if lines.Text() != "" && !strings.HasPrefix(lines.Text(), ":") {
			t.Errorf("the stream says %q, want its end", lines.Text())
		}
	}
}

func TestTheOverviewShowsWhatItsReaderMaySee(t *testing.T) {
	told := insight{gateway.PoolStats{Max: 7, Endpoints: []gateway.EndpointStats{{Name: "hall1", State: gateway.Down}, {Name: "hall2", State: gateway.Up, Silent: true},
		{Name: "hall3", State: gateway.Down, Refusal: gateway.KeyRefused}, {Name: "hall4", State: gateway.Down, Refusal: gateway.OtherKey}}}}
	g := serve(t, Config{Access: keys(t), Insight: told})
	read := func(id string) (o overview) {
		t.Helper()
		if err := json.Unmarshal([]byte(g.get("/overview", bearer(id)).body), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	switch o := read("all"); {
	case o.Gateway != nil || len(o.Services) == 0:
		t.Errorf("a caller sees %+v, want services alone", o)
	case o.Services[0].Advice != "" || !strings.Contains(o.Services[2].Advice, "answered no call"):
		t.Errorf("a caller sees %+v, want advice for the service that is silent, and for it alone", o.Services)
	}
	if o := read("other"); o.Gateway != nil || len(o.Services) != 0 {
		t.Errorf("a caller of another service sees %+v, want nothing", o)
	}
	o := read("scraper")
	if o.Gateway == nil || o.Gateway.Connections.Max != 7 || o.Gateway.Orphans != 3 || len(o.Services) != 0 {
		t.Fatalf("an operator sees %+v", o)
	}
	for i, want := range []string{"can't be reached", "never answered", "refuses the gateway's key", "key is another"} {
		if b := o.Gateway.Brokers[i]; !strings.Contains(b.Advice, want) {
			t.Errorf("the advice of %s is %q, want %q", b.Name, b.Advice, want)
		}
	}
}

type insight struct{ stats gateway.PoolStats }

func (i insight) Stats() gateway.PoolStats { return i.stats }
func (insight) Orphans() map[string]int    { return map[string]int{"echo": 1, "lora": 2} }

func TestTimesOfTheLastMinutesAreNearTheirPercentiles(t *testing.T) {
	var s series
	const now = 1000
	for i := 1; i <= 100; i++ {
		s.add(now-int64(i%3), float64(i), i > 90)
	}
	s.add(now-minutes, 1e6, false) // too old
	s.add(now, 50, false)
	v := s.view(now)
	if v.Calls != 101 || v.Failed != 10 || len(v.By) != minutes || v.By[minutes-1].Calls != 34 {
		t.Errorf("got %+v", v)
	}
	for want, got := range map[float64]float64{50: *v.P50, 99: *v.P99} {
		if got < want*0.8 || got > want*1.25 {
			t.Errorf("got %v, want about %v", got, want)
		}
	}
}

// A machine may start with a clock that is far ahead, and have it set right then.
func TestCallsAreCountedAfterTheClockWasSetBack(t *testing.T) {
	var l callLog
	now := time.Unix(60_000_000, 0)
	for _, service := range []string{"echo", "other"} {
		l.add(callView{Service: service, Time: now.Add(24 * time.Hour), Took: 20}, true)
	}
	l.add(callView{Service: "echo", Time: now, Took: 20}, true)
	if calls := l.recent("echo", now).Calls; calls != 1 {
		t.Errorf("%d calls are shown, want the one that was made since", calls)
	}
	if l.evict(minuteOf(now)); len(l.series) != 1 {
		t.Errorf("%d series, want that of echo alone", len(l.series))
	}
}

func TestServicesWithoutCallsGiveUpTheirSeries(t *testing.T) {
	var l callLog
	then := time.Unix(60_000, 0)
	for i := range maxSeries + 1 {
		l.add(callView{Service: fmt.Sprint(i), Time: then, Status: 200}, true)
	}
	if _, ok := l.series[fmt.Sprint(maxSeries)]; ok || len(l.series) != maxSeries {
		t.Errorf("%d series, want %d", len(l.series), maxSeries)
	}
	l.add(callView{Service: "new", Time: then.Add(minutes * time.Minute), Status: 200}, true)
	if l.series["new"] == nil || len(l.series) != 1 {
		t.Errorf("%d series, want the new one alone", len(l.series))
	}
}
