package jobs

import (
	"context"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
)

// elsewhere counts what the store has and this Runner does not: jobs that run at other gateways, by service, and those
// that are queued or run there, by owner.
type elsewhere struct {
	running map[string]int
	open    map[string]int
	queued  map[string]struct{} // ids; they are taken over when they are seen again
}

// takeOver adds the queued jobs of a Shared store that no other gateway has sent to those that this one may send. The
// gateway that took a job has it to itself until it was seen twice: few are then tried by two at once, of which one
// fails. If a gateway has left, none is waited for.
func (r *Runner) takeOver(left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := elsewhere{map[string]int{}, map[string]int{}, map[string]struct{}{}}
	err := r.cfg.Store.Open(context.Background(), func(job Job) error {
		if _, mine := r.active[job.ID]; mine || r.queues.knows(job.ID) {
			return nil
		}
		if job.State == Queued {
			if _, again := r.elsewhere.queued[job.ID]; (again || left) && !r.draining {
				r.queues.queued++
				r.queues.open[job.Owner]++
				e := entryOf(&job)
				e.shared = true
				r.queues.add(e, false)
				return nil
			}
			now.queued[job.ID] = struct{}{}
		} else {
			now.running[job.Service]++
		}
		now.open[job.Owner]++
		return nil
	})
	if err != nil {
		r.cfg.Log.Warn("the jobs of other gateways can't be seen now", zap.Error(err))
	}
	r.elsewhere = now
	r.kick()
}

// Changed is Watcher: another gateway has changed a job.
func (r *Runner) Changed(job Job) {
	if job.State != Queued && job.State != "" {
		r.dequeue(&job)
	}
	if job.State.Over() && job.State != Interrupted { // nobody waits for the reply any more
		r.abandon(job.ID)
	}
	r.hub.tell(job.ID)
}

// Left is Watcher: another gateway starts no more jobs.
func (r *Runner) Left() {
	select {
	case r.left <- struct{}{}:
	default:
	}
}

// interrupt ends a job whose gateway is gone.
func (r *Runner) interrupt(ctx context.Context, id string, revision int64) (Job, error) {
	now := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.cfg.Store.Move(ctx, Move{
		ID: id, From: []State{Running}, Revision: revision, To: Interrupted, At: now, KeepUntil: now.Add(r.cfg.Keep),
		Problem: &gateway.Error{Kind: gateway.Interrupted, Detail: "the gateway ended while the job ran"},
	})
}
