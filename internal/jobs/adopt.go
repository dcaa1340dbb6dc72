package jobs

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
)

// An Adopter is a Caller that can wait for the reply to a call that another gateway has sent. docs/model/adopt.pml has
// the rules that keep this sound, and what happens without each.
type Adopter interface {
	// CanAdoptJob reports whether AdoptJob can connect to the broker of a route now. Known is false if it never will.
	CanAdoptJob(route gateway.Route) (can, known bool)

	// AdoptJob waits for the reply, and sends nothing.
	AdoptJob(ctx context.Context, route gateway.Route, req gateway.Request) (gateway.Reply, error)
}

// route returns where a call is to note its connection; nil if nobody could adopt its job.
func (r *Runner) route() *gateway.Route {
	if _, can := r.cfg.Caller.(Adopter); can && r.shared {
		return new(gateway.Route)
	}
	return nil
}

// Lost is Watcher: the gateway that ran a job is gone. This one waits for the reply in its place, if that can be.
func (r *Runner) Lost(seen Job) (verdict string) {
	ctx, cancel := contextOf(patience)
	defer cancel()
	job, err := r.cfg.Store.Get(ctx, seen.ID)
	if err != nil || job.State != Running || job.Revision != seen.Revision {
		return OwnerLacks
	}
	adopter, can := r.cfg.Caller.(Adopter)
	if inTime := time.Now().Before(job.Started.Add(job.Timeout)); can && inTime && job.Route != (gateway.Route{}) {
		switch can, known := adopter.CanAdoptJob(job.Route); {
		case can && r.adoptJob(ctx, adopter, &job):
			return OwnerAdopted
		case known:
			return OwnerLacks // another gateway may, or this one later
		}
	}
	ended, err := r.interrupt(ctx, job.ID, job.Revision)
	switch {
	case err == nil:
		r.over(ended)
		return OwnerGone
	case !errors.Is(err, ErrState) && !errors.Is(err, ErrNotFound):
		r.cfg.Log.Warn("a job whose gateway is gone can't be ended now", zap.String("job", job.ID), zap.Error(err))
	}
	return OwnerLacks
}

// adoptJob makes this gateway the one that runs a job, and begins to wait for its reply.
func (r *Runner) adoptJob(ctx context.Context, adopter Adopter, job *Job) bool {
	wait, cancel := context.WithCancelCause(context.Background())
	if !r.reserveAdopted(job, cancel) { // from here on it hears that the job is over
		cancel(nil)
		return false
	}
	adopted, err := r.cfg.Store.Move(ctx, Move{
		ID: job.ID, From: []State{Running}, Revision: job.Revision, To: Running, At: job.Started, Route: job.Route,
		Adopt: true,
	})
	if err != nil {
		cancel(nil)
		r.leaveAdopted(job)
		return false
	}
	r.cfg.Log.Info("a job is adopted: its gateway is gone", zap.String("job", job.ID), zap.String("service", job.Service))
	go func() {
		defer r.leaveAdopted(job)
		defer cancel(nil)
		r.awaitAdopted(wait, adopter, &adopted)
	}()
	return true
}

// reserveAdopted takes the places of a job that is about to be adopted; leaveAdopted gives them back.
func (r *Runner) reserveAdopted(job *Job, cancel context.CancelCauseFunc) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining || r.running >= r.cfg.InFlight {
		return false
	}
	r.running++
	r.queues.open[job.Owner]++
	r.active[job.ID] = cancel
	r.runs.Add(1)
	return true
}

func (r *Runner) leaveAdopted(job *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	r.queues.end(job.Owner)
	delete(r.active, job.ID)
	r.kick()
	r.runs.Done()
}

// awaitAdopted waits for the reply of an adopted job, and stores it. If none comes the job is Interrupted, whatever the
// reason: the gateway that it was adopted from may yet have the reply.
func (r *Runner) awaitAdopted(ctx context.Context, adopter Adopter, job *Job) {
	room := r.cfg.Budget.Lease()
	defer room.Release()
	reply, err := adopter.AdoptJob(ctx, job.Route, gateway.Request{
		Service: job.Service, Room: &room, Deadline: job.Started.Add(job.Timeout), MaxReply: r.cfg.MaxReply,
	})
	if err != nil && gateway.AsError(err).Executed() != gateway.Yes {
		if r.isDraining() {
			return // another gateway adopts it
		}
		err = &gateway.Error{
			Kind: gateway.Interrupted, Err: err,
			Detail: "the gateway ended while the job ran, and no reply came to the one in its place",
		}
	}
	parts := newParts(r, job.ID)
	defer parts.stop()
	r.finish(job, parts, &reply, err)
}

func (r *Runner) isDraining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}
