package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
)

// A Caller makes the calls of jobs.
type Caller interface {
	// PrepareJob checks a call as a synchronous one is checked, and completes its frames: they are sent as they are
	// then. A service without workers is no error if it is known to exist.
	PrepareJob(ctx context.Context, call *gateway.Call) error

	// RunJob sends a call that PrepareJob completed, and waits for its reply. It does not wait for a worker. Sending is
	// called before anything is sent; unless it was, and returned nil, the call leaves no trace in metrics.
	RunJob(ctx context.Context, call gateway.Call) (gateway.Reply, error)

	// JobRules says what the catalogue says of a service's jobs.
	JobRules(service string) gateway.JobRules
}

// An Observer is told of jobs. It must not block.
type Observer interface {
	JobSubmitted(service, result string)             // ok, replayed, late, or the code of the problem
	JobStarted(service string, waited time.Duration) // it was claimed
	JobEnded(job Job)                                // it is over
}

// Config configures a Runner. The zero value of a field means its default.
type Config struct {
	Store    Store
	Caller   Caller
	May      func(principal, service string) bool // whether a principal may call a service now; nil: anyone may
	Observer Observer                             // nil means none
	Budget   *budget.Budget                       // of bytes held; default 512 MiB
	Log      *zap.Logger                          // nil means none

	InFlight   int           // jobs that run at once; default 64
	Max        int           // jobs that may be queued; default 10,000
	MaxReply   int64         // bytes of a whole reply; default 64 MiB
	Expires    time.Duration // in the queue, of a job that asks for nothing else; default 1h
	Timeout    time.Duration // from send to reply, of a job that asks for nothing else; default 30m
	MaxExpires time.Duration // default 24h
	MaxTimeout time.Duration // default 24h
	Keep       time.Duration // of a job that is over; default 24h

	// TakeOverEvery is how often queued jobs of other gateways are looked for. Default 1 s.
	TakeOverEvery time.Duration
}

func (c Config) withDefaults() Config {
	if c.May == nil {
		c.May = func(string, string) bool { return true }
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Budget == nil {
		c.Budget = budget.New(512 << 20)
	}
	c.Log = cmp.Or(c.Log, zap.NewNop())
	c.InFlight = cmp.Or(c.InFlight, 64)
	c.Max = cmp.Or(c.Max, 10_000)
	c.MaxReply = cmp.Or(c.MaxReply, 64<<20)
	c.Expires = cmp.Or(c.Expires, time.Hour)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Minute)
	c.MaxExpires = cmp.Or(c.MaxExpires, 24*time.Hour)
	c.MaxTimeout = cmp.Or(c.MaxTimeout, 24*time.Hour)
	c.Keep = cmp.Or(c.Keep, 24*time.Hour)
	c.TakeOverEvery = cmp.Or(c.TakeOverEvery, time.Second)
	return c
}

// A Runner takes jobs, runs them and answers for them. It is safe for concurrent use.
type Runner struct {
	// Set once.
	cfg     Config
	hub     *hub
	shared  bool           // the store is used by other gateways too
	leaving chan struct{}  // closed by Drain
	ended   chan struct{}  // closed when Close waits no longer
	stopped chan struct{}  // closed when the sweeper shall end
	left    chan struct{}  // has room for one: another gateway starts no more jobs
	loops   sync.WaitGroup // the sweeper
	runs    sync.WaitGroup // Add only while mu is held and draining is false

	// Guarded by mu.
	mu        sync.Mutex
	queues    queues
	active    map[string]context.CancelCauseFunc // of claimed runs, by id
	running   int
	draining  bool
	elsewhere elsewhere       // of a Shared store
	kept      map[string]Kept // that are Interrupted, by service
	alarm     *time.Timer     // calls onAlarm when a line has rested
}

// New starts a Runner. The jobs that the store has queued go on; those that another process ran are Interrupted, unless
// the store is a Shared one and that process lives.
func New(cfg Config) (*Runner, error) {
	if cfg.Store == nil || cfg.Caller == nil {
		return nil, errors.New("jobs: no store or no caller")
	}
	r := &Runner{
		cfg: cfg.withDefaults(), hub: newHub(), queues: newQueues(), active: map[string]context.CancelCauseFunc{},
		leaving: make(chan struct{}), ended: make(chan struct{}), stopped: make(chan struct{}), left: make(chan struct{}, 1),
	}
	r.alarm = time.AfterFunc(time.Hour, r.onAlarm)
	if shared, ok := cfg.Store.(Shared); ok {
		r.shared = true
		shared.Watch(r)
	} else if err := r.adopt(); err != nil {
		r.alarm.Stop()
		return nil, fmt.Errorf("jobs: %w", err)
	}
	r.countInterrupted()
	r.loops.Go(r.sweep)
	r.onAlarm()
	return r, nil
}

// adopt takes over what a process before has left.
func (r *Runner) adopt() error {
	ctx := context.Background()
	var lost []string
	err := r.cfg.Store.Open(ctx, func(job Job) error {
		if job.State == Running {
			lost = append(lost, job.ID)
			return nil
		}
		r.queues.queued++
		r.queues.open[job.Owner]++
		r.queues.add(entryOf(&job), false)
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range lost {
		job, err := r.interrupt(ctx, id, 0)
		switch {
		case errors.Is(err, ErrState), errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
		case err != nil:
			return err
		default:
			r.over(job)
		}
	}
	if len(lost)+r.queues.queued > 0 {
		r.cfg.Log.Info("jobs of before", zap.Int("queued", r.queues.queued), zap.Int("interrupted", len(lost)))
	}
	return nil
}

func entryOf(job *Job) entry {
	return entry{id: job.ID, seq: job.Seq, service: job.Service, owner: job.Owner, created: job.Created, expires: job.Expires}
}

// over tells everyone that a job is over.
func (r *Runner) over(job Job) {
	r.cfg.Observer.JobEnded(job)
	r.cfg.Log.Info("job", zap.String("job", job.ID), zap.String("service", job.Service), zap.String("state", string(job.State)),
		zap.String("request_id", job.RequestID), zap.String("principal", job.Principal), zap.Duration("took", job.Ended.Sub(job.Created)),
		zap.Error(problemOf(job)))
	r.hub.tell(job.ID)
}

// problemOf is a job's problem as an error, nil if there is none.
func problemOf(job Job) error {
	if job.Problem == nil {
		return nil
	}
	return job.Problem
}

// onAlarm starts what can be started.
func (r *Runner) onAlarm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kick()
}

// Drain stops the start of jobs and the submission of new ones, and wakes those who wait. Jobs that run go on. Other
// gateways of a Shared store take the queued ones.
func (r *Runner) Drain() {
	r.mu.Lock()
	first := !r.draining
	if first {
		r.draining = true
		close(r.leaving)
	}
	r.mu.Unlock()
	if shared, ok := r.cfg.Store.(Shared); ok && first {
		shared.Leave()
	}
}

// AwaitIdle waits until no job runs, or until ctx ends, which is an error only if one runs.
func (r *Runner) AwaitIdle(ctx context.Context) error {
	idle := make(chan struct{})
	go func() { r.runs.Wait(); close(idle) }()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.active) > 0 {
		return ctx.Err()
	}
	return nil
}

// Interrupt ends the jobs that run: they become Interrupted.
func (r *Runner) Interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cancel := range r.active {
		cancel(&gateway.Error{Kind: gateway.Interrupted})
	}
}

// Close ends what runs and waits for it. Until ctx ends, what came of jobs is still stored. It leaves the store open.
func (r *Runner) Close(ctx context.Context) error {
	r.Drain()
	r.Interrupt()
	err := r.AwaitIdle(ctx)
	close(r.ended)
	r.runs.Wait()
	r.alarm.Stop()
	close(r.stopped)
	r.loops.Wait()
	return err
}

type nobody struct{}

func (nobody) JobSubmitted(string, string)      {}
func (nobody) JobStarted(string, time.Duration) {}
func (nobody) JobEnded(Job)                     {}
