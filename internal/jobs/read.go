package jobs

import (
	"context"
	"errors"
	"time"

	"mdpgateway/internal/gateway"
)

// A Reader is who asks for jobs: those of one owner or, where callers have no identity, any.
type Reader struct {
	Owner string
	Any   bool
}

func (by Reader) may(job *Job) bool { return by.Any || by.Owner == job.Owner }

func notFound() *gateway.Error {
	return &gateway.Error{Kind: gateway.JobNotFound, Detail: "there is no such job, or it is not this caller's"}
}

// Get returns a job. The error is a *gateway.Error: another's job is not found.
func (r *Runner) Get(ctx context.Context, by Reader, id string) (Job, error) {
	if !IsID(id) {
		return Job{}, notFound()
	}
	job, err := r.cfg.Store.Get(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged), err == nil && !by.may(&job):
		return Job{}, notFound()
	case err != nil:
		return Job{}, unavailable(err)
	}
	return job, nil
}

// Wait returns a job once until says so, or as it is when ctx ends or the gateway drains.
func (r *Runner) Wait(ctx context.Context, by Reader, id string, until func(*Job) bool) (Job, error) {
	leave := r.hub.join(id)
	defer leave()
	for {
		changed := r.hub.changed(id)
		job, err := r.Get(context.WithoutCancel(ctx), by, id)
		if err != nil || until(&job) {
			return job, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return job, nil
		case <-r.leaving:
			return job, nil
		}
	}
}

// Rules says what the catalogue says of a service's jobs.
func (r *Runner) Rules(service string) gateway.JobRules { return r.cfg.Caller.JobRules(service) }

// Leaving is closed when the gateway drains: nobody should wait any more.
func (r *Runner) Leaving() <-chan struct{} { return r.leaving }

// Position returns which of its caller's queued jobs of its service a job is, from 1; 0 if it is not queued.
func (r *Runner) Position(job *Job) int {
	if job.State != Queued {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queues.position(job)
}

// List returns jobs, the newest first. The error is a *gateway.Error.
func (r *Runner) List(ctx context.Context, f Filter) ([]Job, error) {
	all, err := r.cfg.Store.List(ctx, f)
	if err != nil {
		return nil, unavailable(err)
	}
	return all, nil
}

// Reply returns the last part of a job's reply, or of its problem; nil if there is none. The error is a
// *gateway.Error.
func (r *Runner) Reply(ctx context.Context, id string) ([][]byte, error) {
	frames, err := r.cfg.Store.Reply(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return frames, r.unread(err)
}

// Parts returns PARTIALs of a job's reply, from one on; see Store.Parts. The error is a *gateway.Error.
func (r *Runner) Parts(ctx context.Context, id string, from int, max int64) ([][][]byte, error) {
	parts, err := r.cfg.Store.Parts(ctx, id, from, max)
	return parts, r.unread(err)
}

// unread is the error of a part of a job that could not be read.
func (r *Runner) unread(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFound):
		return notFound()
	case errors.Is(err, ErrDamaged):
		e := Damaged()
		e.Err = err
		return e
	}
	return unavailable(err)
}

// Cancel gives a job up. One that is queued will not be sent; of one that runs nobody waits for the reply any more.
// The error is a *gateway.Error.
func (r *Runner) Cancel(ctx context.Context, by Reader, id string) (Job, error) {
	job, err := r.Get(ctx, by, id)
	if err != nil {
		return job, err
	}
	for range 3 { // it may be claimed, and put back, meanwhile
		if job.State.Over() {
			return job, &gateway.Error{Kind: gateway.JobOver, Service: job.Service, Detail: "the job is " + string(job.State)}
		}
		now := time.Now()
		from := job.State
		job, err = r.move(Move{
			ID: id, From: []State{from}, To: Canceled, At: now, KeepUntil: now.Add(r.cfg.Keep),
			Problem: &gateway.Error{Kind: gateway.Canceled, Sent: from == Running, Service: job.Service, Detail: "the job was canceled"},
		})
		if err == nil {
			r.dequeue(&job)
			r.abandon(job.ID)
			r.over(job)
			return job, nil
		}
		if !errors.Is(err, ErrState) {
			break
		}
	}
	if errors.Is(err, ErrNotFound) {
		return job, notFound()
	}
	return job, unavailable(err)
}

// dequeue takes a job out of the queue, if it is there.
func (r *Runner) dequeue(job *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queues.remove(job.Service, job.Owner, job.Seq) {
		r.queues.queued--
		r.queues.end(job.Owner)
	}
}

// abandon ends the call of a canceled job, if it runs here.
func (r *Runner) abandon(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.active[id]; cancel != nil {
		cancel(&gateway.Error{Kind: gateway.Canceled, Sent: true, Detail: "the job was canceled"})
	}
}

// Delete removes a job and all that is kept of it; one that is not over is canceled before. The error is a
// *gateway.Error.
func (r *Runner) Delete(ctx context.Context, by Reader, id string) error {
	if _, err := r.Cancel(ctx, by, id); err != nil && gateway.AsError(err).Kind != gateway.JobOver {
		return err
	}
	try, cancel := contextOf(patience)
	defer cancel()
	if err := r.cfg.Store.Delete(try, id); err != nil && !errors.Is(err, ErrNotFound) {
		return unavailable(err)
	}
	r.hub.tell(id)
	return nil
}
