package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

// A Budget is a bound on bytes.
type Budget interface {
	Bytes() int64 // held now
	Max() int64
}

// WatchPool adds the metrics of a pool of connections, whose state is asked for
// at each scrape. It may be called once.
func (m *Metrics) WatchPool(stats func() gateway.PoolStats) {
	m.registry.MustRegister(&pool{stats: stats})
}

// WatchCatalogue makes the series of the services that names returns at each scrape, as
// far as Config.MaxServices allows.
func (m *Metrics) WatchCatalogue(names func() []string) { m.catalogued = names }

// WatchBudget adds the metrics of the bytes that are held for callers. It may be
// called once.
func (m *Metrics) WatchBudget(b Budget) {
	gauge := func(name, help string, value func() int64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	gauge("buffered_bytes", "Bytes of bodies and replies held now.", b.Bytes)
	gauge("buffered_bytes_max", "The most bytes that may be held at once.", b.Max)
}

// WatchBroker adds the messages that the embedded broker dropped, by reason. The count
// must have every reason, also those that did not occur. It may be called once.
func (m *Metrics) WatchBroker(dropped func() map[string]uint64) {
	m.registry.MustRegister(brokerDrops(dropped))
}

var dropsDesc = desc("broker_dropped_total", "Messages that the embedded broker dropped, by reason.", "reason")

// brokerDrops collects broker_dropped_total.
type brokerDrops func() map[string]uint64

// Describe is prometheus.Collector.
func (brokerDrops) Describe(ch chan<- *prometheus.Desc) { ch <- dropsDesc }

// Collect is prometheus.Collector.
func (dropped brokerDrops) Collect(ch chan<- prometheus.Metric) {
	for reason, n := range dropped() {
		ch <- prometheus.MustNewConstMetric(dropsDesc, prometheus.CounterValue, float64(n), reason)
	}
}

// WatchAudit adds the number of lines of the audit log that were dropped. It may be called once.
func (m *Metrics) WatchAudit(dropped func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: namespace, Name: "audit_dropped_total", Help: "Lines of the audit log that were dropped, since they could not be written.",
	}, func() float64 { return float64(dropped()) }))
}

// WatchOrphans adds the number of requests that were given up and may still run,
// by service. It may be called once.
func (m *Metrics) WatchOrphans(count func() map[string]int) {
	m.registry.MustRegister(&orphans{count: count, label: m.services.label})
}

// orphansDesc, like the ones below, is a name and never changes.
var orphansDesc = desc("orphaned_requests", "Requests that were given up and may still run at a worker; an estimate.", "service")

// orphans collects orphaned_requests.
type orphans struct {
	count func() map[string]int
	label func(service string) string
}

// Describe is prometheus.Collector.
func (o *orphans) Describe(ch chan<- *prometheus.Desc) { ch <- orphansDesc }

// Collect is prometheus.Collector.
func (o *orphans) Collect(ch chan<- prometheus.Metric) {
	sums := make(map[string]int)
	for name, n := range o.count() {
		sums[o.label(name)] += n
	}
	for label, n := range sums {
		ch <- prometheus.MustNewConstMetric(orphansDesc, prometheus.GaugeValue, float64(n), label)
	}
}

// WatchSilent adds which services have never answered. It may be called once.
func (m *Metrics) WatchSilent(names func() []string) {
	m.registry.MustRegister(&silent{names, m.services})
}

var silentDesc = desc("service_silent", "1 if calls were sent to the service and none was ever answered, although its broker says that it is there.", "service")

// silent collects service_silent: 0 or 1 for each service that has series.
type silent struct {
	names    func() []string
	services *services
}

// Describe is prometheus.Collector.
func (*silent) Describe(ch chan<- *prometheus.Desc) { ch <- silentDesc }

// Collect is prometheus.Collector.
func (s *silent) Collect(ch chan<- prometheus.Metric) {
	values := make(map[string]bool)
	for _, name := range s.services.names() {
		values[name] = false
	}
	for _, name := range s.names() {
		values[s.services.label(name)] = true
	}
	for label, is := range values {
		ch <- prometheus.MustNewConstMetric(silentDesc, prometheus.GaugeValue, boolean(is), label)
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}
