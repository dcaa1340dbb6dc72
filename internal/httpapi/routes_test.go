package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mdpgateway/api"
	"mdpgateway/internal/gateway"
)

func TestTheWrongMethodIsToldTheRightOnes(t *testing.T) {
	g := serve(t, Config{})
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", "/services/echo", "GET, HEAD, POST"},
		{"OPTIONS", "/services/echo", "GET, HEAD, POST"},
		{"DELETE", "/services/a%2Fb", "GET, HEAD, POST"},
		{"POST", "/services", "GET, HEAD"},
		{"POST", "/livez", "GET, HEAD"},
		{"BREW", "/version", "GET, HEAD"},
	} {
		a := g.do(g.http, c.method, c.path, nil)
		a.wantProblem(t, gateway.MethodNotAllowed)
		a.wantHeader(t, "Allow", c.allow)
	}
}

func TestWhatIsNoRouteIsNotFoundWhateverTheMethod(t *testing.T) {
	g := serve(t, Config{})
	for _, c := range []struct{ method, path string }{
		{"GET", "//"}, {"POST", "/services/"}, {"BREW", "/nothing"}, {"GET", "/livez/"}, {"GET", "/metrics"}, {"GET", "/debug/pprof/"},
	} {
		g.do(g.http, c.method, c.path, nil).wantProblem(t, gateway.NotFound)
	}
}

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	g := serve(t, Config{Metrics: http.NotFoundHandler()})
	for _, path := range []string{"/livez", "/readyz", "/version", "/services", "/services/echo", "/openapi.yaml", "/openapi.json", "/docs", "/docs/styles.min.css", "/", "/console", "/console/console.js", "/calls", "/overview", "/problems", "/metrics"} {
		get, head := g.get(path), g.do(g.http, "HEAD", path, nil)
		if len(get.body) == 0 || len(head.body) != 0 || head.StatusCode != get.StatusCode ||
			head.ContentLength != int64(len(get.body)) || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("HEAD %s is %d with %v, GET is %d with %v", path, head.StatusCode, head.Header, get.StatusCode, get.Header)
		}
	}
}

func TestVersionMetricsAndTheContractAreServed(t *testing.T) {
	g := serve(t, Config{
		Version: Version{Version: "v1", Revision: "abc", Go: "go1", ZMQ: "4.3.4"},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("up 1\n")) }),
	})
	g.get("/version").wantBody(t, 200, `{"version":"v1","revision":"abc","goversion":"go1","zmqversion":"4.3.4"}`+"\n")
	g.get("/metrics").wantBody(t, 200, "up 1\n")
	a := g.get("/openapi.yaml")
	a.wantBody(t, 200, string(api.OpenAPI))
	a.wantHeader(t, "Content-Type", "application/yaml")
}

func TestReadyzFollowsTheBrokers(t *testing.T) {
	hall1 := []string{"hall1"}
	up, partly := health{reached: true, connected: true}, health{reached: true, connected: true, lost: hall1}
	lost, fresh := health{reached: true, lost: hall1}, health{lost: hall1}
	silent := health{reached: true, connected: true, silent: hall1}
	const told = "{\"ready\":true,\"degraded\":[\"hall1\"],\"detail\":\"hall1 never answered: " + gateway.SilentHint + "\"}\n"
	deaf, both := health{reached: true, connected: true, services: 2}, silent
	both.services = 2
	const deafTold = "{\"ready\":true,\"silent_services\":2,\"detail\":\"silent_services have answered no call: " + gateway.UnansweredHint + "\"}\n"
	const bothTold = "{\"ready\":true,\"degraded\":[\"hall1\"],\"silent_services\":2,\"detail\":\"hall1 never answered: " + gateway.SilentHint + "\"}\n"
	mute := health{mute: hall1}
	const unspoken = "{\"ready\":true,\"degraded\":[\"hall1\"],\"detail\":\"hall1: " + gateway.Unspoken + "\"}\n"
	const ready, degraded = "{\"ready\":true}\n", "{\"ready\":true,\"degraded\":[\"hall1\"]}\n"
	for _, c := range []struct {
		mode   string
		health health
		want   string // empty: it is not ready
	}{
		{"", deaf, deafTold}, {ReadyAlways, both, bothTold}, {"", mute, ""}, {ReadyNever, mute, unspoken},
		{"", silent, told}, {ReadyAlways, silent, told}, {"", up, ready}, {"", partly, degraded}, {"", lost, degraded}, {"", fresh, ""},
		{ReadyStart, up, ready}, {ReadyStart, partly, degraded}, {ReadyStart, lost, degraded}, {ReadyStart, fresh, ""},
		{ReadyAlways, up, ready}, {ReadyAlways, partly, degraded}, {ReadyAlways, lost, ""}, {ReadyAlways, fresh, ""},
		{ReadyNever, up, ready}, {ReadyNever, partly, degraded}, {ReadyNever, lost, degraded}, {ReadyNever, fresh, degraded},
	} {
		t.Run(fmt.Sprintf("%s %+v", c.mode, c.health), func(t *testing.T) {
			g := serve(t, Config{Health: c.health, ReadyBroker: c.mode})
			if c.want == "" {
				g.get("/readyz").wantProblem(t, gateway.BrokerUnavailable)
			} else {
				g.get("/readyz").wantBody(t, 200, c.want)
			}
			g.get("/livez").wantBody(t, 200, "{\"live\":true}\n")
			g.NotReady()
			g.get("/readyz").wantProblem(t, gateway.Draining)
		})
	}
}

func TestTheConfigurationIsChecked(t *testing.T) {
	valid := Config{Caller: caller(echo), Health: health{}}
	for want, change := range map[string]func(*Config){
		"caller is nil, want one":                                    func(c *Config) { c.Caller = nil },
		"health is nil, want one":                                    func(c *Config) { c.Health = nil },
		"max body is -1, want at least 1":                            func(c *Config) { c.MaxBody = -1 },
		"max header is -2, want at least 1":                          func(c *Config) { c.MaxHeader = -2 },
		"header timeout is -3, want at least 1":                      func(c *Config) { c.HeaderTimeout = -3 },
		"body idle timeout is -4, want at least 1":                   func(c *Config) { c.BodyIdleTimeout = -4 },
		"idle timeout is -5, want at least 1":                        func(c *Config) { c.IdleTimeout = -5 },
		"slow log is -6, want at least 1":                            func(c *Config) { c.SlowLog = -6 },
		`ready broker is "often", want one of start, always, never`:  func(c *Config) { c.ReadyBroker = "often" },
		`origin is "lab.example", want one like https://lab.example`: func(c *Config) { c.Origins = []string{"lab.example"} },
	} {
		cfg := valid
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("New says %v, want %s", err, want)
		}
	}
	if _, err := New(valid); err != nil {
		t.Error(err)
	}
}
