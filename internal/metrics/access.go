package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

func newAuth() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "auth_requests_total", Help: "Requests that had to prove who calls, by principal and what came of it.",
	}, []string{"principal", "result"})
}

// Authenticated tells of a request that had to prove who calls. The id must be that of a
// configured principal or a constant, the result a constant, or strangers would create
// series.
func (h *HTTP) Authenticated(principal, result string) {
	h.auth.WithLabelValues(principal, result).Inc()
	if result == string(gateway.RateLimited) {
		h.rejected.WithLabelValues(gateway.ReasonRate).Inc()
	}
}

// Principals are the principals in force.
type Principals interface {
	Enabled() bool                  // callers must prove who they are
	Expiries() map[string]time.Time // by id; zero means never
}

// WatchPrincipals adds the metrics of the principals in force, which are asked for at each
// scrape. It may be called once.
func (m *Metrics) WatchPrincipals(p Principals) { m.registry.MustRegister(&principals{p}) }

// principals collects auth_enabled and principal_expiry_timestamp_seconds.
type principals struct{ in Principals }

var (
	enabledDesc = desc("auth_enabled", "Whether callers must prove who they are.")
	expiryDesc  = desc("principal_expiry_timestamp_seconds", "When a principal expires; those that never do have none.", "principal")
)

// Describe is prometheus.Collector.
func (p *principals) Describe(ch chan<- *prometheus.Desc) {
	ch <- enabledDesc
	ch <- expiryDesc
}

// Collect is prometheus.Collector.
func (p *principals) Collect(ch chan<- prometheus.Metric) {
	enabled := 0.0
	if p.in.Enabled() {
		enabled = 1
	}
	ch <- prometheus.MustNewConstMetric(enabledDesc, prometheus.GaugeValue, enabled)
	for id, expiry := range p.in.Expiries() {
		if !expiry.IsZero() {
			ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(expiry.Unix()), id)
		}
	}
}

// An Issuer is what is known of an issuer of tokens.
type Issuer struct {
	Name string
	Keys int  // that can be used
	Up   bool // they could be fetched when that was tried last
}

// WatchIssuers adds the metrics of the issuers whose tokens are taken, which are asked for at each scrape. It may be
// called once.
func (m *Metrics) WatchIssuers(status func() []Issuer) { m.registry.MustRegister(issuers(status)) }

// issuers collects token_issuer_keys and token_issuer_up.
type issuers func() []Issuer

var (
	issuerKeysDesc = desc("token_issuer_keys", "Keys of an issuer of tokens that can be used.", "issuer")
	issuerUpDesc   = desc("token_issuer_up", "Whether an issuer's keys could be fetched when that was tried last.", "issuer")
)

// Describe is prometheus.Collector.
func (issuers) Describe(ch chan<- *prometheus.Desc) {
	ch <- issuerKeysDesc
	ch <- issuerUpDesc
}

// Collect is prometheus.Collector.
func (status issuers) Collect(ch chan<- prometheus.Metric) {
	for _, i := range status() {
		up := 0.0
		if i.Up {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(issuerKeysDesc, prometheus.GaugeValue, float64(i.Keys), i.Name)
		ch <- prometheus.MustNewConstMetric(issuerUpDesc, prometheus.GaugeValue, up, i.Name)
	}
}
