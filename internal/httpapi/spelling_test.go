package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

func TestAHeaderThatIsSpeltNearlyAsOneOfOursIsRefused(t *testing.T) {
	never := caller(func(context.Context, gateway.Call) (gateway.Reply, error) {
		t.Error("the call was made")
		return gateway.Reply{}, nil
	})
	plain, withJobs := serve(t, Config{Caller: never}), serve(t, Config{Caller: never, Jobs: new(jobs.Runner)})
	for header, ours := range map[string]string{
		"Flowgraph-Var": "Flowgraph-Vars", "X-Flowgraph-Vars": "Flowgraph-Vars", "flowgraph_vars": "Flowgraph-Vars",
		"Flowgrph-Vars": "Flowgraph-Vars", "Perfer": "Prefer", "X-Prefer": "Prefer", "Idempotence-Key": "Idempotency-Key",
		"X-Idempotency-Key": "Idempotency-Key",
	} {
		g := plain
		if ours == "Idempotency-Key" {
			g = withJobs
		}
		p := g.post("/services/echo", "x", header+": {}").wantProblem(t, gateway.BadRequest)
		if detail, _ := p["detail"].(string); !strings.Contains(detail, "did you mean "+ours+"?") {
			t.Errorf("%s: the detail is %q, want %s in it", header, detail, ours)
		}
	}
}

// What browsers, proxies and clients add beside our headers.
func TestHeadersOfOthersAreTaken(t *testing.T) {
	g := serve(t, Config{})
	for _, header := range strings.Fields(`Accept-Language Forwarded Via From Pragma Priority Referer Proxy-Authorization
		Purpose X-Purpose Save-Data Dnt If-Match If-None-Match If-Range If-Modified-Since Idempotency-Key X-Idempotency-Key
		X-Forwarded-For X-Forwarded-Proto X-Forwarded-Port X-Forwarded-Prefix X-Request-Start X-Powered-By X-Protocol
		X-Real-Ip X-Envoy-Attempt-Count X-Amzn-Trace-Id X-B3-Traceid X-Datadog-Parent-Id Sec-Fetch-Mode Flowgraph Flow-Id F P X-`) {
		if a := g.post("/services/echo", "x", header+": 1"); a.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", header, a.StatusCode, a.body)
		}
	}
}

func TestAnUnknownServiceIsToldWithTheOneThatWasMeant(t *testing.T) {
	unknown := failing(&gateway.Error{Kind: gateway.ServiceNotFound, Detail: "there is none"})
	g := serve(t, Config{Caller: unknown, Access: keys(t)})
	for _, tt := range []struct{ key, service, want string }{
		{"all", "ecoh", "echo"}, {"all", "eco", "echo"}, {"all", "loar", "lora"}, {"all", "lor", "lora"}, {"all", "unlike", ""},
		{"all", strings.Repeat("e", 200), ""},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			p := g.do(g.http, method, "/services/"+tt.service, nil, bearer(tt.key)).wantProblem(t, gateway.ServiceNotFound)
			detail, _ := p["detail"].(string)
			if _, near, _ := strings.Cut(detail, "; did you mean "); strings.TrimSuffix(near, "?") != tt.want {
				t.Errorf("%s %s: the detail is %q, want %q in it", method, tt.service, detail, tt.want)
			}
		}
	}
	p := g.post("/services/lora_x", "x", bearer("other")).wantProblem(t, gateway.ServiceNotFound)
	if strings.Contains(p["detail"].(string), "did you mean") {
		t.Errorf("the detail %q names a service that is not for the caller", p["detail"])
	}
}

func TestParametersOfJobsAreSpelledRight(t *testing.T) {
	g := serve(t, Config{Jobs: new(jobs.Runner)})
	for _, request := range []string{"DELETE /jobs/x?force=true", "GET /jobs/x?wiat=1s", "POST /jobs/x/cancel?x", "GET /jobs/x/events?since=1"} {
		method, path, _ := strings.Cut(request, " ")
		p := g.do(g.http, method, path, nil).wantProblem(t, gateway.BadRequest)
		if detail, _ := p["detail"].(string); !strings.HasPrefix(detail, "there is no parameter ") {
			t.Errorf("%s: the detail is %q", request, detail)
		}
	}
}
