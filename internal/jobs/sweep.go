package jobs

import (
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"mdpgateway/internal/gateway"
)

const (
	expireEvery = 250 * time.Millisecond
	forgetEvery = 10 * time.Second
	mostExpired = 256 // at a time
	mostForgot  = 128
)

// sweep ends jobs whose time in the queue has passed, and forgets those that were kept for long enough.
func (r *Runner) sweep() {
	expire, forget := time.NewTicker(expireEvery), time.NewTicker(forgetEvery)
	takeOver := time.NewTicker(r.cfg.TakeOverEvery)
	defer expire.Stop()
	defer forget.Stop()
	defer takeOver.Stop()
	if !r.shared {
		takeOver.Stop()
	}
	for {
		select {
		case <-r.stopped:
			return
		case <-expire.C:
			for r.expire() == mostExpired {
			}
		case <-forget.C:
			r.forget()
			r.countInterrupted()
		case <-takeOver.C:
			r.takeOver(false)
		case <-r.left:
			r.takeOver(true)
		}
	}
}

// expire ends jobs whose time has passed, and returns how many it did.
func (r *Runner) expire() (n int) {
	r.mu.Lock()
	due := r.queues.due(time.Now(), mostExpired)
	r.mu.Unlock()
	var all errgroup.Group
	all.SetLimit(32)
	ended := make([]bool, len(due))
	for i, e := range due {
		all.Go(func() error {
			ended[i] = r.endQueued(&Job{ID: e.id}, Expired, expired()) == gone
			return nil
		})
	}
	_ = all.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range due {
		if !ended[i] {
			continue // the store is away
		}
		n++
		if r.queues.remove(e.service, e.owner, e.seq) {
			r.queues.queued--
			r.queues.end(e.owner)
		}
	}
	return n
}

func (r *Runner) forget() {
	for {
		ctx, cancel := contextOf(patience)
		n, err := r.cfg.Store.Forget(ctx, time.Now(), mostForgot)
		cancel()
		if err != nil {
			r.cfg.Log.Warn("jobs can't be forgotten now", zap.Error(err))
		}
		if n < mostForgot {
			return
		}
	}
}

// countInterrupted notes which services have jobs that are Interrupted. What the store keeps is counted, and not what
// this process did: it ends those of a process before as it starts, and its own as it ends, when nobody looks.
func (r *Runner) countInterrupted() {
	ctx, cancel := contextOf(patience)
	defer cancel()
	kept, err := r.cfg.Store.Interrupted(ctx)
	if err != nil {
		r.cfg.Log.Warn("interrupted jobs can't be counted now", zap.Error(err))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = kept
}

// Stats returns a snapshot.
func (r *Runner) Stats() gateway.JobStats {
	store := r.cfg.Store.Stats()
	s := gateway.JobStats{
		Services: map[string]gateway.JobServiceStats{}, Expires: r.cfg.Expires, Waiters: r.hub.waiters(),
		StoreUp: store.Up, StoreBytes: store.Bytes, StoreMax: store.Max, StoreErrors: store.Errors, Damaged: store.Damaged,
		Redelivered: map[string]int64{},
	}
	for _, verdict := range Verdicts() {
		s.Redelivered[verdict] = store.Redelivered[verdict]
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, l := range r.queues.lines {
		service := gateway.JobServiceStats{Queued: l.queued, Running: l.running + l.late}
		for _, t := range l.turns {
			service.Oldest = max(service.Oldest, now.Sub(t.entries[0].created))
		}
		s.Services[name] = service
	}
	for name, kept := range r.kept {
		service := s.Services[name]
		service.Interrupted, service.LastInterrupted = kept.Count, kept.Last
		s.Services[name] = service
	}
	return s
}
