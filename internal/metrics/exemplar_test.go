package metrics

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

// exemplars returns what follows the # on the lines of request_duration_seconds,
// as OpenMetrics has it, by the line's series.
func exemplars(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, r)
	found := make(map[string]string)
	for line := range strings.Lines(rec.Body.String()) {
		sample, labels, has := strings.Cut(line, " # ")
		if !has {
			continue
		}
		series, _, _ := strings.Cut(sample, "} ")
		labels, _, _ = strings.Cut(strings.TrimPrefix(labels, "{"), "} ")
		ids := strings.Split(labels, ",")
		slices.Sort(ids) // they come in any order
		found[strings.TrimPrefix(series, namespace+"_")+"}"] = "{" + strings.Join(ids, ",") + "}"
	}
	return found
}

func TestADurationsBucketNamesACallThatFellIntoIt(t *testing.T) {
	long := strings.Repeat("x", 128)
	for _, c := range []struct {
		name    string
		outcome gateway.Outcome
		series  string
		want    string
	}{
		{"both ids", gateway.Outcome{RequestID: "r1", TraceID: traceID, Timing: gateway.Timing{Broker: 40 * time.Millisecond}},
			`outcome="ok",service="echo",le="0.05"`, `{request_id="r1",trace_id="` + traceID + `"}`},
		{"no trace", gateway.Outcome{RequestID: "r1", Timing: gateway.Timing{Broker: 50 * time.Millisecond}},
			`outcome="ok",service="echo",le="0.05"`, `{request_id="r1"}`},
		{"beyond the last bound", gateway.Outcome{RequestID: "r1", Timing: gateway.Timing{Broker: time.Hour}},
			`outcome="ok",service="echo",le="+Inf"`, `{request_id="r1"}`},
		{"a timeout", gateway.Outcome{RequestID: "r1", Kind: gateway.Timeout, Timing: gateway.Timing{Broker: 25 * time.Second}},
			`outcome="timeout",service="echo",le="30.0"`, `{request_id="r1"}`},
		{"an error", gateway.Outcome{RequestID: "r1", Kind: gateway.WorkerError, Timing: gateway.Timing{Broker: time.Millisecond}},
			`outcome="error",service="echo",le="0.005"`, `{request_id="r1"}`},
		{"a long request id", gateway.Outcome{RequestID: long, TraceID: traceID, Timing: gateway.Timing{Broker: time.Millisecond}},
			`outcome="ok",service="echo",le="0.005"`, `{trace_id="` + traceID + `"}`},
		{"the longest that fits", gateway.Outcome{RequestID: long[:78], TraceID: traceID, Timing: gateway.Timing{Broker: time.Millisecond}},
			`outcome="ok",service="echo",le="0.005"`, `{request_id="` + long[:78] + `",trace_id="` + traceID + `"}`},
		{"one that does not", gateway.Outcome{RequestID: long[:79], TraceID: traceID, Timing: gateway.Timing{Broker: time.Millisecond}},
			`outcome="ok",service="echo",le="0.005"`, `{trace_id="` + traceID + `"}`},
		{"nothing that fits", gateway.Outcome{RequestID: long, Timing: gateway.Timing{Broker: time.Millisecond}}, "", ""},
		{"nothing that was sent", gateway.Outcome{RequestID: "r1", Kind: gateway.Busy}, "", ""},
		{"no ids", gateway.Outcome{Timing: gateway.Timing{Broker: time.Millisecond}}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New(Config{})
			o := c.outcome
			o.Service, o.Known, o.KnownBefore, o.Sent = "echo", true, true, o.Timing.Broker > 0
			call(m, o)
			got := exemplars(t, m)
			want := map[string]string{}
			if c.series != "" {
				want["request_duration_seconds_bucket{"+c.series+"}"] = c.want
			}
			if len(got) != len(want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			for series, labels := range want {
				if got[series] != labels {
					t.Errorf("got %v, want %s with %s", got, series, labels)
				}
			}
		})
	}
}
