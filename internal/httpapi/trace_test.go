package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID    = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + parentID + "-01"
)

// TestATraceparentIsReadAsTheStandardSays has the cases of W3C Trace Context §3.2
// and of its test suite.
func TestATraceparentIsReadAsTheStandardSays(t *testing.T) {
	sampled := gateway.Trace{ID: traceID, Parent: parentID, Sampled: true}
	unsampled := gateway.Trace{ID: traceID, Parent: parentID}
	none := gateway.Trace{}
	ids := "-" + traceID + "-" + parentID + "-"
	for _, c := range []struct {
		header string
		want   gateway.Trace
	}{
		{traceparent, sampled},
		{"00" + ids + "00", unsampled},
		{"00" + ids + "03", sampled}, // the bit of level 2
		{"00" + ids + "fe", unsampled},
		{"00" + ids + "ff", sampled},
		{"01" + ids + "01", sampled},
		{"cc" + ids + "01-what-the-future-will-be-like", sampled},
		{"cc" + ids + "01-", sampled},
		{"cc" + ids + "01.what-the-future-will-not-be-like", none},
		{"ff" + ids + "01", none},
		{"00" + ids + "01-", none},
		{"00" + ids + "01-what", none},
		{"00" + ids + "1", none},
		{"00" + ids + "0g", none},
		{"0" + ids + "01", none},
		{"FE" + ids + "01", none},
		{"." + "0" + ids + "01", none},
		{"00-" + strings.ToUpper(traceID) + "-" + parentID + "-01", none},
		{"00-" + traceID + "-" + strings.ToUpper(parentID) + "-01", none},
		{"00-" + strings.Repeat("0", 32) + "-" + parentID + "-01", none},
		{"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", none},
		{"00-" + traceID[1:] + "--" + parentID + "-01", none},
		{"00_" + traceID + "-" + parentID + "-01", none},
		{"00-" + traceID + "_" + parentID + "-01", none},
		{"00-" + traceID + "-" + parentID + "_01", none},
		{"", none},
		{"-", none},
	} {
		if got := parseTraceparent(c.header); got != c.want {
			t.Errorf("%q: got %+v, want %+v", c.header, got, c.want)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	for _, seed := range []string{traceparent, traceparent[:54], traceparent + "-x", "ff" + traceparent[2:], "01" + traceparent[2:] + "-", "00-" + strings.Repeat("0", 32)} {
		f.Add(seed)
	}
	format := regexp.MustCompile(`(?s)^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f][0-9a-f])(-.*)?$`)
	f.Fuzz(func(t *testing.T, header string) {
		var want gateway.Trace
		if m := format.FindStringSubmatch(header); m != nil && m[1] != "ff" && (m[1] != "00" || m[5] == "") &&
			strings.Trim(m[2], "0") != "" && strings.Trim(m[3], "0") != "" {
			want = gateway.Trace{ID: m[2], Parent: m[3], Sampled: strings.ContainsAny(m[4][1:], "13579bdf")}
		}
		if got := parseTraceparent(header); got != want {
			t.Errorf("%q: got %+v, want %+v", header, got, want)
		}
	})
}

// told is a Tracer that keeps what it was told.
type told struct {
	mu  sync.Mutex
	all []gateway.Answered
}

func (t *told) Answered(a gateway.Answered) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, a)
}

func TestATraceIsInTheLogAndInTheCall(t *testing.T) {
	var got gateway.Call
	g := serve(t, Config{Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		got = call
		return echo(ctx, call)
	})})
	g.post("/services/echo", "x", "X-Request-Id: r1", "Traceparent: "+traceparent).wantBody(t, 200, "x")
	if got.RequestID != "r1" || got.TraceID != traceID {
		t.Errorf("the call is of request %q in trace %q, want r1 in %s", got.RequestID, got.TraceID, traceID)
	}
	g.post("/services/echo", "x", "Traceparent: "+traceparent+"0").wantBody(t, 200, "x")
	if got.TraceID != "" {
		t.Errorf("the malformed trace has the id %q", got.TraceID)
	}
	g.stop()
	lines := g.logs.FilterMessage("request").All()
	if id := lines[0].ContextMap()["trace_id"]; id != traceID {
		t.Errorf("trace_id in the log is %v, want %s", id, traceID)
	}
	if id, there := lines[1].ContextMap()["trace_id"]; there {
		t.Errorf("trace_id of a malformed traceparent is in the log: %v", id)
	}
}

func TestOfTwoTraceparentsNeitherIsTaken(t *testing.T) {
	h := http.Header{"Traceparent": {traceparent, traceparent}}
	if got := traceOf(h); got != (gateway.Trace{}) {
		t.Errorf("got %+v, want none", got)
	}
}

func TestTheTracerIsToldOfEveryRequestButProbes(t *testing.T) {
	var tracer told
	g := serve(t, Config{Tracer: &tracer, Metrics: http.NotFoundHandler(), Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		if call.Service == "gone" {
			return gateway.Reply{}, &gateway.Error{Kind: gateway.BrokerLost}
		}
		return echo(ctx, call)
	})})
	before := time.Now()
	g.post("/services/echo", "hello", "X-Request-Id: r1", "Traceparent: "+traceparent)
	g.post("/services/gone", "x")
	g.get("/a%0Ab")
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		g.get(path)
	}
	g.post("/services/echo", "x", "Accept: text/event-stream")
	g.stop()
	if len(tracer.all) != 4 {
		t.Fatalf("the tracer was told of %d requests, want 4: %+v", len(tracer.all), tracer.all)
	}
	a := tracer.all[0]
	if a.Start.Before(before) || a.Returned.Before(a.Start) || a.End.Before(a.Returned) || a.Peer == "" {
		t.Errorf("the times are %v, %v and %v, the peer is %q", a.Start, a.Returned, a.End, a.Peer)
	}
	a.Start, a.Returned, a.End, a.Peer = time.Time{}, time.Time{}, time.Time{}, ""
	want := gateway.Answered{
		Trace: gateway.Trace{ID: traceID, Parent: parentID, Sampled: true}, RequestID: "r1",
		Route: "/services/{name}", Method: "POST", Path: "/services/echo", Status: 200, In: 5, Out: 5,
		Service: "echo", Timing: gateway.Timing{Queue: time.Millisecond, Broker: 2 * time.Millisecond},
	}
	if a != want {
		t.Errorf("got  %+v\nwant %+v", a, want)
	}
	if a := tracer.all[1]; a.Kind != gateway.BrokerLost || a.CallKind != gateway.BrokerLost || a.Status != 502 || a.Returned.IsZero() || len(a.Trace.ID) != 32 || a.Trace.Parent != "" {
		t.Errorf("of a call that failed it was told %+v", a)
	}
	if a := tracer.all[2]; a.Path != "/a%0Ab" || a.Route != "unmatched" || !a.Returned.IsZero() || a.Kind != gateway.NotFound {
		t.Errorf("of a path without a route it was told %+v", a)
	}
	if a := tracer.all[3]; a.Service != "echo" || a.Returned.IsZero() {
		t.Errorf("of a stream it was told %+v", a)
	}
}

func TestWithATracerTheLogHasATraceOfItsOwn(t *testing.T) {
	var tracer told
	g := serve(t, Config{Tracer: &tracer})
	g.post("/services/echo", "x")
	g.post("/services/echo", "x")
	g.stop()
	lines := g.logs.FilterMessage("request").All()
	for i, line := range lines {
		if id := line.ContextMap()["trace_id"]; id != tracer.all[i].Trace.ID || len(tracer.all[i].Trace.ID) != 32 {
			t.Errorf("trace_id is %v, the tracer's %q, want the same 32 digits", id, tracer.all[i].Trace.ID)
		}
	}
	if tracer.all[0].Trace.ID == tracer.all[1].Trace.ID {
		t.Error("two requests have the same trace")
	}
}

// TestWithoutATracerTracesCostNothing holds that nothing is allocated for a trace
// that comes, nor for the tracer that is not there.
func TestWithoutATracerTracesCostNothing(t *testing.T) {
	a, err := New(Config{Caller: caller(echo), Health: health{reached: true, connected: true}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
	w := newResponse(httptest.NewRecorder(), r, time.Second)
	middleware := a.trace(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, header := range []string{traceparent, "malformed"} {
		r.Header.Set("Traceparent", header)
		if got := testing.AllocsPerRun(200, func() {
			middleware.ServeHTTP(w, r)
			a.returned(w, gateway.Timing{}, nil)
			a.tell(w, r, "/services/{name}", "POST", time.Time{}, 0)
		}); got > 0 || !w.returned.IsZero() {
			t.Errorf("%q costs %v allocations, returned is %v, want nothing of either", header, got, w.returned)
		}
	}
}
