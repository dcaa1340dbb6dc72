package tracing

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// batch is spans that have nothing but their number.
func batch(spans int) []*tracepb.ResourceSpans {
	return []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: make([]*tracepb.Span, spans)}}}}
}

func TestABatchIsSentAgainIfTheCollectorMayTakeItLater(t *testing.T) {
	for _, c := range []struct {
		answers []int
		posts   int
		lost    bool
	}{
		{nil, 1, false},
		{[]int{503}, 2, false},
		{[]int{429, 502}, 3, false},
		{[]int{504}, 2, false},
		{[]int{204}, 1, false},
		{[]int{400}, 1, true},
		{[]int{404}, 1, true},
		{[]int{500}, 1, true},
	} {
		to := newCollector(t, c.answers...)
		core, logs := observer.New(zap.DebugLevel)
		u := newUploader(to.URL+"/v1/traces", nil, zap.New(core))
		if err := u.UploadTraces(t.Context(), batch(3)); err != nil {
			t.Errorf("%v: %v", c.answers, err)
		}
		if err := u.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		lines := logs.FilterMessage("spans are lost").All()
		if to.posts != c.posts || (len(lines) == 1) != c.lost {
			t.Errorf("%v: got %d posts and the log %v, want %d, lost: %v", c.answers, to.posts, lines, c.posts, c.lost)
		}
		if c.lost && lines[0].ContextMap()["spans"] != int64(3) {
			t.Errorf("%v: the log has %v, want 3 spans", c.answers, lines[0].ContextMap())
		}
	}
}

func TestCloseDoesNotWaitForACollectorThatIsNotThere(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tracer, logs := newTracer(t, gone.URL)
	tracer.Answered(answered())
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	if n := logs.FilterMessage("spans are lost").Len(); n != 1 {
		t.Errorf("the log has %d lines that spans are lost, want 1: %v", n, logs.All())
	}
}

func TestCloseEndsAPostThatIsNotAnswered(t *testing.T) {
	release := make(chan struct{})
	mute := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer mute.Close()
	defer close(release)
	tracer, logs := newTracer(t, mute.URL)
	tracer.Answered(answered())
	closed := make(chan error, 1)
	go func() { closed <- tracer.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Close waits for an answer that does not come")
	}
	if n := logs.FilterMessage("spans are lost").Len(); n != 1 {
		t.Errorf("the log has %d lines that spans are lost, want 1: %v", n, logs.All())
	}
}

func TestAHurryEndsTheWaitForTheNextTry(t *testing.T) {
	to := newCollector(t, 503, 503, 503, 503, 503, 503, 503, 503)
	core, logs := observer.New(zap.DebugLevel)
	u := newUploader(to.URL, nil, zap.New(core))
	u.hurry()
	u.hurry() // as by a second Close
	if err := u.UploadTraces(t.Context(), batch(1)); err != nil {
		t.Error(err)
	}
	if err := u.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if to.posts != 1 || logs.Len() != 1 {
		t.Errorf("got %d posts and %d lines, want 1 and 1", to.posts, logs.Len())
	}
}
