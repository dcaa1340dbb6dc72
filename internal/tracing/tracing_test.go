package tracing

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	"mdpgateway/internal/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

// A collector is an OTLP/HTTP endpoint that keeps what it gets. Its first answers
// are as given, the others 200.
type collector struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	answers  []int
	resource map[string]string
	spans    []*tracepb.Span
	posts    int

	authorized []string // the header of every post
}

func newCollector(t *testing.T, answers ...int) *collector {
	c := &collector{t: t, answers: answers, resource: make(map[string]string)}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posts++
	c.authorized = append(c.authorized, r.Header.Get("Authorization"))
	if len(c.answers) > 0 {
		status := c.answers[0]
		c.answers = c.answers[1:]
		w.WriteHeader(status)
		return
	}
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("the collector got %s %s of %s, %v", r.Method, r.URL.Path, r.Header.Get("Content-Type"), err)
	}
	for _, of := range data.ResourceSpans {
		for _, a := range of.GetResource().GetAttributes() {
			c.resource[a.Key] = value(a.Value)
		}
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

func value(v *commonpb.AnyValue) string {
	if n, ok := v.Value.(*commonpb.AnyValue_IntValue); ok {
		return fmt.Sprint(n.IntValue)
	}
	return v.GetStringValue()
}

// named returns the one span of that name.
func (c *collector) named(name string) *tracepb.Span {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			return s
		}
	}
	c.t.Fatalf("the collector has no span %q among %v", name, c.spans)
	return nil
}

// wantAttributes fails the test unless the span has exactly these.
func wantAttributes(t *testing.T, s *tracepb.Span, want map[string]string) {
	t.Helper()
	got := make(map[string]string)
	for _, a := range s.Attributes {
		got[a.Key] = value(a.Value)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has\n%v\nwant\n%v", s.Name, got, want)
	}
}

func newTracer(t *testing.T, endpoint string) (*Tracer, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	tracer, err := New(Config{Endpoint: endpoint, Version: "v1.0.0", Log: zap.New(core), Patience: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
	})
	return tracer, logs
}

var began = time.Unix(1_790_000_000, 0)

// answered is a request that took 100 ms, of which its call waited 20 ms for a
// socket and 50 ms for its reply, which came 10 ms before the end.
func answered() gateway.Answered {
	return gateway.Answered{
		Trace: gateway.Trace{ID: traceID, Parent: parentID, Sampled: true}, RequestID: "r1",
		Route: "/services/{name}", Method: "POST", Path: "/services/echo", Peer: "192.0.2.7:4711", Principal: "web",
		Start: began, End: began.Add(100 * time.Millisecond), Status: 200, In: 5, Out: 7,
		Service: "echo", Timing: gateway.Timing{Queue: 20 * time.Millisecond, Broker: 50 * time.Millisecond},
		Returned: began.Add(90 * time.Millisecond),
	}
}

func wantTimes(t *testing.T, s *tracepb.Span, from, to time.Duration) {
	t.Helper()
	gotFrom, gotTo := time.Unix(0, int64(s.StartTimeUnixNano)).Sub(began), time.Unix(0, int64(s.EndTimeUnixNano)).Sub(began)
	if gotFrom != from || gotTo != to {
		t.Errorf("%s is from %v to %v, want %v to %v", s.Name, gotFrom, gotTo, from, to)
	}
}

func TestARequestIsASpanWithItsPartsBelowIt(t *testing.T) {
	c := newCollector(t)
	tracer, logs := newTracer(t, c.URL)
	tracer.Answered(answered())
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	server, queue, broker := c.named("POST /services/{name}"), c.named("queue"), c.named("broker")
	if len(c.spans) != 3 || c.posts != 1 || logs.Len() != 0 {
		t.Errorf("got %d spans in %d posts and the log %v, want 3 in 1 and nothing", len(c.spans), c.posts, logs.All())
	}
	if hex.EncodeToString(server.TraceId) != traceID || hex.EncodeToString(server.ParentSpanId) != parentID {
		t.Errorf("the request is in trace %x below %x, want %s and %s", server.TraceId, server.ParentSpanId, traceID, parentID)
	}
	for _, part := range []*tracepb.Span{queue, broker} {
		if hex.EncodeToString(part.TraceId) != traceID || string(part.ParentSpanId) != string(server.SpanId) {
			t.Errorf("%s is in trace %x below %x, want %s and %x", part.Name, part.TraceId, part.ParentSpanId, traceID, server.SpanId)
		}
		wantAttributes(t, part, map[string]string{"mdp.service": "echo"})
	}
	if server.Kind != tracepb.Span_SPAN_KIND_SERVER || queue.Kind != tracepb.Span_SPAN_KIND_INTERNAL || broker.Kind != tracepb.Span_SPAN_KIND_CLIENT {
		t.Errorf("the kinds are %v, %v and %v", server.Kind, queue.Kind, broker.Kind)
	}
	wantTimes(t, server, 0, 100*time.Millisecond)
	wantTimes(t, queue, 20*time.Millisecond, 40*time.Millisecond)
	wantTimes(t, broker, 40*time.Millisecond, 90*time.Millisecond)
	wantAttributes(t, server, map[string]string{
		"url.scheme": "http", "url.path": "/services/echo", "http.route": "/services/{name}",
		"http.request.method": "POST", "http.response.status_code": "200", "http.request.body.size": "5", "http.response.body.size": "7",
		"network.peer.address": "192.0.2.7", "network.peer.port": "4711",
		"mdp.service": "echo", "mdp.request_id": "r1", "mdp.principal": "web",
	})
	if c.resource["service.name"] != "mdp-gateway" || c.resource["service.version"] != "v1.0.0" {
		t.Errorf("the resource is %v", c.resource)
	}
}

func TestAJobGoesOnInTheTraceOfItsRequest(t *testing.T) {
	c := newCollector(t)
	tracer, _ := newTracer(t, c.URL)
	tracer.Ran(gateway.Ran{
		Trace: gateway.Trace{ID: traceID, Parent: parentID, Sampled: true}, Job: "j1", RequestID: "r1", Service: "echo", Principal: "web",
		Created: began, Started: began.Add(time.Second), Ended: began.Add(3 * time.Second), Kind: gateway.BrokerLost,
	})
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	job, queue, broker := c.named("job"), c.named("queue"), c.named("broker")
	if hex.EncodeToString(job.TraceId) != traceID || hex.EncodeToString(job.ParentSpanId) != parentID {
		t.Errorf("the job is in trace %x below %x, want %s and %s", job.TraceId, job.ParentSpanId, traceID, parentID)
	}
	wantTimes(t, job, 0, 3*time.Second)
	wantTimes(t, queue, 0, time.Second)
	wantTimes(t, broker, time.Second, 3*time.Second)
	wantAttributes(t, job, map[string]string{
		"mdp.job": "j1", "mdp.request_id": "r1", "mdp.service": "echo", "mdp.principal": "web", "error.type": "broker_lost",
	})
	if code := tracepb.Status_STATUS_CODE_ERROR; queue.Status.GetCode() == code || broker.Status.GetCode() != code {
		t.Errorf("the queue is %v and the broker %v, want the broker to have failed", queue.Status, broker.Status)
	}
}

func TestAFailureIsInTheSpanWhereItWas(t *testing.T) {
	const ok, failed = tracepb.Status_STATUS_CODE_UNSET, tracepb.Status_STATUS_CODE_ERROR
	for _, c := range []struct {
		name                  string
		change                func(a *gateway.Answered)
		server, queue, broker tracepb.Status_StatusCode
		spans                 int
	}{
		{"at the broker", func(a *gateway.Answered) { a.Status, a.Kind, a.CallKind = 504, gateway.Timeout, gateway.Timeout }, failed, ok, failed, 3},
		{"in the queue", func(a *gateway.Answered) {
			a.Status, a.Kind, a.CallKind, a.Timing.Broker = 503, gateway.Busy, gateway.Busy, 0
		}, failed, failed, ok, 2},
		{"after the reply", func(a *gateway.Answered) { a.Status, a.Kind = 406, gateway.NotAcceptable }, ok, ok, ok, 3},
		{"before the call", func(a *gateway.Answered) {
			a.Status, a.Kind, a.Returned, a.Timing = 400, gateway.BadRequest, time.Time{}, gateway.Timing{}
		}, ok, ok, ok, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := newCollector(t)
			tracer, _ := newTracer(t, to.URL)
			a := answered()
			c.change(&a)
			tracer.Answered(a)
			if err := tracer.Close(); err != nil {
				t.Fatal(err)
			}
			if len(to.spans) != c.spans {
				t.Errorf("got %d spans, want %d: %v", len(to.spans), c.spans, to.spans)
			}
			want := map[string]tracepb.Status_StatusCode{"POST /services/{name}": c.server, "queue": c.queue, "broker": c.broker}
			for _, s := range to.spans {
				if got := s.GetStatus().GetCode(); got != want[s.Name] {
					t.Errorf("%s has the status %v, want %v", s.Name, got, want[s.Name])
				}
				kind := ""
				for _, attribute := range s.Attributes {
					if attribute.Key == "error.type" {
						kind = value(attribute.Value)
					}
				}
				if want[s.Name] == failed && kind != string(a.Kind) {
					t.Errorf("%s has the error.type %q, want %q", s.Name, kind, a.Kind)
				}
			}
		})
	}
}

func TestATraceThatBeginsHereHasTheIdThatTheLogHas(t *testing.T) {
	c := newCollector(t)
	tracer, _ := newTracer(t, c.URL)
	a := answered()
	a.Trace = gateway.Trace{ID: traceID}
	a.Method, a.Route, a.Peer = "other", "unmatched", "@"
	tracer.Answered(a)
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	s := c.named("HTTP")
	if hex.EncodeToString(s.TraceId) != traceID || len(s.ParentSpanId) != 0 {
		t.Errorf("the span is in trace %x below %x, want %s and none", s.TraceId, s.ParentSpanId, traceID)
	}
}

func TestWhatTheCallerDoesNotRecordIsNotSent(t *testing.T) {
	c := newCollector(t)
	tracer, _ := newTracer(t, c.URL)
	a := answered()
	a.Trace.Sampled = false
	tracer.Answered(a)
	a.Trace = gateway.Trace{}
	tracer.Answered(a) // of no trace at all
	a.Trace = gateway.Trace{ID: traceID, Parent: "malformed"}
	tracer.Answered(a)
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	if c.posts != 0 {
		t.Errorf("the collector got %d posts, want none: %v", c.posts, c.spans)
	}
}

// TestWhatACallerWroteCannotLoseABatch holds that text that protocol buffers can't
// carry, or that is long, does not keep the others' spans from being sent.
func TestWhatACallerWroteCannotLoseABatch(t *testing.T) {
	c := newCollector(t)
	tracer, logs := newTracer(t, c.URL)
	a := answered()
	a.Path, a.Principal = "/"+strings.Repeat("x", 60_000), "w\xffb"
	tracer.Answered(a)
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, at := range c.named("POST /services/{name}").Attributes {
		got[at.Key] = value(at.Value)
	}
	if len(got["url.path"]) != maxAttribute || got["mdp.principal"] != "w\uFFFDb" || logs.Len() != 0 {
		t.Errorf("url.path has %d bytes, want %d; mdp.principal is %q; the log has %v", len(got["url.path"]), maxAttribute, got["mdp.principal"], logs.All())
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://localhost:4318":       "http://localhost:4318/v1/traces",
		"http://localhost:4318/":      "http://localhost:4318/v1/traces",
		"https://otel.example/intake": "https://otel.example/intake",
	} {
		if u, err := parseEndpoint(endpoint); err != nil || u.String() != want {
			t.Errorf("%q: got %v, %v, want %s", endpoint, u, err, want)
		}
	}
	for _, endpoint := range []string{"", "localhost:4318", "grpc://localhost:4317", "http://", "http://:4318", "http://a/?q", "http://a/#f", "http://user:secret@a", "http://user:secret@a b", "http://user:secret/x@a", "http://a b"} {
		err := CheckEndpoint(endpoint)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want an error without the password", endpoint, err)
		}
		if _, err := New(Config{Endpoint: endpoint}); err == nil {
			t.Errorf("%q: New took it", endpoint)
		}
	}
}
