package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

// The outcomes of request_duration_seconds, which is coarser than that of
// requests_total: each costs a histogram.
const (
	outcomeOK      = "ok"
	outcomeError   = "error"
	outcomeTimeout = "timeout"
)

// calls are the instruments of calls to services.
type calls struct {
	total        *prometheus.CounterVec   // service, outcome
	duration     *prometheus.HistogramVec // service, outcome
	inFlight     *prometheus.GaugeVec     // service
	timeouts     *prometheus.CounterVec   // service, stage
	workerErrors *prometheus.CounterVec   // service, reason
	requestSize  *prometheus.HistogramVec // service
	replySize    *prometheus.HistogramVec // service
	rejected     *prometheus.CounterVec   // reason
	canceled     *prometheus.CounterVec   // service, was
	saved        prometheus.Counter
	queueWait    prometheus.Histogram
}

func newCalls() calls {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	c := calls{
		total: counter("requests_total", "Calls, by how they ended: ok or the code of the problem.", "service", "outcome"),
		duration: prometheus.NewHistogramVec(durations("request_duration_seconds",
			"From sending a request to the last frame of its reply, or its failure."), []string{"service", "outcome"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "requests_in_flight", Help: "Calls that have begun and not ended, waiting ones included.",
		}, []string{"service"}),
		timeouts:     counter("timeouts_total", "Calls whose reply did not come in time, by where they waited.", "service", "stage"),
		workerErrors: counter("worker_errors_total", "Replies with which a worker says that it failed.", "service", "reason"),
		requestSize:  prometheus.NewHistogramVec(sizes("request_size_bytes", "All frames of a request that was sent."), []string{"service"}),
		replySize:    prometheus.NewHistogramVec(sizes("reply_size_bytes", "All frames of a reply."), []string{"service"}),
		rejected:     counter("rejected_total", "Calls, and requests of other routes, refused because a bound was reached, by which.", "reason"),
		canceled: counter("canceled_total",
			"Calls that were given up whose request a broker that can cancel took back (queued), or had given to a worker (dispatched).", "service", "was"),
		saved: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "requests_saved_total",
			Help: "Requests of calls that were given up which no worker ran, as their broker says."}),
		queueWait: prometheus.NewHistogram(durations("queue_wait_seconds", "How long calls waited for a connection.")),
	}
	for _, reason := range gateway.RejectReasons() {
		c.rejected.WithLabelValues(reason)
	}
	return c
}

func (c *calls) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		c.total, c.duration, c.inFlight, c.timeouts, c.workerErrors, c.requestSize, c.replySize, c.rejected, c.canceled, c.saved, c.queueWait,
	}
}

// Describe is prometheus.Collector.
func (c *calls) Describe(ch chan<- *prometheus.Desc) {
	for _, each := range c.collectors() {
		each.Describe(ch)
	}
}

// Collect is prometheus.Collector.
func (c *calls) Collect(ch chan<- prometheus.Metric) {
	for _, each := range c.collectors() {
		each.Collect(ch)
	}
}

// Started tells that a call has begun; known says whether its service is. Ended
// must follow, with the same service and with known as Outcome.KnownBefore.
func (m *Metrics) Started(service string, known bool) {
	m.services.get(service, known).inFlight.Inc()
}

// Ended tells how a call ended that Started told of.
func (m *Metrics) Ended(o gateway.Outcome) {
	// A first reply may have made the service known since the call began: what
	// went up as a stranger's call goes down as one.
	m.services.get(o.Service, o.KnownBefore).inFlight.Dec()

	s := m.services.get(o.Service, o.Known)
	if waited(&o) {
		m.calls.queueWait.Observe(o.Timing.Queue.Seconds())
	}
	if o.Sent {
		s.requestSize.Observe(float64(o.RequestBytes))
	}
	if o.Kind == "" {
		s.ok.Inc()
		observe(s.okDuration, o.Timing.Broker, &o)
		s.replySize.Observe(float64(o.ReplyBytes))
		return
	}
	m.failed(s.name, &o)
}

// waited reports whether a call waited for a connection, be it in vain; others were
// refused before they came to it.
func waited(o *gateway.Outcome) bool {
	switch o.Reason {
	case gateway.ReasonPool, gateway.ReasonDeadline, gateway.ReasonDescriptors:
		return o.Sent || o.Kind == gateway.Busy
	}
	return o.Sent
}

// failed counts what is rare enough to look its series up.
func (m *Metrics) failed(service string, o *gateway.Outcome) {
	c := &m.calls
	c.total.WithLabelValues(service, string(o.Kind)).Inc()
	if o.Sent {
		outcome := outcomeError
		if o.Kind == gateway.Timeout {
			outcome = outcomeTimeout
		}
		observe(c.duration.WithLabelValues(service, outcome), o.Timing.Broker, o)
	}
	if o.Was != "" {
		c.canceled.WithLabelValues(service, string(o.Was)).Inc()
	}
	if o.Was == gateway.WasQueued {
		c.saved.Inc()
	}
	switch o.Kind {
	case gateway.Timeout:
		c.timeouts.WithLabelValues(service, o.Stage).Inc()
	case gateway.WorkerError:
		c.workerErrors.WithLabelValues(service, o.Reason).Inc()
		c.replySize.WithLabelValues(service).Observe(float64(o.ReplyBytes))
	case gateway.Busy:
		c.rejected.WithLabelValues(o.Reason).Inc()
	}
}
