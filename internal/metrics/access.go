package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

func newAuth() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "auth_requests_total", Help: "Requests that needed a key, by the key they showed and what came of it.",
	}, []string{"key_id", "result"})
}

// Authenticated tells of a request that needed a key. The id must be that of a
// configured key or a constant, the result a constant, or strangers would create
// series.
func (h *HTTP) Authenticated(keyID, result string) {
	h.auth.WithLabelValues(keyID, result).Inc()
	if result == string(gateway.RateLimited) {
		h.rejected.WithLabelValues(gateway.ReasonRate).Inc()
	}
}

// Keys are the keys in force.
type Keys interface {
	Enabled() bool                  // a key is needed
	Expiries() map[string]time.Time // by id; zero means never
}

// WatchKeys adds the metrics of the keys in force, which are asked for at each
// scrape. It may be called once.
func (m *Metrics) WatchKeys(k Keys) { m.registry.MustRegister(&keys{k}) }

// keys collects auth_enabled and key_expiry_timestamp_seconds.
type keys struct{ in Keys }

var (
	enabledDesc = desc("auth_enabled", "Whether requests need a key.")
	expiryDesc  = desc("key_expiry_timestamp_seconds", "When a key expires; keys that never do have none.", "key_id")
)

// Describe is prometheus.Collector.
func (k *keys) Describe(ch chan<- *prometheus.Desc) {
	ch <- enabledDesc
	ch <- expiryDesc
}

// Collect is prometheus.Collector.
func (k *keys) Collect(ch chan<- prometheus.Metric) {
	enabled := 0.0
	if k.in.Enabled() {
		enabled = 1
	}
	ch <- prometheus.MustNewConstMetric(enabledDesc, prometheus.GaugeValue, enabled)
	for id, expiry := range k.in.Expiries() {
		if !expiry.IsZero() {
			ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(expiry.Unix()), id)
		}
	}
}
