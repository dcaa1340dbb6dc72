package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

// jobBuckets are for what takes seconds to hours. It never changes.
var jobBuckets = [...]float64{.01, .1, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600}

// storeBuckets are for what a disk does. It never changes.
var storeBuckets = [...]float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5}

// Jobs are the instruments of asynchronous calls.
type Jobs struct {
	label     func(service string) string
	submitted *prometheus.CounterVec   // service, result
	ended     *prometheus.CounterVec   // service, state
	waited    *prometheus.HistogramVec // service
	took      *prometheus.HistogramVec // service
	store     *prometheus.HistogramVec // op
}

// Jobs adds the metrics of asynchronous calls, whose state is asked for at each scrape. It may be called once.
func (m *Metrics) Jobs(stats func() gateway.JobStats) *Jobs {
	histogram := func(name, help, label string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, []string{label})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	j := &Jobs{
		label:     m.services.label,
		submitted: counter("jobs_submitted_total", "Submissions of jobs, by what came of them: ok, replayed, late (a call whose time passed became one) or the code of the problem.", "service", "result"),
		ended:     counter("jobs_ended_total", "Jobs that are over, by their state.", "service", "state"),
		waited:    histogram("job_wait_seconds", "From the submission of a job to its send.", "service", jobBuckets[:]),
		took:      histogram("job_duration_seconds", "From the submission of a job to its end.", "service", jobBuckets[:]),
		store:     histogram("jobs_store_seconds", "How long operations of the store of jobs took.", "op", storeBuckets[:]),
	}
	m.registry.MustRegister(j.submitted, j.ended, j.waited, j.took, j.store, &jobs{stats, m.services.label})
	return j
}

// JobSubmitted counts a submission. The result must be one of a bounded set.
func (j *Jobs) JobSubmitted(service, result string) {
	j.submitted.WithLabelValues(j.label(service), result).Inc()
}

// JobStarted tells how long a job waited until it was sent.
func (j *Jobs) JobStarted(service string, waited time.Duration) {
	j.waited.WithLabelValues(j.label(service)).Observe(waited.Seconds())
}

// JobEnded tells how a job ended, and how long after its submission.
func (j *Jobs) JobEnded(service, state string, took time.Duration) {
	j.ended.WithLabelValues(j.label(service), state).Inc()
	j.took.WithLabelValues(j.label(service)).Observe(took.Seconds())
}

// Stored tells how long an operation of the store took. It must be one of a bounded set.
func (j *Jobs) Stored(op string, took time.Duration, _ bool) {
	j.store.WithLabelValues(op).Observe(took.Seconds())
}

var (
	jobsQueuedDesc      = desc("jobs_queued", "Jobs that wait to be sent.", "service")
	jobsRunningDesc     = desc("jobs_running", "Jobs that are being sent, or were sent and are not over.", "service")
	jobsInterruptedDesc = desc("jobs_interrupted", "Jobs that are kept as interrupted: their gateway ended while they ran, and no reply came. Counted every 10 s.", "service")
	jobsLastDesc        = desc("job_interrupted_timestamp_seconds", "When the newest job that is kept as interrupted became so, in seconds since 1970; 0 if there is none.", "service")
	jobsOldestDesc      = desc("job_oldest_queued_seconds", "Since the submission of the oldest job that waits to be sent.", "service")
	jobsExpiresDesc     = desc("jobs_expires_seconds", "How long a job may wait to be sent unless its caller asks for another time.")
	jobsWaitersDesc     = desc("jobs_waiters", "Requests that wait for a job to change.")
	jobsUpDesc          = desc("jobs_store_up", "1 if the store of jobs can be written, as its last operations tell.")
	jobsBytesDesc       = desc("jobs_store_bytes", "Bytes in use in the store of jobs.")
	jobsBytesMaxDesc    = desc("jobs_store_bytes_max", "The most bytes that the store of jobs may have.")
	jobsErrorsDesc      = desc("jobs_store_errors_total", "Operations of the store of jobs that failed.", "op")
	jobsRedeliveredDesc = desc("jobs_redelivered_total", "Looks at jobs that run at another gateway, by verdict: it runs them, they are missing there, adopted or interrupted since they were missing thrice, or unknown.", "verdict")
	jobsDamagedDesc     = desc("jobs_damaged_total", "Records of the store of jobs that could not be read.")
)

// jobs collects what is asked for.
type jobs struct {
	stats func() gateway.JobStats
	label func(service string) string
}

// Describe is prometheus.Collector.
func (*jobs) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		jobsQueuedDesc, jobsRunningDesc, jobsOldestDesc, jobsExpiresDesc, jobsWaitersDesc, jobsUpDesc, jobsBytesDesc, jobsBytesMaxDesc, jobsErrorsDesc, jobsDamagedDesc,
		jobsRedeliveredDesc, jobsInterruptedDesc, jobsLastDesc,
	} {
		ch <- d
	}
}

// Collect is prometheus.Collector.
func (j *jobs) Collect(ch chan<- prometheus.Metric) {
	s := j.stats()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	sums := map[string]gateway.JobServiceStats{}
	for name, service := range s.Services {
		sum := sums[j.label(name)]
		sum.Queued += service.Queued
		sum.Running += service.Running
		sum.Oldest = max(sum.Oldest, service.Oldest)
		sum.Interrupted += service.Interrupted
		if service.LastInterrupted.After(sum.LastInterrupted) {
			sum.LastInterrupted = service.LastInterrupted
		}
		sums[j.label(name)] = sum
	}
	for label, sum := range sums {
		gauge(jobsQueuedDesc, float64(sum.Queued), label)
		gauge(jobsRunningDesc, float64(sum.Running), label)
		gauge(jobsOldestDesc, sum.Oldest.Seconds(), label)
		gauge(jobsInterruptedDesc, float64(sum.Interrupted), label)
		last := 0.0
		if sum.Interrupted > 0 {
			last = float64(sum.LastInterrupted.UnixMilli()) / 1000
		}
		gauge(jobsLastDesc, last, label)
	}
	up := 0.0
	if s.StoreUp {
		up = 1
	}
	gauge(jobsExpiresDesc, s.Expires.Seconds())
	gauge(jobsWaitersDesc, float64(s.Waiters))
	gauge(jobsUpDesc, up)
	gauge(jobsBytesDesc, float64(s.StoreBytes))
	gauge(jobsBytesMaxDesc, float64(s.StoreMax))
	ch <- prometheus.MustNewConstMetric(jobsDamagedDesc, prometheus.CounterValue, float64(s.Damaged))
	for op, n := range s.StoreErrors {
		ch <- prometheus.MustNewConstMetric(jobsErrorsDesc, prometheus.CounterValue, float64(n), op)
	}
	for verdict, n := range s.Redelivered {
		ch <- prometheus.MustNewConstMetric(jobsRedeliveredDesc, prometheus.CounterValue, float64(n), verdict)
	}
}
