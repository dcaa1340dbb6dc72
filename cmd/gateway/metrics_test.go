package main

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"

	"mdpgateway/internal/certs/certstest"
	"mdpgateway/internal/mdp/mdptest"
)

// metricLabels are all metrics of a gateway's own, with the labels of each. What is
// here is what dashboards and alerts of others are written against.
var metricLabels = map[string]string{
	"http_requests_total": "code method route", "http_request_duration_seconds": "code method route", "http_requests_in_flight": "method route",
	"requests_total": "outcome service", "request_duration_seconds": "outcome service",
	"queue_wait_seconds": "", "queue_depth": "",
	"requests_in_flight": "service", "orphaned_requests": "service", "service_silent": "service",
	"timeouts_total": "service stage", "rejected_total": "reason", "worker_errors_total": "reason service",
	"request_size_bytes": "service", "reply_size_bytes": "service", "stray_replies_total": "reason", "repeating_services": "",
	"pool_connections": "state", "pool_connections_closed_total": "reason", "pool_connections_max": "", "pool_queue_max": "",
	"buffered_bytes": "", "buffered_bytes_max": "",
	"connections": "listener", "connections_max": "listener", "connections_refused_total": "listener reason",
	"broker_up": "endpoint", "broker_refused_handshakes_total": "endpoint reason", "broker_reconnects_total": "endpoint", "broker_silent": "endpoint", "broker_last_reply_timestamp_seconds": "endpoint",
	"broker_dropped_total": "reason",
	"mmi_lookups_total":    "result",
	"auth_enabled":         "", "auth_requests_total": "principal result", "principal_expiry_timestamp_seconds": "principal",
	"tls_expiry_timestamp_seconds": "file", "tls_issued_timestamp_seconds": "file", "tls_handshakes_failed_total": "listener reason",
	"token_issuer_keys": "issuer", "token_issuer_up": "issuer",
	"config_last_reload_successful": "", "config_last_reload_success_timestamp_seconds": "",
	"jobs_submitted_total": "result service", "jobs_ended_total": "service state", "jobs_queued": "service", "jobs_running": "service",
	"jobs_interrupted": "service", "job_interrupted_timestamp_seconds": "service",
	"job_oldest_queued_seconds": "service", "job_wait_seconds": "service", "job_duration_seconds": "service", "jobs_waiters": "", "jobs_expires_seconds": "",
	"jobs_store_up": "", "jobs_store_bytes": "", "jobs_store_bytes_max": "", "jobs_store_seconds": "op", "jobs_store_errors_total": "op",
	"jobs_damaged_total": "", "jobs_redelivered_total": "verdict", "requests_saved_total": "", "canceled_total": "service was",
	"build_info": "goversion revision version zmqversion",
}

// TestALoadedGatewayHasEveryMetricThatIsDocumented brings about what each metric
// counts, and compares names and labels.
func TestALoadedGatewayHasEveryMetricThatIsDocumented(t *testing.T) {
	metrics := eventful(t)
	got := make(map[string]string)
	for name, family := range families(t, metrics) {
		name, ours := strings.CutPrefix(name, "mdp_gateway_")
		if !ours {
			continue
		}
		labels := make(map[string]bool)
		for _, m := range family.Metric {
			for _, l := range m.Label {
				labels[l.GetName()] = true
			}
		}
		got[name] = strings.Join(slices.Sorted(maps.Keys(labels)), " ")
	}
	for name, labels := range metricLabels {
		if have, ok := got[name]; !ok || have != labels {
			t.Errorf("%s has the labels %q and is there: %v, want %q", name, have, ok, labels)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("there are others: %v", got)
	}
	for _, want := range []string{
		`requests_total{outcome="busy",service="sleep"} 1`,
		`requests_total{outcome="bad_reply",service="strange"} 1`,
		`timeouts_total{service="sleep",stage="broker"} 1`,
		`orphaned_requests{service="sleep"} 1`, `service_silent{service="echo"} 0`,
		`rejected_total{reason="service"} 1`,
		`worker_errors_total{reason="flowgraph_failed",service="fail"} 2`,
		`jobs_submitted_total{result="ok",service="fail"} 1`, `jobs_ended_total{service="fail",state="failed"} 1`, `jobs_store_up 1`,
		`requests_total{outcome="worker_error",service="fail"} 2`,
		`broker_dropped_total{reason="wrong_header"} 0`,
		`canceled_total{service="echo",was="queued"} 0`, `canceled_total{service="sleep",was="dispatched"} 1`, `mmi_lookups_total{result="501"} 0`, `stray_replies_total{reason="late"} 0`, `pool_connections_closed_total{reason="idle"} 0`,
		`auth_requests_total{principal="_none",result="missing"} 1`,
	} {
		if !strings.Contains(scrape(t, metrics, "text/plain"), "mdp_gateway_"+want+"\n") {
			t.Errorf("/metrics has no line %s", want)
		}
	}
}

// TestDurationsAreClassicAndNativeHistogramsWithExemplars reads the exposition as
// Prometheus does that takes native histograms, and as OpenMetrics.
func TestDurationsAreClassicAndNativeHistogramsWithExemplars(t *testing.T) {
	g := start(t)
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	if a := g.post("vars", `{}`, "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01", "X-Request-Id", "mine"); a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	all := families(t, g.url)
	for _, name := range []string{"http_request_duration_seconds", "request_duration_seconds", "queue_wait_seconds"} {
		family := all["mdp_gateway_"+name]
		if family == nil {
			t.Errorf("there is no %s", name)
			continue
		}
		for _, m := range family.Metric {
			if h := m.Histogram; len(h.Bucket) < 16 || h.Schema == nil || h.GetSampleCount() > h.GetZeroCount() && len(h.PositiveSpan) == 0 {
				t.Errorf("%s has %d classic buckets and %d native spans of schema %v, want both kinds", name, len(h.Bucket), len(h.PositiveSpan), h.Schema)
			}
		}
	}
	for line := range strings.Lines(scrape(t, g.url, "application/openmetrics-text; version=1.0.0")) {
		if strings.HasPrefix(line, "mdp_gateway_request_duration_seconds_bucket{") && strings.Contains(line, `service="vars"`) &&
			strings.Contains(line, `# {`) && strings.Contains(line, `trace_id="`+traceID+`"`) && strings.Contains(line, `request_id="mine"`) {
			return
		}
	}
	t.Error("no bucket of vars has the call as its exemplar")
}

// eventful returns the URL of a gateway's metrics, once all that they count has
// happened to it.
func eventful(t *testing.T) (metrics string) {
	t.Helper()
	liar := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		return [][][]byte{{nil, []byte("MDPC01")}} // without service
	})
	secret, entry := newKey(t, "web")
	pair := certstest.New(t, "lab").Server()
	g := startWith(t, `
brokers: [{name: liar, endpoint: "`+liar.Endpoint()+`"}]
embedded: true
mmi: hint
admin-listen: 127.0.0.1:0
keys-file: DIR/keys.yaml
tls-cert: DIR/tls.crt
tls-key: DIR/tls.key
issuers: [{issuer: http://127.0.0.1:1, audience: mdp-gateway}]
services:
  strange: {brokers: [liar]}
  sleep: {brokers: [embedded], max_in_flight: 1}
  fail: {brokers: [embedded], errors: [{frame: 0, equals: "\u0006", reason: flowgraph_failed, detail: it failed}]}
`, map[string]string{
		"keys.yaml": strings.TrimSuffix(entry, "}\n") + ", expires: 2099-01-01}\n", "tls.crt": string(pair.PEM), "tls.key": string(pair.Key),
	}, "--listen", "http://127.0.0.1:0", "--listen", "127.0.0.1:0")
	key := []string{"Authorization", "Bearer " + secret}
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`, key...).status == http.StatusOK })
	problem(t, g.post("echo", `{}`), 401, "unauthorized", "no")
	problem(t, g.post("fail", `{}`, key...), 502, "worker_error", "yes")
	problem(t, g.post("strange", `{}`, key...), 502, "bad_reply", "maybe")
	slow := make(chan answered, 1)
	go func() { slow <- g.post("sleep?timeout=2s", `{"body":"1m"}`, key...) }()
	eventually(t, "the slow call is in flight", func() bool {
		return strings.Contains(scrape(t, g.admin, "text/plain"), `mdp_gateway_requests_in_flight{service="sleep"} 1`)
	})
	problem(t, g.post("sleep", `{"body":"1m"}`, key...), 503, "busy", "no")
	problem(t, <-slow, 504, "timeout", "maybe")
	g.awaitJob(t, g.submit(t, "fail", jsonBody, `{}`, key...), key...)
	g.submit(t, "sleep", jsonBody, `{}`, key...) // which waits for the place of the slow call
	return g.admin
}

// scrape returns the metrics as who asks for that type gets them.
func scrape(t *testing.T, base, accept string) string {
	t.Helper()
	return string(request(t, newClient(t), http.MethodGet, base+"/metrics", "", "", "Accept", accept).body)
}

// families returns the metrics as protocol buffers, by name.
func families(t *testing.T, base string) map[string]*dto.MetricFamily {
	t.Helper()
	body := bufio.NewReader(strings.NewReader(scrape(t, base,
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")))
	all := make(map[string]*dto.MetricFamily)
	for {
		family := new(dto.MetricFamily)
		err := protodelim.UnmarshalFrom(body, family)
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[family.GetName()] = family
	}
}

// A body that is refused for its bytes never becomes a call of the dispatcher's, and
// is counted as one all the same: alerts and the runbook ask for it.
func TestABodyWithoutRoomIsARejectedCall(t *testing.T) {
	g := startFull(t)
	if a := g.post("echo", `{}`); a.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %s, want 503", a.status, a.body)
	}
	for _, want := range []string{`rejected_total{reason="memory"} 1`, `requests_total{outcome="busy",service="echo"} 1`} {
		if !strings.Contains(scrape(t, g.url, "text/plain"), "mdp_gateway_"+want+"\n") {
			t.Errorf("/metrics has no line %s", want)
		}
	}
}
