package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"mdpgateway/internal/audit"
	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jetstream"
	"mdpgateway/internal/jobs/sqlite"
	"mdpgateway/internal/metrics"
	"mdpgateway/internal/tracing"
)

// The values of --jobs that are no directory.
const (
	jobsOff      = "off"
	jobsInMemory = "memory"
)

// longestJob bounds how long a job may wait, and how long it may run.
const longestJob = 24 * time.Hour

// usualInFlight is how many jobs run at once unless the pool is small.
const usualInFlight = 64

// parseJobs reads --jobs.
func parseJobs(text string, _ *kong.Tag) (string, error) {
	const want = "off, memory, a directory, or nats://host:4222 or tls://host:4222, more of them with commas"
	switch {
	case strings.Contains(text, "://"):
		for part := range strings.SplitSeq(text, ",") {
			u, err := url.Parse(part)
			switch {
			case err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "":
				return "", errors.New(want)
			case u.User != nil:
				return "", errors.New("no user or password: --jobs-nats-creds names a file with them")
			}
		}
		return text, nil
	case text == "":
		return "", errors.New(want)
	case text == jobsOff, text == jobsInMemory:
		return text, nil
	}
	return filepath.Clean(text), nil
}

// jobsInNATS reports whether --jobs is of NATS servers.
func (s *settings) jobsInNATS() bool { return strings.Contains(s.Jobs, "://") }

// finishJobs sets what follows from other settings.
func (s *settings) finishJobs() {
	if s.Jobs == "" {
		s.Jobs = jobsOff
		if *s.Embedded && s.onLoopback() {
			s.Jobs = jobsInMemory
		}
	}
	if s.JobsInFlight == 0 {
		s.JobsInFlight = max(1, min(usualInFlight, s.PoolMax/4))
	}
	if s.JobsMaxBytes == 0 {
		s.JobsMaxBytes = 4 << 30
		if s.Jobs == jobsInMemory {
			s.JobsMaxBytes = s.MaxBuffered / 4
		}
	}
}

func (s *settings) checkJobs(r *resolver) error {
	if s.JobsInFlight > s.PoolMax {
		return &valueError{r.origin("jobs-in-flight"), fmt.Sprint(s.JobsInFlight), fmt.Sprintf("at most %d, the value of %s", s.PoolMax, r.origin("pool-max"))}
	}
	for name, value := range map[string]string{"jobs-nats-creds": s.JobsNATSCreds, "jobs-nats-ca": s.JobsNATSCA} {
		if value != "" && !s.jobsInNATS() {
			return &valueError{r.origin(name), value, "none unless " + r.origin("jobs") + " is nats://… or tls://…"}
		}
	}
	if !jetstream.IsPrefix(s.JobsPrefix) {
		return &valueError{r.origin("jobs-prefix"), s.JobsPrefix, "up to 32 of a-z, 0-9 and -, not - first"}
	}
	if s.LateReplies > 0 && s.Jobs == jobsOff {
		return &valueError{r.origin("late-replies"), fmt.Sprint(s.LateReplies), "0 while " + r.origin("jobs") + " is off"}
	}
	if s.LateReplies > s.PoolMax/2 {
		return &valueError{r.origin("late-replies"), fmt.Sprint(s.LateReplies), fmt.Sprintf("at most %d, half of %s", s.PoolMax/2, r.origin("pool-max"))}
	}
	for name, value := range map[string]time.Duration{"jobs-expires": s.JobsExpires, "jobs-timeout": s.JobsTimeout} {
		if value > longestJob {
			return &valueError{r.origin(name), formatDuration(value), "at most " + formatDuration(longestJob)}
		}
	}
	return nil
}

// runJobs opens the store of jobs, and goes on with those that it has.
func (d *daemon) runJobs(held *budget.Budget) error {
	s := d.settings
	if s.Jobs == jobsOff {
		return nil
	}
	counts := d.metrics.Jobs(func() gateway.JobStats { return d.jobs.Stats() })
	store, err := d.openStore(counts)
	if err != nil {
		return err
	}
	d.store = store
	if s.jobsThrough != nil {
		store = s.jobsThrough(store)
	}
	d.jobs, err = jobs.New(jobs.Config{
		Store: store, Caller: d.calls, May: d.mayStill, Observer: &jobObserver{counts, d.tracer, d.audit}, Budget: held, Log: d.requests.Named("jobs"),
		InFlight: s.JobsInFlight, Max: s.JobsMax, MaxReply: s.MaxReply, Expires: s.JobsExpires, Timeout: s.JobsTimeout,
		MaxExpires: longestJob, MaxTimeout: longestJob, Keep: s.JobsKeep,
	})
	return err
}

// natsPatience is how long NATS may take to have a leader when the gateway starts.
const natsPatience = 30 * time.Second

func (d *daemon) openStore(counts *metrics.Jobs) (jobs.Store, error) {
	s, log := d.settings, d.log.Named("jobs")
	if s.jobsInNATS() {
		ctx, cancel := context.WithTimeout(context.Background(), natsPatience)
		defer cancel()
		return jetstream.New(ctx, jetstream.Config{
			URL: s.Jobs, Creds: s.JobsNATSCreds, CA: s.JobsNATSCA, Prefix: s.JobsPrefix, Replicas: s.JobsReplicas, MaxBytes: s.JobsMaxBytes,
			Keep: s.JobsKeep, Log: log, Observe: counts.Stored,
		})
	}
	dir := s.Jobs
	if dir == jobsInMemory {
		dir = ""
	}
	return sqlite.New(sqlite.Config{Dir: dir, MaxBytes: s.JobsMaxBytes, Log: log, Observe: counts.Stored})
}

// mayStill reports whether a job of a principal may be sent to a service now.
func (d *daemon) mayStill(principal, service string) bool {
	return d.access.Still(principal, service, time.Now())
}

// drainJobs starts no more jobs.
func (d *daemon) drainJobs() {
	if d.jobs != nil {
		d.jobs.Drain()
	}
}

// awaitJobs reports whether all jobs that run have ended by then.
func (d *daemon) awaitJobs(end time.Time) bool {
	if d.jobs == nil {
		return true
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	return d.jobs.AwaitIdle(ctx) == nil
}

// resultsPatience is how long, at the end, what came of jobs may take to be stored.
const resultsPatience = 5 * time.Second

// closeJobs ends the jobs that still run.
func (d *daemon) closeJobs(ctx context.Context) error {
	if d.jobs == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resultsPatience)
	defer cancel()
	return d.jobs.Close(ctx)
}

// A jobObserver tells metrics, traces and the audit log of jobs.
type jobObserver struct {
	*metrics.Jobs
	tracer *tracing.Tracer // or nil
	audit  *audit.Log      // or nil
}

// JobEnded is jobs.Observer. The audit log gets the line of the call that the job was.
func (o *jobObserver) JobEnded(job jobs.Job) {
	o.Jobs.JobEnded(job.Service, string(job.State), job.Ended.Sub(job.Created))
	if o.tracer != nil {
		ran := gateway.Ran{
			Trace: job.Trace, Job: job.ID, RequestID: job.RequestID, Service: job.Service, Principal: job.Principal,
			Created: job.Created, Started: job.Started, Ended: job.Ended,
		}
		if job.Problem != nil {
			ran.Kind = job.Problem.Kind
		}
		o.tracer.Ran(ran)
	}
	if o.audit == nil {
		return
	}
	line := audit.Line{
		Time: job.Ended, RequestID: job.RequestID, Principal: job.Principal, Service: job.Service,
		Outcome: "ok", Executed: string(job.Executed()), In: job.In, Out: job.Bytes,
	}
	if job.Problem != nil {
		line.Outcome = string(job.Problem.Kind)
	}
	o.audit.Record(line)
}
