package jobs

import (
	"context"
	"errors"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// latePatience is how long the answer of a call whose time has passed may wait for the store.
const latePatience = time.Second

// A LateCall is a synchronous call whose reply may be awaited by a job after its time.
type LateCall struct {
	Job     Job // with what is known of it: Service, Owner, Principal, Created, Form, RequestID, Trace, In
	MaxJobs int // that the owner may have queued and running; 0: any number
}

// Late makes a job of a call that was sent and whose time has passed: it is Running. It is what gateway.Request.Late
// asks for. There is none if the caller has as many jobs as it may, the gateway drains, or memory or the store has no
// room.
func (r *Runner) Late(call LateCall, room int64) (job Job, wait gateway.LateWait, ok bool) {
	store, can := r.cfg.Store.(LateStore)
	if !can || !r.reserveLate(&call) {
		return job, wait, false
	}
	held := r.cfg.Budget.Lease()
	job = call.Job
	job.ID, job.Started = NewID(job.Service), time.Now()
	ctx, cancel := context.WithCancelCause(context.Background())
	giveBack := func() {
		cancel(nil)
		r.release(job.ID)
		held.Release()
		r.endLate(&call.Job)
	}
	defer func() {
		if !ok { // or the store panics
			giveBack()
		}
	}()
	r.mu.Lock()
	r.active[job.ID] = cancel // before anybody can read the job, and cancel it
	r.mu.Unlock()
	job.Expires = job.Started
	s := Submission{Call: gateway.Call{Request: gateway.Request{Service: job.Service}}}
	job.Timeout, job.TimeoutBy = r.timeout(&s, r.cfg.Caller.JobRules(job.Service))
	if !held.Resize(room) || r.storeLate(store, &job) != nil {
		return job, wait, false
	}
	r.cfg.Observer.JobSubmitted(job.Service, "late")
	r.cfg.Observer.JobStarted(job.Service, 0)
	return job, gateway.LateWait{
		Ctx: ctx, Deadline: job.Started.Add(job.Timeout), Timeout: job.Timeout, TimeoutBy: job.TimeoutBy, Room: &held,
		Done: func(reply gateway.Reply, err error) {
			defer giveBack()
			r.finishLate(&job, &held, &reply, err)
		},
	}, true
}

// reserveLate counts a job that is about to be made of a call.
func (r *Runner) reserveLate(call *LateCall) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	owner := call.Job.Owner
	if r.draining || call.MaxJobs > 0 && r.queues.open[owner] >= call.MaxJobs {
		return false
	}
	r.queues.open[owner]++
	r.queues.line(call.Job.Service).late++
	r.runs.Add(1)
	return true
}

// endLate counts a job of a call that is over, or was never stored.
func (r *Runner) endLate(job *Job) {
	defer r.runs.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queues.end(job.Owner)
	l := r.queues.line(job.Service)
	l.late--
	r.queues.forget(l)
	r.kick()
}

// storeLate keeps a job. One of which it is unknown whether it was kept is revoked.
func (r *Runner) storeLate(store LateStore, job *Job) error {
	ctx, cancel := contextOf(latePatience)
	defer cancel()
	err := store.SubmitRunning(ctx, job)
	if errors.Is(err, ErrUnconfirmed) {
		revoke, cancel := contextOf(latePatience)
		defer cancel()
		_ = r.cfg.Store.Delete(revoke, job.ID)
	}
	return err
}

// finishLate stores what came of a job.
func (r *Runner) finishLate(job *Job, held interface{ Resize(int64) bool }, reply *gateway.Reply, err error) {
	parts := newParts(r, job.ID)
	defer parts.stop()
	held.Resize(mdp.Size(reply.Frames)) // each part has its own room from here on
	for _, part := range reply.Partials {
		if err == nil {
			err = parts.put(part)
		}
	}
	r.finish(job, parts, reply, err)
}
