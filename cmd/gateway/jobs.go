package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"mdpgateway/internal/audit"
	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/sqlite"
	"mdpgateway/internal/metrics"
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

// parseJobs reads --jobs. A URL is of a store that this version does not have.
func parseJobs(text string, _ *kong.Tag) (string, error) {
	switch scheme, _, isURL := strings.Cut(text, "://"); {
	case isURL && (scheme == "nats" || scheme == "tls"):
		return "", errors.New("off, memory or a directory: this version has no store over NATS")
	case isURL, text == "":
		return "", errors.New("off, memory or a directory")
	case text == jobsOff, text == jobsInMemory:
		return text, nil
	}
	return filepath.Clean(text), nil
}

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
	dir := s.Jobs
	if dir == jobsInMemory {
		dir = ""
	}
	store, err := sqlite.New(sqlite.Config{Dir: dir, MaxBytes: s.JobsMaxBytes, Log: d.log.Named("jobs"), Observe: counts.Stored})
	if err != nil {
		return err
	}
	d.store = store
	d.jobs, err = jobs.New(jobs.Config{
		Store: store, Caller: d.calls, May: d.mayStill, Observer: &jobObserver{counts, d.audit}, Budget: held, Log: d.requests.Named("jobs"),
		InFlight: s.JobsInFlight, Max: s.JobsMax, MaxReply: s.MaxReply, Expires: s.JobsExpires, Timeout: s.JobsTimeout,
		MaxExpires: longestJob, MaxTimeout: longestJob, Keep: s.JobsKeep,
	})
	return err
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

// closeJobs ends the jobs that still run, and closes their store.
func (d *daemon) closeJobs(ctx context.Context) error {
	var errs []error
	if d.jobs != nil {
		ctx, cancel := context.WithTimeout(ctx, resultsPatience)
		defer cancel()
		errs = append(errs, d.jobs.Close(ctx))
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	return errors.Join(errs...)
}

// A jobObserver tells metrics and the audit log of jobs.
type jobObserver struct {
	*metrics.Jobs
	audit *audit.Log // or nil
}

// JobEnded is jobs.Observer. The audit log gets the line of the call that the job was.
func (o *jobObserver) JobEnded(job jobs.Job) {
	o.Jobs.JobEnded(job.Service, string(job.State), job.Ended.Sub(job.Created))
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
