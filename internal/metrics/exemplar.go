package metrics

import (
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

// exemplarEvery is how often a bucket gets a new exemplar. Prometheus keeps the one
// that it finds when it scrapes, so more would only be work on every call's way.
const exemplarEvery = time.Second

// An exemplified is a series of durations of calls of which each bucket names one
// that fell into it of late. From a bar of a graph it leads to a line of the log,
// or to a trace.
type exemplified struct {
	series prometheus.Observer
	due    [len(durationBuckets) + 1]atomic.Int64 // when a bucket gets its next, in ns since 1970; the last is +Inf's
}

// observe counts a call that took so long. It allocates only where an exemplar is
// due.
func (e *exemplified) observe(took time.Duration, o *gateway.Outcome) {
	if (o.RequestID != "" || o.TraceID != "") && e.take(took.Seconds(), time.Now().UnixNano()) {
		observe(e.series, took, o)
		return
	}
	e.series.Observe(took.Seconds())
}

// take reports whether an exemplar is due in the bucket of a duration, to one of
// those who ask at once.
func (e *exemplified) take(seconds float64, now int64) bool {
	bucket, _ := slices.BinarySearch(durationBuckets[:], seconds) // le: a bound belongs to its bucket
	due := e.due[bucket].Load()
	return now >= due && e.due[bucket].CompareAndSwap(due, now+int64(exemplarEvery))
}

// observe counts a call that took so long, with itself as the exemplar.
func observe(series prometheus.Observer, took time.Duration, o *gateway.Outcome) {
	if labels := exemplar(o); labels != nil {
		series.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), labels)
		return
	}
	series.Observe(took.Seconds())
}

// exemplar returns the ids of a call, nil if it has none. OpenMetrics bounds the
// length of all names and values together, so a caller's long request id is left
// out; a trace's id always fits.
func exemplar(o *gateway.Outcome) prometheus.Labels {
	const request, trace = "request_id", "trace_id"
	labels := make(prometheus.Labels, 2)
	left := prometheus.ExemplarMaxRunes
	if o.TraceID != "" {
		labels[trace] = o.TraceID
		left -= len(trace) + len(o.TraceID)
	}
	if o.RequestID != "" && len(request)+utf8.RuneCountInString(o.RequestID) <= left {
		labels[request] = o.RequestID
	}
	if len(labels) == 0 {
		return nil
	}
	return labels
}
