package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HTTP observes HTTP requests. Routes must be patterns, methods standard names or
// "other": both come from whoever calls and would else create series at will.
type HTTP struct {
	// Set once.
	total    *prometheus.CounterVec   // route, method, code
	duration *prometheus.HistogramVec // route, method, code
	inFlight *prometheus.GaugeVec     // route, method
	auth     *prometheus.CounterVec   // principal, result
	rejected *prometheus.CounterVec   // reason; that of calls
}

func newHTTP(rejected *prometheus.CounterVec) HTTP {
	return HTTP{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "http_requests_total", Help: "HTTP requests answered; 499 is for callers who left.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(durations("http_request_duration_seconds",
			"From the headers of a request to the end of its answer."), []string{"route", "method", "code"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "http_requests_in_flight", Help: "HTTP requests being answered.",
		}, []string{"route", "method"}),
		auth:     newAuth(),
		rejected: rejected,
	}
}

// Started tells that a request has begun; Done must follow with the same route
// and method.
func (h *HTTP) Started(route, method string) { h.inFlight.WithLabelValues(route, method).Inc() }

// Done tells how a request that Started told of was answered.
func (h *HTTP) Done(route, method string, code int, took time.Duration) {
	h.inFlight.WithLabelValues(route, method).Dec()
	text := strconv.Itoa(code)
	h.total.WithLabelValues(route, method, text).Inc()
	h.duration.WithLabelValues(route, method, text).Observe(took.Seconds())
}

// Rejected counts a request that was refused at a bound; the reason is a constant.
func (h *HTTP) Rejected(reason string) { h.rejected.WithLabelValues(reason).Inc() }

// Describe is prometheus.Collector.
func (h *HTTP) Describe(ch chan<- *prometheus.Desc) {
	h.total.Describe(ch)
	h.duration.Describe(ch)
	h.inFlight.Describe(ch)
	h.auth.Describe(ch)
}

// Collect is prometheus.Collector.
func (h *HTTP) Collect(ch chan<- prometheus.Metric) {
	h.total.Collect(ch)
	h.duration.Collect(ch)
	h.inFlight.Collect(ch)
	h.auth.Collect(ch)
}
