package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// A Submission is a call that is to become a job.
type Submission struct {
	Call      gateway.Call  // Timeout 0 means the default of its service
	Expires   time.Duration // in the queue; 0 means the default
	Owner     string        // who may read the job
	Principal string        // who submits it
	MaxJobs   int           // that the owner may have queued and running; 0: any number
	Key       string        // idempotency key; empty: none
	Form      string        // of the body, which the reply mirrors
	Trace     gateway.Trace
}

// Submit makes a job of a call, after all checks of a synchronous one. With an idempotency key that was used for the
// same request before, that job is returned as a replayed one. Errors are *gateway.Error. One of kind JobUnconfirmed
// comes with the job, which may exist.
func (r *Runner) Submit(ctx context.Context, s Submission) (job Job, replayed bool, err error) {
	job, replayed, err = r.submit(ctx, &s)
	result := "ok"
	switch {
	case replayed:
		result = "replayed"
	case err != nil:
		e := gateway.AsError(err)
		e.Service = s.Call.Service
		result, err = string(e.Kind), e
	}
	r.cfg.Observer.JobSubmitted(s.Call.Service, result)
	return job, replayed, err
}

func (r *Runner) submit(ctx context.Context, s *Submission) (Job, bool, error) {
	rules := r.cfg.Caller.JobRules(s.Call.Service)
	if err := r.cfg.Caller.PrepareJob(ctx, &s.Call); err != nil {
		return Job{}, false, err
	}
	now := time.Now()
	job := Job{
		ID: NewID(s.Call.Service), Service: s.Call.Service, Owner: s.Owner, Principal: s.Principal, Created: now,
		Expires: now.Add(r.expires(s)), Form: s.Form, RequestID: s.Call.RequestID, Trace: s.Trace, In: mdp.Size(s.Call.Frames),
	}
	job.Timeout, job.TimeoutBy = r.timeout(s, rules)
	if err := r.reserve(s); err != nil {
		existing, known := r.known(ctx, &job, s)
		switch {
		case known != nil:
			return job, false, known
		case existing != nil:
			return *existing, true, nil
		}
		return job, false, err
	}
	existing, err := r.store(&job, s)
	if err != nil || existing != nil {
		r.mu.Lock()
		r.queues.queued--
		r.queues.end(s.Owner)
		r.mu.Unlock()
	}
	if err != nil {
		return job, false, err
	}
	if existing != nil {
		return *existing, true, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queues.knows(job.ID) { // it was taken over meanwhile, and counted
		r.queues.queued--
		r.queues.end(s.Owner)
		return job, false, nil
	}
	r.queues.add(entryOf(&job), false)
	r.kick()
	return job, false, nil
}

func (r *Runner) expires(s *Submission) time.Duration {
	if s.Expires > 0 {
		return min(s.Expires, r.cfg.MaxExpires)
	}
	return r.cfg.Expires
}

// timeout says how long the call may take, and what set that.
func (r *Runner) timeout(s *Submission, rules gateway.JobRules) (limit time.Duration, by string) {
	limit, by = r.cfg.Timeout, "--jobs-timeout"
	if rules.Timeout > 0 {
		limit, by = rules.Timeout, "services."+s.Call.Service+".jobs_timeout"
	}
	if s.Call.Timeout > 0 {
		limit, by = min(s.Call.Timeout, r.cfg.MaxTimeout), s.Call.TimeoutBy
	}
	return limit, by
}

// reserve counts a job that is about to be submitted.
func (r *Runner) reserve(s *Submission) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.draining:
		return gateway.ShuttingDown()
	case r.queues.queued >= r.cfg.Max:
		return gateway.Refused(gateway.ReasonJobs, "there are as many queued jobs as there may be")
	case s.MaxJobs > 0 && r.queues.open[s.Owner]+r.elsewhere.open[s.Owner] >= s.MaxJobs:
		return &gateway.Error{Kind: gateway.RateLimited, Reason: gateway.ReasonJobs, Detail: "the caller has as many jobs queued and running as it may"}
	}
	r.queues.queued++
	r.queues.open[s.Owner]++
	return nil
}

// store keeps a job. If it is unknown whether it was kept, it is revoked; if that can't be done either, the error is
// of kind JobUnconfirmed.
func (r *Runner) store(job *Job, s *Submission) (existing *Job, err error) {
	ctx, cancel := contextOf(patience)
	defer cancel()
	existing, err = r.cfg.Store.Submit(ctx, job, s.Call.Frames, keyOf(job, s))
	switch {
	case err == nil:
		return existing, nil
	case errors.Is(err, ErrMismatch):
		return nil, mismatch()
	case errors.Is(err, ErrFull):
		if existing, err = r.known(ctx, job, s); existing != nil || err != nil {
			return existing, err
		}
		return nil, gateway.Refused(gateway.ReasonJobsBytes, "the store of jobs has no room for more")
	case errors.Is(err, ErrUnconfirmed) && s.Key != "":
		// Another submission with this key may have been told that the job is accepted, so it is not revoked.
		return nil, unconfirmed("the store did not say whether it took the job; ask again with the same idempotency key", err)
	case errors.Is(err, ErrUnconfirmed):
		return nil, r.revoke(job, err)
	}
	return nil, unavailable(err)
}

// revoke takes a submission back of which it is unknown whether it was stored. If another gateway has taken the job
// over by then, it was accepted: there is no error.
func (r *Runner) revoke(job *Job, cause error) error {
	ctx, cancel := contextOf(patience)
	defer cancel()
	move := Move{ID: job.ID, From: []State{Queued}, To: Canceled, At: time.Now(), KeepUntil: time.Now().Add(r.cfg.Keep)}
	for rest := leastRest; ; rest *= 2 {
		found, err := r.cfg.Store.Move(ctx, move)
		switch {
		case err == nil, errors.Is(err, ErrState) && found.Ended.Equal(move.At):
			if err := r.cfg.Store.Delete(ctx, job.ID); err != nil && !errors.Is(err, ErrNotFound) {
				r.cfg.Log.Warn("a job that was not accepted is kept as a canceled one", zap.String("job", job.ID), zap.Error(err))
			}
			return unavailable(cause)
		case errors.Is(err, ErrState):
			*job = found
			return nil
		case errors.Is(err, ErrNotFound):
			gone := r.cfg.Store.Delete(ctx, job.ID) // so that it can't be stored any more
			if errors.Is(gone, ErrNotFound) {
				return unavailable(cause)
			}
			return unconfirmed("the store did not say whether it took the job", errors.Join(cause, gone))
		}
		if rest > mostRest/2 || ctx.Err() != nil {
			return unconfirmed("the store did not say whether it took the job, and it could not be revoked", errors.Join(cause, err))
		}
		<-time.After(rest)
	}
}

func unconfirmed(detail string, cause error) *gateway.Error {
	return &gateway.Error{Kind: gateway.JobUnconfirmed, Detail: detail, Err: cause}
}

// known returns the job of a submission's idempotency key, where there is no room for another: it needs none.
func (r *Runner) known(ctx context.Context, job *Job, s *Submission) (existing *Job, err error) {
	store, can := r.cfg.Store.(KeyStore)
	if !can || s.Key == "" {
		return nil, nil
	}
	existing, err = store.Keyed(ctx, job.Owner, keyOf(job, s))
	switch {
	case errors.Is(err, ErrMismatch):
		return nil, mismatch()
	case err != nil: // the room is what there is not for sure
		return nil, nil
	}
	return existing, nil
}

func mismatch() *gateway.Error {
	return &gateway.Error{Kind: gateway.IdempotencyMismatch, Detail: "the idempotency key was used for another request"}
}

// unavailable is the error of what the store could not do. It did not fail if who asked has left.
func unavailable(cause error) *gateway.Error {
	if errors.Is(cause, context.Canceled) {
		return &gateway.Error{Kind: gateway.Canceled, Err: cause}
	}
	return &gateway.Error{Kind: gateway.StoreUnavailable, Detail: "the store of jobs can't be reached", Err: cause}
}

// keyOf returns the key of a submission with the digest of what was asked for.
func keyOf(job *Job, s *Submission) Key {
	if s.Key == "" {
		return Key{}
	}
	h := sha256.New()
	number := func(n int64) { _ = binary.Write(h, binary.LittleEndian, n) }
	number(int64(len(job.Service)))
	h.Write([]byte(job.Service))
	number(int64(job.Timeout))
	number(int64(job.Expires.Sub(job.Created)))
	for _, frame := range s.Call.Frames {
		number(int64(len(frame)))
		h.Write(frame)
	}
	key := Key{Text: s.Key}
	h.Sum(key.Digest[:0])
	return key
}

// contextOf returns the context of one attempt at the store.
func contextOf(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
