package jobs

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// patience is how long one attempt at the store may take.
const patience = 5 * time.Second

// kick starts jobs as long as there are places. The mutex must be held.
func (r *Runner) kick() {
	now := time.Now()
	for {
		l := r.next(now)
		if l == nil {
			break
		}
		if l.rest > 0 {
			l.until = now.Add(mostRest) // one alone tries
		}
		l.running++
		r.running++
		e := r.queues.take(l)
		r.runs.Go(func() { r.run(e, l) })
	}
	wake := time.Time{}
	for _, l := range r.queues.order {
		if l.rest > 0 && (wake.IsZero() || l.until.Before(wake)) {
			wake = l.until
		}
	}
	if !wake.IsZero() && !r.draining {
		r.alarm.Reset(max(wake.Sub(now), time.Millisecond))
	}
}

// next returns the service whose turn it is, nil if no job may start.
func (r *Runner) next(now time.Time) *line {
	if r.draining || r.running >= r.cfg.InFlight {
		return nil
	}
	order := r.queues.order
	i := slices.IndexFunc(order, func(l *line) bool { return r.mayStart(l, now) })
	if i < 0 {
		return nil
	}
	l := order[i]
	copy(order[i:], order[i+1:])
	order[len(order)-1] = l
	return l
}

// mayStart reports whether a service may have one more job running. The last eighth of the places is for services that
// hold less than that, so that one slow service does not hold them all.
func (r *Runner) mayStart(l *line, now time.Time) bool {
	free, reserve := r.cfg.InFlight-r.running, r.cfg.InFlight/8
	if !l.ready(now) || free <= reserve && l.running >= max(1, reserve) {
		return false
	}
	most := r.cfg.Caller.JobRules(l.service).InFlight
	return most == 0 || l.running+l.late+r.elsewhere.running[l.service] < most
}

// What came of an attempt to run a job.
type verdict int

const (
	gone    verdict = iota // it is over, or was before
	again                  // it was not sent, and stays queued
	claimed                // it was sent, and is over
)

// run makes one attempt to run a job that was taken out of the queue.
func (r *Runner) run(e entry, l *line) {
	v := r.attempt(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	l.running--
	r.running--
	switch v {
	case again:
		r.queues.add(e, true)
		l.failed(time.Now())
	case claimed:
		delete(r.queues.ids, e.id)
		r.queues.end(e.owner)
	case gone:
		delete(r.queues.ids, e.id)
		r.queues.queued--
		r.queues.end(e.owner)
	}
	r.queues.forget(l)
	r.kick()
}

// attempt is run without the queue's side of it.
func (r *Runner) attempt(e entry) verdict {
	ctx := context.Background()
	job, err := r.cfg.Store.Get(ctx, e.id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && job.State != Queued:
		return gone
	case errors.Is(err, ErrDamaged):
		return gone // it is counted, and left as it is
	case err != nil:
		return again
	case !time.Now().Before(job.Expires):
		return r.endQueued(&job, Expired, expired())
	case !r.cfg.May(job.Principal, job.Service):
		return r.endQueued(&job, Canceled, &gateway.Error{
			Kind: gateway.Forbidden, Service: job.Service, Detail: "the caller may no longer call this service",
		})
	}
	frames, err := r.cfg.Store.Request(ctx, e.id)
	switch {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrNotFound):
		damaged := Damaged()
		damaged.Sent = false
		return r.endQueued(&job, Failed, damaged)
	case err != nil:
		return again
	}
	return r.call(&job, frames)
}

func expired() *gateway.Error {
	return &gateway.Error{Kind: gateway.Expired, Detail: "the job's time in the queue passed before it could be sent"}
}

// endQueued ends a job that was not sent.
func (r *Runner) endQueued(job *Job, to State, problem *gateway.Error) verdict {
	now := time.Now()
	ended, err := r.move(Move{
		ID: job.ID, From: []State{Queued}, To: to, At: now, Problem: problem, KeepUntil: now.Add(r.cfg.Keep),
	})
	switch {
	case err == nil:
		r.over(ended)
		return gone
	case errors.Is(err, ErrState), errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
		return gone
	}
	return again
}

func (r *Runner) move(m Move) (Job, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.cfg.Store.Move(ctx, m)
}

// call makes a job's call, and stores what came of it.
func (r *Runner) call(job *Job, frames [][]byte) verdict {
	body, room := r.cfg.Budget.Lease(), r.cfg.Budget.Lease()
	defer body.Release()
	defer room.Release()
	if !body.Resize(mdp.Size(frames)) {
		return again
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var claim error
	sent := false
	parts := newParts(r, job.ID)
	defer parts.stop()
	route := r.route()
	call := gateway.Call{
		Request: gateway.Request{
			Service: job.Service, Frames: frames, Room: &room, Within: job.Timeout, Partial: parts.put, Route: route,
			Sending: func() error {
				if claim = r.claim(job, route, cancel); claim == nil {
					claim = context.Cause(ctx) // it was canceled, or the gateway ends
				}
				sent = claim == nil
				return claim
			},
		},
		Timeout: job.Timeout, TimeoutBy: job.TimeoutBy, RequestID: job.RequestID, TraceID: job.Trace.ID, Caller: job.Owner,
	}
	defer r.release(job.ID)
	reply, err := r.cfg.Caller.RunJob(ctx, call)
	if err == nil && parts.total > 0 && parts.total+mdp.Size(reply.Frames) > r.cfg.MaxReply {
		err = tooLarge("", "the reply is larger than the gateway takes")
	}
	body.Release()
	switch {
	case errors.Is(claim, ErrState), errors.Is(claim, ErrNotFound):
		return gone
	case !sent && claim != nil:
		if r.unclaim(job) == claimed {
			return claimed // it was canceled meanwhile
		}
		return again // it was put back, or the store, which may not have said so, had not taken the claim
	case !sent:
		return r.unsent(job, gateway.AsError(err))
	case err != nil && gateway.AsError(err).Executed() == gateway.No:
		return r.unclaim(job)
	}
	r.finish(job, parts, &reply, err)
	return claimed
}

// claim makes a queued job one that runs, unless it is canceled or expired by then. The run is registered before the
// write, so that whoever cancels the job after the write finds it. release forgets it.
func (r *Runner) claim(job *Job, route *gateway.Route, cancel context.CancelCauseFunc) error {
	now := time.Now()
	if !now.Before(job.Expires) {
		return ErrState // the sweeper ends it
	}
	move := Move{ID: job.ID, From: []State{Queued}, To: Running, At: now}
	if route != nil {
		move.Route = *route
	}
	r.mu.Lock()
	r.active[job.ID] = cancel
	r.mu.Unlock()
	running, err := r.move(move)
	if err != nil {
		return err
	}
	*job = running
	r.mu.Lock()
	r.queues.queued--
	r.queues.lines[job.Service].rest = 0 // it can be sent to
	r.kick()
	r.mu.Unlock()
	r.cfg.Observer.JobStarted(job.Service, now.Sub(job.Created))
	r.hub.tell(job.ID)
	return nil
}

// release forgets a run, if it was registered.
func (r *Runner) release(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.active, id)
}

// unclaim puts a job back that was claimed and then not sent. It tries for as long as the process lives: what the
// store has as running would be interrupted at the next start.
func (r *Runner) unclaim(job *Job) verdict {
	v := gone
	r.persist(job.ID, func() error {
		_, err := r.move(Move{ID: job.ID, From: []State{Running}, To: Queued})
		if err == nil {
			v = again
		}
		return err
	})
	if v == again && job.State == Running {
		r.mu.Lock()
		r.queues.queued++
		r.mu.Unlock()
		r.hub.tell(job.ID)
	} else if job.State == Running {
		return claimed // it was canceled meanwhile
	}
	return v
}

// unsent decides about a job that could not be sent: what may change with time is tried again.
func (r *Runner) unsent(job *Job, e *gateway.Error) verdict {
	switch e.Kind {
	case gateway.NoWorkers, gateway.ServiceNotFound, gateway.BrokerUnavailable, gateway.Busy, gateway.Draining, gateway.Canceled,
		gateway.Interrupted:
		return again
	}
	return r.endQueued(job, Failed, e)
}

// finish stores what came of a job that was sent.
func (r *Runner) finish(job *Job, parts *parts, reply *gateway.Reply, err error) {
	move := Move{ID: job.ID, From: []State{Running, Interrupted}, To: Done, At: time.Now(), Frames: reply.Frames}
	if err != nil {
		move.Problem = gateway.AsError(err)
		move.To, move.Frames = Failed, move.Problem.Frames
		if move.Problem.Kind == gateway.Interrupted {
			if move.To = Interrupted; job.Route != (gateway.Route{}) && r.isDraining() {
				return // another gateway adopts it
			}
		}
	} else if move.Frames == nil {
		move.Frames = [][]byte{}
	}
	move.KeepUntil = move.At.Add(r.cfg.Keep)
	move.Bytes = parts.total + mdp.Size(move.Frames)
	r.persist(job.ID, func() error {
		if err := parts.flush(); err != nil {
			return err
		}
		ended, err := r.move(move)
		switch {
		case err == nil:
			r.over(ended)
		case errors.Is(err, ErrState) && ended.State == move.To && ended.Ended.Equal(move.At):
			r.over(ended) // the store had taken it before it failed
			err = nil
		}
		return err
	})
}

// persist has something stored, and tries until it is, or the store says that it may not be, or the process ends.
func (r *Runner) persist(id string, store func() error) {
	for rest := leastRest; ; rest = min(2*rest, mostRest) {
		err := store()
		switch {
		case err == nil, errors.Is(err, ErrState), errors.Is(err, ErrNotFound):
			return
		case errors.Is(err, ErrDamaged):
			r.cfg.Log.Error("what came of a job can't be stored", zap.String("job", id), zap.Error(err))
			return
		}
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
		case <-r.ended:
			timer.Stop()
			r.cfg.Log.Error("what came of a job is lost: the store took it not before the end", zap.String("job", id), zap.Error(err))
			return
		}
	}
}
