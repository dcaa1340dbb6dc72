package metrics

import (
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

// observe counts a call that took so long, with itself as the exemplar of its bucket: from a
// bar of a graph it leads to a line of the log, or to a trace.
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
	if o.RequestID == "" && o.TraceID == "" {
		return nil
	}
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
