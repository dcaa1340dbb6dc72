package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A reload is what is known of the last time that the configuration was read.
type reload struct {
	successful prometheus.Gauge
	success    prometheus.Gauge // when
}

func newReload() reload {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	}
	return reload{
		gauge("config_last_reload_successful", "Whether the configuration was valid when it was last read; if not, the one before is in force."),
		gauge("config_last_reload_success_timestamp_seconds", "When the configuration in force was read."),
	}
}

// Reloaded tells that the configuration was read, at the start or again, and
// whether what was read is in force now.
func (m *Metrics) Reloaded(valid bool, at time.Time) {
	if !valid {
		m.reload.successful.Set(0)
		return
	}
	m.reload.successful.Set(1)
	m.reload.success.Set(float64(at.UnixMilli()) / 1e3)
}
