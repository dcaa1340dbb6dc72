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
		if err != nil || r.Header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("the collector got a post by %q, %v, want it authorized", r.Header.Get("Authorization"), err)
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
	g := startIn(t, []string{"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20s3cret"}, "--otlp-endpoint", collector.URL)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	a := g.post("echo", `{"body":"hi"}`, "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	job := g.submit(t, "echo", jsonBody, `{"body":"hi"}`, "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
	g.awaitJob(t, job)
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
	if got := strings.Join(names, ", "); got != "POST /services/{name}, POST /services/{name}, broker, broker, job, queue, queue" {
		t.Errorf("the collector has the spans %s of the trace, want those of the request, broker and queue, and of the job", got)
	}
	if !slices.ContainsFunc(g.lines(), func(line map[string]any) bool { return line["msg"] == "request" && line["trace_id"] == traceID }) {
		t.Error("the trace is not in the log")
	}
}

func TestACollectorsAddressIsCheckedAndItsPasswordNotShown(t *testing.T) {
	const want = ", want http://host:port or https://host:port, without a user or password\n"
	for endpoint, shown := range map[string]string{
		"collector:4318":                  "collector:4318",
		"http://user:secret@collector":    "http://xxxxx@collector",
		"http://user:sec/ret@collector":   "http://xxxxx@collector",
		"http://user:s%zzecret@collector": "http://xxxxx@collector",
		"user:secret@collector":           "xxxxx@collector",
	} {
		for key, c := range map[string]struct {
			args, env, config string
		}{
			"--otlp-endpoint":               {args: " --otlp-endpoint " + endpoint},
			"GATEWAY_OTLP_ENDPOINT":         {env: "GATEWAY_OTLP_ENDPOINT=" + endpoint},
			"gateway.yaml:1: otlp-endpoint": {args: " --config FILE", config: "otlp-endpoint: " + endpoint},
		} {
			code, stdout, stderr := runGateway(t, "serve"+c.args, []string{c.env}, c.config)
			if code != exitUsage || stdout != "" || !strings.HasSuffix(stderr, key+` is "`+shown+`"`+want) || strings.Contains(stderr, "secret") {
				t.Errorf("%s %s: got %d %q, want %d %s is %q%s", key, endpoint, code, stderr, exitUsage, key, shown, want)
			}
		}
	}
}

func TestACollectorsHeadersAreCheckedAndNotShown(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		env := []string{name + "=secret"}
		code, _, stderr := runGateway(t, "serve --otlp-endpoint http://collector", env, "")
		if want := "gateway: " + name + ": header 1 has no name, want name=value, separated by commas\n"; code != exitUsage || stderr != want {
			t.Errorf("%s: got %d %q, want %d %q", name, code, stderr, exitUsage, want)
		}
		if code, _, stderr := runGateway(t, "serve --check", env, ""); code != exitOK || stderr != "" {
			t.Errorf("%s without a collector: got %d %q, want it to be passed over", name, code, stderr)
		}
		code, stdout, stderr := runGateway(t, "serve --check --otlp-endpoint http://collector", []string{name + "=authorization=Bearer%20secret"}, "")
		if code != exitOK || strings.Contains(stdout+stderr, "secret") {
			t.Errorf("%s: got %d %q %q, want no secret in it", name, code, stdout, stderr)
		}
	}
}
