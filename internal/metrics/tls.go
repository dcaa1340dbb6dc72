package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/certs"
)

// The metrics of the files of TLS. They never change.
var (
	tlsExpiry = desc("tls_expiry_timestamp_seconds", "When a file of TLS no longer holds, by the setting that names it.", "file")
	tlsIssued = desc("tls_issued_timestamp_seconds", "From when on a file of TLS holds.", "file")
)

// files collects them.
type files func() []certs.Date

// WatchTLS adds the metrics of the files of TLS, which are asked for at each scrape. It may be called once.
func (m *Metrics) WatchTLS(dates func() []certs.Date) { m.registry.MustRegister(files(dates)) }

// Describe is prometheus.Collector.
func (files) Describe(ch chan<- *prometheus.Desc) {
	ch <- tlsExpiry
	ch <- tlsIssued
}

// Collect is prometheus.Collector.
func (dates files) Collect(ch chan<- prometheus.Metric) {
	for _, d := range dates() {
		if !d.Ends.IsZero() { // a list may have no end
			ch <- prometheus.MustNewConstMetric(tlsExpiry, prometheus.GaugeValue, float64(d.Ends.Unix()), d.Setting)
			ch <- prometheus.MustNewConstMetric(tlsIssued, prometheus.GaugeValue, float64(d.Issued.Unix()), d.Setting)
		}
	}
}
