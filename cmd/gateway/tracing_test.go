package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestTheWholeGatewaySendsItsTraces follows one call with a traceparent into the
// collector, the log and the metrics.
func TestTheWholeGatewaySendsItsTraces(t *testing.T) {
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	var mu sync.Mutex
	var names []string
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var data tracepb.TracesData
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range data.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				for _, s := range scope.Spans {
					if fmt.Sprintf("%x", s.TraceId) == traceID {
						names = append(names, s.Name)
					}
				}
			}
		}
	}))
	defer collector.Close()
	g := start(t, "--otlp-endpoint", collector.URL)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	a := g.post("echo", `{"body":"hi"}`, "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	open := request(t, newClient(t), http.MethodGet, g.url+"/metrics", "", "", "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.Contains(string(open.body), `# {request_id="`) && !strings.Contains(string(open.body), `# {trace_id="`) {
		t.Errorf("the metrics have no exemplar")
	}
	if code := g.end(); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(names)
	if got := strings.Join(names, ", "); got != "POST /services/{name}, broker, queue" {
		t.Errorf("the collector has the spans %s of the trace, want those of the request, broker and queue", got)
	}
	if !slices.ContainsFunc(g.lines(), func(line map[string]any) bool { return line["msg"] == "request" && line["trace_id"] == traceID }) {
		t.Error("the trace is not in the log")
	}
}

func TestACollectorsAddressIsChecked(t *testing.T) {
	code, _, stderr := gateway(t, "serve --otlp-endpoint collector:4318", nil, "")
	if want := "gateway: --otlp-endpoint is \"collector:4318\", want http://host:port or https://host:port, without a user or password\n"; code != exitUsage || stderr != want {
		t.Errorf("got %d %q, want %d %q", code, stderr, exitUsage, want)
	}
}
