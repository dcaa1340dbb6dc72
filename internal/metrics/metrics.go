// Package metrics counts what the gateway does, for Prometheus.
//
// It owns its registry: nothing is registered globally, and two gateways in one
// process do not meet. It is told what happens in the words of the package gateway
// and asks for what others already count (pool, bytes held) when it is scraped.
//
// Every label is bounded. A service is named only once it is known to exist, and at most
// Config.MaxServices of them are: invented names create no series.
package metrics

import (
	"cmp"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mdpgateway/internal/gateway"
)

// namespace begins the names of all metrics but those of Go and the process.
const namespace = "mdp_gateway"

// Build says what is running, for build_info.
type Build struct {
	Version, Revision, Go, ZMQ string
}

// DefaultMaxServices is Config.MaxServices unless it is set.
const DefaultMaxServices = 200

// Config configures Metrics.
type Config struct {
	MaxServices int // services with series of their own
	Build       Build
}

// Metrics are the metrics of one gateway. It is the observer of calls; HTTP
// returns that of HTTP requests. All methods may be called at once from many
// goroutines, but for those that watch; those that tell of calls and requests do not
// block, and allocate next to nothing once a series exists.
type Metrics struct {
	// Set once.
	registry *prometheus.Registry
	calls    calls
	services *services
	http     HTTP
	lookups  *prometheus.CounterVec
	reload   reload

	catalogued func() []string // services that have series before their first call; set before anything is served
}

// New returns metrics with nothing counted yet.
func New(cfg Config) *Metrics {
	cfg.MaxServices = cmp.Or(cfg.MaxServices, DefaultMaxServices)
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls:    newCalls(),
		reload:   newReload(),

		catalogued: func() []string { return nil },
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "mmi_lookups_total",
			Help: "Questions to brokers whether a service has workers, by their status or why there was none.",
		}, []string{"result"}),
	}
	for _, result := range gateway.LookupResults() {
		m.lookups.WithLabelValues(result)
	}
	m.http = newHTTP(m.calls.rejected)
	m.services = newServices(cfg.MaxServices, &m.calls)
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(cfg.Build), &m.calls, &m.http, m.lookups, m.reload.successful, m.reload.success)
	return m
}

// Handler returns the handler of GET /metrics: the text format or, if asked
// for, OpenMetrics or protocol buffers (only these have native histograms).
func (m *Metrics) Handler() http.Handler {
	exposition := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range m.catalogued() {
			m.services.get(name, true)
		}
		exposition.ServeHTTP(w, r)
	})
}

// HTTP returns the observer of HTTP requests.
func (m *Metrics) HTTP() *HTTP { return &m.http }

// LookedUp counts one question to a broker whether a service has workers. The
// result must be one of gateway.LookupResults.
func (m *Metrics) LookedUp(result string) { m.lookups.WithLabelValues(result).Inc() }

func buildInfo(b Build) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info",
		Help: "1; the labels say what is running.",
		ConstLabels: prometheus.Labels{
			"version": b.Version, "revision": b.Revision, "goversion": b.Go, "zmqversion": b.ZMQ,
		},
	})
	g.Set(1)
	return g
}

// durationBuckets are for calls that take milliseconds to minutes: flowgraphs
// often run 20 s, timeouts are 25 s by default and at most 5 min. It never
// changes.
var durationBuckets = [...]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300}

// durations returns the options of a histogram of seconds, classic and native.
func durations(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: durationBuckets[:],
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
	}
}

// sizes returns the options of a histogram of bytes, from 256 B to 64 MiB.
func sizes(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets: prometheus.ExponentialBuckets(256, 4, 10),
	}
}
