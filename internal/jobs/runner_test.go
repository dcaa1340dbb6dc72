package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A caller stands for the way of a call below the queue, up to the worker, which a test plays.
type caller struct {
	worker func(ctx context.Context, call gateway.Call) (gateway.Reply, error) // after the send
	ready  func(service string) error                                          // before it; nil: a worker is there
	rules  func(service string) gateway.JobRules
}

func (c *caller) PrepareJob(_ context.Context, call *gateway.Call) error {
	if call.Service == "unknown" {
		return &gateway.Error{Kind: gateway.ServiceNotFound}
	}
	return nil
}

func (c *caller) RunJob(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
	if c.ready != nil {
		if err := c.ready(call.Service); err != nil {
			return gateway.Reply{}, err
		}
	}
	if err := call.Sending(); err != nil {
		return gateway.Reply{}, &gateway.Error{Kind: gateway.Canceled, Err: err}
	}
	return c.worker(ctx, call)
}

func (c *caller) JobRules(service string) gateway.JobRules {
	if c.rules == nil {
		return gateway.JobRules{}
	}
	return c.rules(service)
}

func echo(_ context.Context, call gateway.Call) (gateway.Reply, error) {
	return gateway.Reply{Frames: call.Frames}, nil
}

// A bench is a Runner over a store.
type bench struct {
	*jobs.Runner
	t     *testing.T
	store jobs.Store
	held  *budget.Budget
	close func()
}

func start(t *testing.T, c *caller, change func(*jobs.Config)) *bench {
	t.Helper()
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return startOver(t, store, c, change)
}

func startOver(t *testing.T, store jobs.Store, c *caller, change func(*jobs.Config)) *bench {
	t.Helper()
	b := &bench{t: t, store: store, held: budget.New(64 << 20)}
	cfg := jobs.Config{Store: store, Caller: c, Budget: b.held}
	if change != nil {
		change(&cfg)
	}
	var err error
	if b.Runner, err = jobs.New(cfg); err != nil {
		t.Fatal(err)
	}
	b.close = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(b.Runner.Close(ctx), store.Close()); err != nil {
			t.Error(err)
		}
		if held := b.held.Bytes(); held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
	t.Cleanup(b.close)
	return b
}

// patience bounds a test that fails, and slows none that passes.
const patience = 2 * time.Minute

var (
	ctx    = context.Background()
	anyone = jobs.Reader{Any: true}
)

func (b *bench) submit(service, body string, change ...func(*jobs.Submission)) jobs.Job {
	b.t.Helper()
	job, err := b.try(service, body, change...)
	if err != nil {
		b.t.Fatalf("submit: %v", err)
	}
	return job
}

func (b *bench) try(service, body string, change ...func(*jobs.Submission)) (jobs.Job, error) {
	s := jobs.Submission{Call: gateway.Call{Request: gateway.Request{Service: service, Frames: [][]byte{[]byte(body)}}}}
	for _, f := range change {
		f(&s)
	}
	job, _, err := b.Submit(ctx, s)
	return job, err
}

// reach waits until a job is in a state, and returns it.
func (b *bench) reach(id string, state jobs.State) jobs.Job {
	b.t.Helper()
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	job, err := b.Wait(limit, anyone, id, func(j *jobs.Job) bool { return j.State == state })
	if err != nil || job.State != state {
		b.t.Fatalf("the job is %s with %v, %v, want %s", job.State, job.Problem, err, state)
	}
	return job
}

func (b *bench) reply(id string) string {
	b.t.Helper()
	frames, err := b.Reply(ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(bytes.Join(frames, []byte("|")))
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

func by(principal string) func(*jobs.Submission) {
	return func(s *jobs.Submission) { s.Principal, s.Owner = principal, principal }
}

// held is a worker that answers when it is told to.
func held() (worker func(context.Context, gateway.Call) (gateway.Reply, error), arrived chan gateway.Call, answer chan error) {
	arrived, answer = make(chan gateway.Call, 1000), make(chan error, 1000)
	return func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		arrived <- call
		select {
		case err := <-answer:
			return gateway.Reply{Frames: call.Frames}, err
		case <-ctx.Done():
			return gateway.Reply{}, gateway.Ended(ctx, true)
		}
	}, arrived, answer
}

func TestAJobRunsAndItsReplyIsKept(t *testing.T) {
	t.Parallel()
	worker, arrived, answer := held()
	b := start(t, &caller{worker: worker}, func(c *jobs.Config) { c.Timeout = 7 * time.Second })
	job := b.submit("echo", "hello")
	call := <-arrived
	running := b.reach(job.ID, jobs.Running)
	if call.Within != 7*time.Second || call.TimeoutBy != "--jobs-timeout" || running.Executed() != gateway.Maybe || running.Started.IsZero() {
		t.Errorf("the call has %v by %s, the job is %+v", call.Within, call.TimeoutBy, running)
	}
	answer <- nil
	done := b.reach(job.ID, jobs.Done)
	if b.reply(job.ID) != "hello" || done.Executed() != gateway.Yes || done.KeepUntil.IsZero() {
		t.Errorf("the reply is %q, the job %+v", b.reply(job.ID), done)
	}
	if _, err := b.try("unknown", ""); gateway.AsError(err).Kind != gateway.ServiceNotFound {
		t.Errorf("a service that is not known: %v", err)
	}
}

func TestAFailedJobHasTheProblemOfASynchronousCall(t *testing.T) {
	t.Parallel()
	b := start(t, &caller{worker: func(context.Context, gateway.Call) (gateway.Reply, error) {
		return gateway.Reply{}, &gateway.Error{Kind: gateway.WorkerError, Reason: "no_frame", Status: 422, Frames: [][]byte{[]byte("decode_error")}}
	}}, nil)
	job := b.reach(b.submit("echo", "x").ID, jobs.Failed)
	if p := job.Problem; p == nil || p.Kind != gateway.WorkerError || p.Status != 422 || p.Reason != "no_frame" || b.reply(job.ID) != "decode_error" {
		t.Errorf("the problem is %+v, with the frames %q", job.Problem, b.reply(job.ID))
	}
}

// What could not be sent stays queued, and does not hold up other services.
func TestAServiceWithoutWorkersHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	var there atomic.Bool
	var tries atomic.Int64
	b := start(t, &caller{worker: echo, ready: func(service string) error {
		if service == "dead" && !there.Load() {
			tries.Add(1)
			return &gateway.Error{Kind: gateway.NoWorkers}
		}
		return nil
	}}, func(c *jobs.Config) { c.InFlight = 2 })
	const many = 400
	var dead []jobs.Job
	for range many {
		dead = append(dead, b.submit("dead", "x"))
	}
	for i := range 50 {
		b.reach(b.submit("echo", fmt.Sprint(i)).ID, jobs.Done)
	}
	if s := b.Stats().Services["dead"]; s.Queued+s.Running != many || s.Oldest <= 0 {
		t.Errorf("of the dead service: %+v, want all of %d", s, many)
	}
	if p := b.Position(&dead[10]); p < 9 || p > 11 { // the first may be on their way
		t.Errorf("position %d of the eleventh", p)
	}
	there.Store(true)
	b.reach(dead[many-1].ID, jobs.Done)
	if n := tries.Load(); n > 500 {
		t.Errorf("%d attempts at a service without workers", n)
	}
}

func TestPrincipalsTakeTurns(t *testing.T) {
	t.Parallel()
	worker, arrived, answer := held()
	b := start(t, &caller{worker: worker}, func(c *jobs.Config) { c.InFlight = 1 })
	first := b.submit("echo", "first", by("a"))
	b.reach(first.ID, jobs.Running)
	for i := range 20 {
		b.submit("echo", fmt.Sprint("a", i), by("a"))
	}
	b.submit("echo", "b0", by("b"))
	b.submit("echo", "c0", by("c"))
	var order []string
	for range 5 {
		order = append(order, string((<-arrived).Frames[0]))
		answer <- nil
	}
	if want := []string{"first", "a0", "b0", "c0", "a1"}; !slices.Equal(order, want) {
		t.Errorf("the order is %q, want %q", order, want)
	}
	for range 18 {
		answer <- nil
	}
}

func TestRunsKeepWithinTheirBounds(t *testing.T) {
	t.Parallel()
	worker, arrived, answer := held()
	b := start(t, &caller{worker: worker, rules: func(service string) gateway.JobRules {
		if service == "two" {
			return gateway.JobRules{InFlight: 2}
		}
		return gateway.JobRules{}
	}}, func(c *jobs.Config) { c.InFlight = 16 })
	for range 10 {
		b.submit("two", "x")
	}
	for range 30 {
		b.submit("slow", "x")
	}
	eventually(t, "12 of the slow service run", func() bool { return b.Stats().Services["slow"].Running == 12 })
	if s := b.Stats().Services["two"]; s.Running != 2 {
		t.Errorf("%d of the service with two places run", s.Running)
	}
	for range 40 {
		<-arrived
		answer <- nil
	}
	eventually(t, "all have run", func() bool { return len(b.Stats().Services) == 0 })
}

func TestBoundsOfTheQueue(t *testing.T) {
	t.Parallel()
	b := start(t, &caller{worker: echo, ready: func(string) error { return &gateway.Error{Kind: gateway.NoWorkers} }}, func(c *jobs.Config) { c.Max = 5 })
	mine := func(s *jobs.Submission) { by("a")(s); s.MaxJobs = 2 }
	first := b.submit("echo", "", mine)
	b.submit("echo", "", mine)
	if _, err := b.try("echo", "", mine); gateway.AsError(err).Kind != gateway.RateLimited || gateway.AsError(err).Reason != gateway.ReasonJobs {
		t.Errorf("a third of two: %v", err)
	}
	for range 2 {
		b.submit("echo", "")
	}
	keyed := func(s *jobs.Submission) { by("b")(s); s.Key = "k" }
	fifth := b.submit("echo", "", keyed)
	// A submission that is repeated needs no room.
	if again, err := b.try("echo", "", keyed); err != nil || again.ID != fifth.ID {
		t.Errorf("the fifth again: %v, %v, want %v", again.ID, err, fifth.ID)
	}
	if _, err := b.try("echo", "another", keyed); gateway.AsError(err).Kind != gateway.IdempotencyMismatch {
		t.Errorf("another request with the fifth's key: %v", err)
	}
	_, err := b.try("echo", "")
	if e := gateway.AsError(err); e.Kind != gateway.Busy || e.Reason != gateway.ReasonJobs || e.Service != "echo" {
		t.Errorf("a sixth of five: %v", err)
	}
	if _, err := b.Cancel(ctx, anyone, first.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the place is free", func() bool { _, err := b.try("echo", "", mine); return err == nil })
}

func TestCancel(t *testing.T) {
	t.Parallel()
	worker, arrived, answer := held()
	b := start(t, &caller{worker: worker}, func(c *jobs.Config) { c.InFlight = 1 })
	running, queued := b.submit("echo", "x", by("a")), b.submit("echo", "y", by("a"))
	<-arrived
	for _, c := range []struct {
		id   string
		want gateway.Executed
	}{{queued.ID, gateway.No}, {running.ID, gateway.Maybe}} {
		if _, err := b.Cancel(ctx, jobs.Reader{Owner: "b"}, c.id); gateway.AsError(err).Kind != gateway.JobNotFound {
			t.Errorf("another's job: %v, want job_not_found", err)
		}
		job, err := b.Cancel(ctx, jobs.Reader{Owner: "a"}, c.id)
		if err != nil || job.State != jobs.Canceled || job.Executed() != c.want {
			t.Errorf("got %s, executed %s, %v, want canceled and %s", job.State, job.Executed(), err, c.want)
		}
		if _, err := b.Cancel(ctx, anyone, c.id); gateway.AsError(err).Kind != gateway.JobOver {
			t.Errorf("again: %v, want job_over", err)
		}
	}
	answer <- nil // for the next, if that of the canceled one does not take it
	b.reach(b.submit("echo", "z").ID, jobs.Done)
	if len(arrived) != 1 {
		t.Errorf("%d more were sent, want the last job alone", len(arrived))
	}
	if err := b.Delete(ctx, anyone, running.ID); err != nil {
		t.Error(err)
	}
	if err := b.Delete(ctx, anyone, running.ID); gateway.AsError(err).Kind != gateway.JobNotFound {
		t.Errorf("deleted again: %v, want job_not_found", err)
	}
}

func TestAJobExpiresInTheQueue(t *testing.T) {
	t.Parallel()
	b := start(t, &caller{worker: echo, ready: func(string) error { return &gateway.Error{Kind: gateway.BrokerUnavailable} }}, nil)
	job := b.reach(b.submit("echo", "", func(s *jobs.Submission) { s.Expires = 10 * time.Millisecond }).ID, jobs.Expired)
	if job.Problem == nil || job.Problem.Kind != gateway.Expired || job.Executed() != gateway.No {
		t.Errorf("got %+v", job)
	}
	eventually(t, "nothing is queued", func() bool { return b.Stats().Services["echo"].Queued == 0 })
}

func TestACallerWhoLostTheServiceIsNotServed(t *testing.T) {
	t.Parallel()
	var may, there atomic.Bool
	b := start(t, &caller{worker: echo, ready: func(string) error {
		if !there.Load() {
			return &gateway.Error{Kind: gateway.NoWorkers}
		}
		return nil
	}}, func(c *jobs.Config) {
		c.May = func(principal, _ string) bool { return principal != "gone" || may.Load() }
	})
	may.Store(true)
	lost, kept := b.submit("echo", "", by("gone")), b.submit("echo", "", by("other"))
	may.Store(false)
	job := b.reach(lost.ID, jobs.Canceled)
	there.Store(true) // not before: an attempt may be under way that found that the caller may call
	if job.Problem.Kind != gateway.Forbidden || job.Executed() != gateway.No {
		t.Errorf("got %v", job.Problem)
	}
	b.reach(kept.ID, jobs.Done)
}

func TestPartsAreReadWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	b := start(t, &caller{worker: func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		for part := range next {
			if err := call.Partial([][]byte{[]byte(part)}); err != nil {
				return gateway.Reply{}, err
			}
		}
		return gateway.Reply{Frames: [][]byte{[]byte("end")}}, nil
	}}, nil)
	job := b.submit("echo", "")
	for i := range 5 {
		next <- fmt.Sprint(i)
		limit, cancel := context.WithTimeout(ctx, patience)
		_, err := b.Wait(limit, anyone, job.ID, func(j *jobs.Job) bool { return j.Parts > i })
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		parts, err := b.Parts(ctx, job.ID, i, 100)
		if err != nil || len(parts) != 1 || string(parts[0][0]) != fmt.Sprint(i) {
			t.Errorf("part %d is %q, %v", i, parts, err)
		}
	}
	close(next)
	if done := b.reach(job.ID, jobs.Done); done.Parts != 5 || b.reply(job.ID) != "end" {
		t.Errorf("got %d parts and %q, want 5 and end", done.Parts, b.reply(job.ID))
	}
}

func TestAReplyOfTooManyPartsIsTooLarge(t *testing.T) {
	t.Parallel()
	b := start(t, &caller{worker: func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		for {
			if err := call.Partial([][]byte{make([]byte, 1000)}); err != nil {
				return gateway.Reply{}, err
			}
		}
	}}, func(c *jobs.Config) { c.MaxReply = 100_000 })
	job := b.reach(b.submit("echo", "").ID, jobs.Failed)
	if job.Problem.Kind != gateway.ReplyTooLarge || job.Executed() != gateway.Maybe || job.Parts < 50 {
		t.Errorf("got %v after %d parts", job.Problem, job.Parts)
	}
}

func TestADrainStartsNothingAndInterruptsAtItsEnd(t *testing.T) {
	t.Parallel()
	worker, arrived, _ := held()
	store, err := sqlite.New(sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := startOver(t, store, &caller{worker: worker}, func(c *jobs.Config) { c.InFlight = 1 })
	running, queued := b.submit("echo", "x"), b.submit("echo", "y")
	<-arrived
	waited := make(chan jobs.Job)
	go func() {
		job, _ := b.Wait(ctx, anyone, running.ID, func(j *jobs.Job) bool { return j.State.Over() })
		waited <- job
	}()
	eventually(t, "one waits", func() bool { return b.Stats().Waiters == 1 })
	b.Drain()
	if job := <-waited; job.State != jobs.Running {
		t.Errorf("who waited is told %s, want running", job.State)
	}
	if _, err := b.try("echo", ""); gateway.AsError(err).Kind != gateway.Draining {
		t.Errorf("a submission: %v, want draining", err)
	}
	over, end := context.WithCancel(ctx)
	end()
	if err := b.AwaitIdle(over); err == nil {
		t.Error("a job runs, and its time to end is over, which is no error")
	}
	b.Interrupt()
	if err := b.AwaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.AwaitIdle(over); err != nil {
		t.Errorf("no job runs, and it is an error that no time is left: %v", err)
	}
	for id, want := range map[string]jobs.State{running.ID: jobs.Interrupted, queued.ID: jobs.Queued} {
		if job, err := b.Get(ctx, anyone, id); err != nil || job.State != want {
			t.Errorf("got %s, %v, want %s", job.State, err, want)
		}
	}
	if len(arrived) != 0 {
		t.Error("a job was sent during the drain")
	}
}

func TestJobsOfAProcessThatIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b := startOver(t, store, &caller{worker: echo, ready: func(string) error { return &gateway.Error{Kind: gateway.NoWorkers} }}, nil)
	queued, running := b.submit("echo", "queued", by("a")), b.submit("other", "running", by("a"))
	eventually(t, "it is claimed", func() bool { // as by a process that is killed then
		_, err := store.Move(ctx, jobs.Move{ID: running.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()})
		return err == nil
	})
	b.close()
	if store, err = sqlite.New(sqlite.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	b = startOver(t, store, &caller{worker: echo}, nil)
	if job := b.reach(running.ID, jobs.Interrupted); job.Executed() != gateway.Maybe || job.Problem.Kind != gateway.Interrupted {
		t.Errorf("what ran: %+v", job)
	}
	if s := b.Stats().Services["other"]; s.Interrupted != 1 || s.LastInterrupted.IsZero() {
		t.Errorf("the stats are %+v, want one that is interrupted", s)
	}
	b.reach(queued.ID, jobs.Done)
	if b.reply(queued.ID) != "queued" {
		t.Errorf("the reply is %q", b.reply(queued.ID))
	}
}

// away is a store whose writes fail while it is told to.
type away struct {
	jobs.Store
	down atomic.Bool
	lost atomic.Bool // its answers, not its writes
}

func (s *away) answer(do func() error) error {
	if s.down.Load() {
		return errors.New("away")
	}
	if err := do(); err != nil || !s.lost.Load() {
		return err
	}
	return jobs.ErrUnconfirmed
}

func (s *away) Submit(ctx context.Context, job *jobs.Job, frames [][]byte, key jobs.Key) (existing *jobs.Job, err error) {
	err = s.answer(func() (err error) { existing, err = s.Store.Submit(ctx, job, frames, key); return err })
	return existing, err
}

func (s *away) Move(ctx context.Context, m jobs.Move) (job jobs.Job, err error) {
	err = s.answer(func() (err error) { job, err = s.Store.Move(ctx, m); return err })
	return job, err
}

func (s *away) Delete(ctx context.Context, id string) error {
	if s.down.Load() {
		return errors.New("away")
	}
	return s.Store.Delete(ctx, id)
}

// Get ends with its caller's context, as a store on the network does.
func (s *away) Get(ctx context.Context, id string) (jobs.Job, error) {
	if err := ctx.Err(); err != nil {
		return jobs.Job{}, err
	}
	return s.Store.Get(ctx, id)
}

func startAway(t *testing.T, c *caller) (*bench, *away) {
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &away{Store: store}
	return startOver(t, s, c, nil), s
}

func TestAReaderWhoLeavesIsCanceled(t *testing.T) {
	t.Parallel()
	b, _ := startAway(t, &caller{worker: echo})
	job := b.submit("echo", "hello")
	left, leave := context.WithCancel(t.Context())
	leave()
	_, err := b.Get(left, jobs.Reader{Any: true}, job.ID)
	if e := gateway.AsError(err); e.Kind != gateway.Canceled || e.Executed() != gateway.No {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestAResultWaitsForTheStore(t *testing.T) {
	t.Parallel()
	worker, arrived, answer := held()
	b, s := startAway(t, &caller{worker: worker})
	job := b.submit("echo", "hello")
	<-arrived
	s.down.Store(true)
	answer <- nil
	if _, err := b.try("echo", ""); gateway.AsError(err).Kind != gateway.StoreUnavailable || gateway.AsError(err).Executed() != gateway.No {
		t.Errorf("a submission: %v, want store_unavailable, not executed", err)
	}
	s.down.Store(false)
	b.reach(job.ID, jobs.Done)
	if b.reply(job.ID) != "hello" {
		t.Errorf("the reply is %q", b.reply(job.ID))
	}
}

// The store takes what it is told, and its answer is lost: nothing is sent twice, and what was refused never runs.
func TestAnswersOfTheStoreAreLost(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	ran := map[string]int{}
	b, s := startAway(t, &caller{worker: func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		mu.Lock()
		defer mu.Unlock()
		ran[string(call.Frames[0])]++
		return gateway.Reply{}, nil
	}})
	var accepted []jobs.Job
	refused := map[string]bool{}
	for i := range 200 {
		s.lost.Store(i%3 == 0)
		job, err := b.try("echo", fmt.Sprint(i))
		switch e := gateway.AsError(err); {
		case err == nil:
			accepted = append(accepted, job)
		case e.Kind == gateway.StoreUnavailable:
			refused[fmt.Sprint(i)] = true
		default:
			t.Errorf("submit: %v", err)
		}
	}
	s.lost.Store(false)
	for _, job := range accepted {
		b.reach(job.ID, jobs.Done)
	}
	mu.Lock()
	defer mu.Unlock()
	for body, n := range ran {
		if n != 1 || refused[body] {
			t.Errorf("%s ran %d times, refused: %v", body, n, refused[body])
		}
	}
	if len(ran) != len(accepted) || len(refused) == 0 {
		t.Errorf("%d ran, %d were accepted, %d refused", len(ran), len(accepted), len(refused))
	}
}

func TestASubmissionThatCanNotBeRevokedIsUnconfirmed(t *testing.T) {
	t.Parallel()
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := startOver(t, &vanishing{away{Store: store}}, &caller{worker: echo}, nil)
	job, err := b.try("echo", "")
	if e := gateway.AsError(err); e.Kind != gateway.JobUnconfirmed || e.Executed() != gateway.Maybe || !jobs.IsID(job.ID) {
		t.Errorf("got %v with %q, want job_unconfirmed with the job's id", err, job.ID)
	}
}

// vanishing is a store that takes a submission, does not say so, and is away from then on.
type vanishing struct{ away }

func (s *vanishing) Submit(ctx context.Context, job *jobs.Job, frames [][]byte, key jobs.Key) (*jobs.Job, error) {
	s.lost.Store(true)
	defer s.down.Store(true)
	return s.away.Submit(ctx, job, frames, key)
}

// takenOver is a store that takes a submission and does not say so; another gateway runs the job meanwhile.
type takenOver struct{ away }

func (s *takenOver) Submit(ctx context.Context, job *jobs.Job, frames [][]byte, key jobs.Key) (*jobs.Job, error) {
	if _, err := s.Store.Submit(ctx, job, frames, key); err != nil {
		return nil, err
	}
	if _, err := s.Move(ctx, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()}); err != nil {
		return nil, err
	}
	return nil, jobs.ErrUnconfirmed
}

func TestASubmissionThatRunsElsewhereIsAccepted(t *testing.T) {
	t.Parallel()
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := startOver(t, &takenOver{away{Store: store}}, &caller{worker: echo}, nil)
	job, err := b.try("echo", "")
	if err != nil {
		t.Fatalf("got %v, want the job accepted, since it runs", err)
	}
	if got, err := b.Get(ctx, anyone, job.ID); err != nil || got.State != jobs.Running {
		t.Errorf("the job is %s, %v, want it running", got.State, err)
	}
	if _, err := b.try("echo", "", func(s *jobs.Submission) { s.Key = "k" }); gateway.AsError(err).Kind != gateway.JobUnconfirmed {
		t.Errorf("with an idempotency key: %v, want job_unconfirmed", err)
	}
}
