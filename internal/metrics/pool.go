package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

// pool collects the metrics of a pool of connections from one snapshot, so that
// they agree with each other.
type pool struct{ stats func() gateway.PoolStats }

// A poolMetric is one metric of a pool and how it is read off a snapshot. add
// sends one sample with the values of the labels.
type poolMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s *gateway.PoolStats, add func(value float64, labels ...string))
}

// poolMetrics returns them all.
func poolMetrics() []poolMetric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []poolMetric{
		{desc("pool_connections", "Connections to brokers, by state.", "state"), gauge,
			func(s *gateway.PoolStats, add func(float64, ...string)) {
				add(float64(s.Idle), "idle")
				add(float64(s.Busy), "busy")
				add(float64(s.Connecting), "connecting")
			}},
		{desc("pool_connections_max", "The most connections there may be."), gauge,
			func(s *gateway.PoolStats, add func(float64, ...string)) { add(float64(s.Max)) }},
		{desc("pool_connections_closed_total", "Connections closed, by why they could not be used again.", "reason"), counter,
			byReason(func(s *gateway.PoolStats) map[string]uint64 { return s.Closed })},
		{desc("pool_queue_max", "The most calls that may wait for a connection."), gauge,
			func(s *gateway.PoolStats, add func(float64, ...string)) { add(float64(s.QueueMax)) }},
		{desc("queue_depth", "Calls that wait for a connection."), gauge,
			func(s *gateway.PoolStats, add func(float64, ...string)) { add(float64(s.Waiting)) }},
		{desc("stray_replies_total", "Messages that were the reply to nothing, by what was wrong with them.", "reason"), counter,
			byReason(func(s *gateway.PoolStats) map[string]uint64 { return s.Stray })},
		{desc("repeating_services", "Services that were seen to repeat replies lately: with reuse: auto their calls share no connections."), gauge,
			func(s *gateway.PoolStats, add func(float64, ...string)) { add(float64(s.Repeating)) }},
		{desc("broker_up", "1 if the broker can be reached.", "endpoint"), gauge,
			byEndpoint(func(e *gateway.EndpointStats) float64 { return boolean(e.State == gateway.Up) })},
		{desc("broker_reconnects_total", "How often the connection to the broker came back.", "endpoint"), counter,
			byEndpoint(func(e *gateway.EndpointStats) float64 { return float64(e.Reconnects) })},
		{desc("broker_refused_handshakes_total", "Handshakes with the broker that came to nothing because of CURVE's keys, by reason.", "endpoint", "reason"), counter,
			func(s *gateway.PoolStats, add func(float64, ...string)) {
				for i := range s.Endpoints {
					for reason, n := range s.Endpoints[i].Refusals {
						add(float64(n), s.Endpoints[i].Name, reason)
					}
				}
			}},
		{desc("broker_silent", "1 if the broker is connected and has never answered, look-ups included: its dialect may be another.", "endpoint"), gauge,
			byEndpoint(func(e *gateway.EndpointStats) float64 { return boolean(e.Silent) })},
		{desc("broker_last_reply_timestamp_seconds", "When the broker last replied, since 1970; 0 if never.", "endpoint"), gauge,
			byEndpoint(func(e *gateway.EndpointStats) float64 { return seconds(e.LastReply) })},
	}
}

func byReason(counts func(*gateway.PoolStats) map[string]uint64) func(*gateway.PoolStats, func(float64, ...string)) {
	return func(s *gateway.PoolStats, add func(float64, ...string)) {
		for reason, n := range counts(s) {
			add(float64(n), reason)
		}
	}
}

// byEndpoint labels samples by the broker's name, which is unique and, unless
// another is configured, its endpoint.
func byEndpoint(value func(*gateway.EndpointStats) float64) func(*gateway.PoolStats, func(float64, ...string)) {
	return func(s *gateway.PoolStats, add func(float64, ...string)) {
		for i := range s.Endpoints {
			add(value(&s.Endpoints[i]), s.Endpoints[i].Name)
		}
	}
}

// Describe is prometheus.Collector.
func (p *pool) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range poolMetrics() {
		ch <- m.desc
	}
}

// Collect is prometheus.Collector.
func (p *pool) Collect(ch chan<- prometheus.Metric) {
	s := p.stats()
	for _, m := range poolMetrics() {
		m.read(&s, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
		})
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
