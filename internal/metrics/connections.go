package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

// The metrics of callers' connections. They never change.
var (
	connectionsOpen    = desc("connections", "Connections of callers and, with the listener broker, to the embedded broker.", "listener")
	connectionsMax     = desc("connections_max", "The most connections that there may be, but a few for probes.", "listener")
	handshakesFailed   = desc("tls_handshakes_failed_total", "TLS handshakes of callers that failed, by why.", "listener", "reason")
	connectionsRefused = desc("connections_refused_total", "Connections refused or closed early, by why.", "listener", "reason")
)

// connections collects them from one snapshot.
type connections struct {
	listener string
	stats    func() gateway.ConnectionStats
}

// WatchConnections adds the metrics of the connections at a listener. It may be called once for each.
func (m *Metrics) WatchConnections(listener string, stats func() gateway.ConnectionStats) {
	m.registry.MustRegister(&connections{listener, stats})
}

// Describe is prometheus.Collector. It describes nothing, since several listeners have the same metrics.
func (*connections) Describe(chan<- *prometheus.Desc) {}

// Collect is prometheus.Collector.
func (c *connections) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	ch <- prometheus.MustNewConstMetric(connectionsOpen, prometheus.GaugeValue, float64(s.Open), c.listener)
	ch <- prometheus.MustNewConstMetric(connectionsMax, prometheus.GaugeValue, float64(s.Max), c.listener)
	for reason, n := range s.Refused {
		ch <- prometheus.MustNewConstMetric(connectionsRefused, prometheus.CounterValue, float64(n), c.listener, reason)
	}
	for reason, n := range s.Handshakes {
		ch <- prometheus.MustNewConstMetric(handshakesFailed, prometheus.CounterValue, float64(n), c.listener, reason)
	}
}
