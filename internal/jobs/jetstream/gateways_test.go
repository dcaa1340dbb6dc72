package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
	"mdpgateway/internal/jobs/natstest"
)

// patience bounds a test that fails, and slows none that passes.
const patience = 2 * time.Minute

var anyone = jobs.Reader{Any: true}

// workers stand for the way of a call below the queue. They note what was sent to them.
type workers struct {
	mu   sync.Mutex
	sent map[string]int                               // guarded by mu; by body
	lost int                                          // guarded by mu; attempts that met another
	work func(ctx context.Context, body string) error // what a worker does; nil: nothing
}

func (*workers) PrepareJob(context.Context, *gateway.Call) error { return nil }
func (*workers) JobRules(string) gateway.JobRules                { return gateway.JobRules{} }

func (w *workers) RunJob(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
	if err := call.Sending(); err != nil {
		w.mu.Lock()
		w.lost++
		w.mu.Unlock()
		return gateway.Reply{}, &gateway.Error{Kind: gateway.Canceled, Err: err}
	}
	body := string(call.Frames[0])
	w.mu.Lock()
	w.sent[body]++
	w.mu.Unlock()
	if w.work != nil {
		if err := w.work(ctx, body); err != nil {
			return gateway.Reply{}, err
		}
	}
	return gateway.Reply{Frames: call.Frames}, nil
}

// A replica is a gateway's part in jobs.
type replica struct {
	*jobs.Runner
	store *Store
	t     *testing.T
	dead  bool
	close func()
}

func startReplica(t *testing.T, c *natstest.Cluster, prefix string, w *workers) *replica {
	t.Helper()
	return startWith(t, c, prefix, jobs.Config{Caller: w})
}

func startWith(t *testing.T, c *natstest.Cluster, prefix string, cfg jobs.Config) *replica {
	t.Helper()
	return startThrough(t, start(t, c, prefix, nil), cfg)
}

// startThrough starts a gateway over a store, or over what cfg has of it.
func startThrough(t *testing.T, s *Store, cfg jobs.Config) *replica {
	t.Helper()
	r := &replica{store: s, t: t}
	if cfg.Store == nil {
		cfg.Store = s
	}
	var err error
	if r.Runner, err = jobs.New(cfg); err != nil {
		t.Fatal(err)
	}
	r.close = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if r.dead {
			cancel()
		}
		if err := errors.Join(r.Runner.Close(ctx), r.store.Close()); err != nil && !r.dead {
			t.Error(err)
		}
	})
	t.Cleanup(r.close)
	return r
}

func (r *replica) submit(body, key string) jobs.Job {
	r.t.Helper()
	job, _, err := r.Submit(context.Background(), submission(body, key))
	if err != nil {
		r.t.Fatalf("submit: %v", err)
	}
	return job
}

func submission(body, key string) jobs.Submission {
	return jobs.Submission{Call: gateway.Call{Request: gateway.Request{Service: "echo", Frames: [][]byte{[]byte(body)}}}, Key: key}
}

func (r *replica) reach(id string, state jobs.State) jobs.Job {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	job, err := r.Wait(ctx, anyone, id, func(j *jobs.Job) bool { return j.State == state })
	if err != nil || job.State != state {
		r.t.Fatalf("the job is %s with %v, %v, want %s", job.State, job.Problem, err, state)
	}
	return job
}

// gateways are tests of several gateways over one cluster.
func gateways(t *testing.T, c *natstest.Cluster) {
	for name, test := range map[string]func(t *testing.T, c *natstest.Cluster){
		"a job is seen by all at once":                        seenAtOnce,
		"one key at three gateways at once makes one job":     oneKey,
		"a waiting request is woken by what another does":     woken,
		"what runs elsewhere is canceled there":               canceledElsewhere,
		"a job is canceled while it is claimed":               canceledInClaim,
		"a job is canceled elsewhere while it is claimed":     canceledInClaimElsewhere,
		"jobs of a gateway that is gone are taken over":       takenOver,
		"gateways share what waits and seldom meet":           shares,
		"a job is not interrupted while its gateway has it":   owned,
		"a stream with other settings is refused":             otherSettings,
		"a submission that comes after its revocation fails":  revoked,
		"a key whose submission has failed makes that job":    keyLeft,
		"a full queue still knows a key":                      keyWhenFull,
		"a gateway is gone inside a deletion":                 deletionsCut,
		"pieces of a gateway that is gone are deleted":        piecesLeft,
		"pieces that no record names do not fill the stream":  piecesInVain,
		"servers drop pieces in time":                         piecesInTime,
		"a late reply is its gateway's":                       lateReplies,
		"one other gateway adopts a job":                      adoptedOnce,
		"a gateway that lives stores what was adopted":        adoptedFromOneThatLives,
		"an adoption in vain leaves room for the reply":       adoptedInVain,
		"a gateway that leaves hands its job on":              adoptedAgain,
		"a gateway that leaves hands its job on at once":      handedOn,
		"a gateway that leaves hands its queue on at once":    queueHandedOn,
		"a job whose time is up is not adopted":               adoptedTooLate,
		"a claim that is overtaken is not undone for another": undone,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, c) })
	}
}

func three(t *testing.T, c *natstest.Cluster, w *workers) []*replica {
	prefix := newPrefix()
	return []*replica{startReplica(t, c, prefix, w), startReplica(t, c, prefix, w), startReplica(t, c, prefix, w)}
}

func seenAtOnce(t *testing.T, c *natstest.Cluster) {
	all := three(t, c, &workers{sent: map[string]int{}})
	var turns sync.WaitGroup
	for i := range 3 {
		turns.Go(func() {
			for n := range 100 {
				job := all[i].submit(fmt.Sprint(i, n), "")
				if _, err := all[(i+1)%3].Get(context.Background(), anyone, job.ID); err != nil {
					t.Errorf("a job that was accepted: %v", err)
				}
			}
		})
	}
	turns.Wait()
}

func oneKey(t *testing.T, c *natstest.Cluster) {
	w := &workers{sent: map[string]int{}}
	all := three(t, c, w)
	for n := range 20 {
		body := fmt.Sprint(n)
		var ids sync.Map
		var turns sync.WaitGroup
		for i := range 9 {
			turns.Go(func() { ids.Store(all[i%3].submit(body, "key"+body).ID, true) })
		}
		turns.Wait()
		made := 0
		ids.Range(func(id, _ any) bool {
			made++
			all[0].reach(id.(string), jobs.Done)
			return true
		})
		w.mu.Lock()
		if made != 1 || w.sent[body] != 1 {
			t.Errorf("one key made %d jobs, and was sent %d times", made, w.sent[body])
		}
		w.mu.Unlock()
	}
}

// hold returns a worker that works until it is told to end.
func hold() (w *workers, began chan string, end chan struct{}) {
	began, end = make(chan string, 100), make(chan struct{})
	return &workers{sent: map[string]int{}, work: func(ctx context.Context, body string) error {
		began <- body
		select {
		case <-end:
			return nil
		case <-ctx.Done():
			return gateway.Ended(ctx, true)
		}
	}}, began, end
}

func woken(t *testing.T, c *natstest.Cluster) {
	w, began, end := hold()
	all := three(t, c, w)
	job := all[0].submit("x", "")
	<-began
	all[1].reach(job.ID, jobs.Running)
	close(end)
	all[1].reach(job.ID, jobs.Done)
	reply, err := all[2].Reply(context.Background(), job.ID)
	if err != nil || len(reply) != 1 || !bytes.Equal(reply[0], []byte("x")) {
		t.Errorf("the reply elsewhere is %q, %v", reply, err)
	}
}

func canceledElsewhere(t *testing.T, c *natstest.Cluster) {
	w, began, _ := hold()
	ended := make(chan struct{})
	work := w.work
	w.work = func(ctx context.Context, body string) error {
		defer close(ended)
		return work(ctx, body)
	}
	all := three(t, c, w)
	job := all[0].submit("x", "")
	<-began
	if _, err := all[1].Cancel(context.Background(), anyone, job.ID); err != nil {
		t.Fatal(err)
	}
	<-ended
	if job := all[0].reach(job.ID, jobs.Canceled); job.Executed() != gateway.Maybe {
		t.Errorf("the job is executed: %s", job.Executed())
	}
}

// afterClaim is a store that calls a function between the write of a claim and its confirmation, and another when its
// gateway was told that a job is canceled.
type afterClaim struct {
	*Store
	jobs.Watcher
	wrote, told func(id string)
}

func (s *afterClaim) Move(ctx context.Context, move jobs.Move) (jobs.Job, error) {
	job, err := s.Store.Move(ctx, move)
	if err == nil && move.To == jobs.Running {
		s.wrote(job.ID)
	}
	return job, err
}

func (s *afterClaim) Watch(w jobs.Watcher) {
	s.Watcher = w
	s.Store.Watch(s)
}

func (s *afterClaim) Changed(job jobs.Job) {
	s.Watcher.Changed(job)
	if job.State == jobs.Canceled {
		s.told(job.ID)
	}
}

func canceledInClaim(t *testing.T, c *natstest.Cluster) {
	cancelInClaim(t, c, func(first, _ *replica, _ <-chan string, id string) error {
		_, err := first.Cancel(context.Background(), anyone, id)
		return err
	})
}

func canceledInClaimElsewhere(t *testing.T, c *natstest.Cluster) {
	cancelInClaim(t, c, func(_, second *replica, told <-chan string, id string) error {
		_, err := second.Cancel(context.Background(), anyone, id)
		if err == nil {
			<-told
		}
		return err
	})
}

// cancelInClaim cancels the first job of a gateway before the write of its claim is confirmed: it is not sent.
func cancelInClaim(t *testing.T, c *natstest.Cluster, cancel func(first, second *replica, told <-chan string, id string) error) {
	w, prefix := &workers{sent: map[string]int{}}, newPrefix()
	second := startWith(t, c, prefix, jobs.Config{Caller: w})
	second.Drain() // it runs nothing
	told := make(chan string, 1)
	s := &afterClaim{Store: start(t, c, prefix, nil), told: func(id string) { told <- id }}
	var first *replica
	canceled := false
	s.wrote = func(id string) {
		if canceled {
			return
		}
		canceled = true
		if err := cancel(first, second, told, id); err != nil {
			t.Errorf("cancel: %v", err)
		}
	}
	first = startThrough(t, s.Store, jobs.Config{Caller: w, Store: s, InFlight: 1})
	job, next := first.submit("canceled", ""), first.submit("next", "")
	first.reach(next.ID, jobs.Done)
	first.reach(job.ID, jobs.Canceled)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sent["canceled"] != 0 {
		t.Error("a job was sent that had been canceled before")
	}
}

// die ends a replica as kill -9 does, as far as the others can see.
func (r *replica) die() {
	r.dead = true
	r.store.nc.Close()
}

func takenOver(t *testing.T, c *natstest.Cluster) {
	w, began, end := hold()
	prefix := newPrefix()
	first := startReplica(t, c, prefix, w)
	running := first.submit("running", "")
	<-began
	first.Drain()
	queued := jobstest.Submit(t, first.store, jobstest.New("echo"))
	second := startReplica(t, c, prefix, w)
	first.die()
	ended := second.reach(running.ID, jobs.Interrupted)
	if ended.Executed() != gateway.Maybe || ended.Problem.Kind != gateway.Interrupted {
		t.Errorf("the job of a gateway that is gone: %+v", ended)
	}
	close(end)
	second.reach(queued.ID, jobs.Done)
	if w.mu.Lock(); w.sent["running"] != 1 {
		t.Errorf("it was sent %d times", w.sent["running"])
	}
	w.mu.Unlock()
}

func shares(t *testing.T, c *natstest.Cluster) {
	w := &workers{sent: map[string]int{}}
	prefix := newPrefix()
	s := start(t, c, prefix, nil)
	defer func() { _ = s.Close() }()
	const waiting = 400
	var all errgroup.Group
	all.SetLimit(atOnce)
	ids := make([]string, waiting)
	for i := range ids {
		all.Go(func() error {
			job := jobstest.New("echo")
			ids[i] = job.ID
			_, err := s.Submit(context.Background(), job, [][]byte{[]byte(job.ID)}, jobs.Key{})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	gateways := []*replica{startReplica(t, c, prefix, w), startReplica(t, c, prefix, w), startReplica(t, c, prefix, w)}
	for _, id := range ids {
		gateways[0].reach(id, jobs.Done)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if w.sent[id] != 1 {
			t.Errorf("a job was sent %d times", w.sent[id])
		}
	}
	if t.Logf("%d attempts met another", w.lost); w.lost > waiting {
		t.Errorf("%d attempts met another gateway's, want at most %d", w.lost, waiting)
	}
}

func owned(t *testing.T, c *natstest.Cluster) {
	w, began, end := hold()
	all := three(t, c, w)
	job := all[0].submit("x", "")
	<-began
	// All others ask for it more often than it may be missing.
	for deadline := time.Now().Add(patience); all[1].store.Stats().Redelivered[jobs.OwnerRuns] < 2*lacksOften; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks")
		}
	}
	close(end)
	all[1].reach(job.ID, jobs.Done)
	if n := all[1].store.Stats().Redelivered[jobs.OwnerGone]; n != 0 {
		t.Errorf("%d jobs were interrupted", n)
	}
}

func otherSettings(t *testing.T, c *natstest.Cluster) {
	prefix := newPrefix()
	s := start(t, c, prefix, nil)
	defer func() { _ = s.Close() }()
	for want, change := range map[string]func(*Config){
		"num_replicas 3, want 1, as --jobs-replicas says":             func(c *Config) { c.Replicas = 1 },
		"max_bytes 268435456, want 1048576, as --jobs-max-bytes says": func(c *Config) { c.MaxBytes = 1 << 20 },
	} {
		cfg := s.cfg
		change(&cfg)
		if other, err := New(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want an error with %q", other, err, want)
		}
	}
	info, err := s.stream.Info(context.Background())
	if err != nil || differs(info.Config, s.wanted()) != nil {
		t.Errorf("the stream was changed: %+v, %v", info, err)
	}
}

func revoked(t *testing.T, c *natstest.Cluster) {
	s := start(t, c, newPrefix(), nil)
	defer func() { _ = s.Close() }()
	job := jobstest.New("echo")
	if err := s.Delete(context.Background(), job.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Fatalf("delete: %v", err)
	}
	if _, err := s.Submit(context.Background(), job, [][]byte{nil}, jobs.Key{}); err == nil {
		t.Error("a job was submitted after it was revoked")
	}
	if _, err := s.Get(context.Background(), job.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
}

func keyLeft(t *testing.T, c *natstest.Cluster) {
	s := start(t, c, newPrefix(), nil)
	defer func() { _ = s.Close() }()
	failed, next := jobstest.New("echo"), jobstest.New("echo")
	key := jobs.Key{Text: "k", Digest: [32]byte{1}}
	if existing, err := s.keyed(context.Background(), newRecord(failed), failed, key); existing != nil || err != nil {
		t.Fatal(existing, err)
	}
	if existing, err := s.Submit(context.Background(), next, [][]byte{nil}, key); existing != nil || err != nil || next.ID != failed.ID {
		t.Errorf("got %v, %v and the job %s, want the job %s made", existing, err, next.ID, failed.ID)
	}
	again := jobstest.New("echo")
	if existing, err := s.Submit(context.Background(), again, [][]byte{nil}, key); err != nil || existing == nil || existing.ID != failed.ID {
		t.Errorf("again: got %v, %v, want the job %s found", existing, err, failed.ID)
	}
}

func undone(t *testing.T, c *natstest.Cluster) {
	prefix := newPrefix()
	first, second := start(t, c, prefix, nil), start(t, c, prefix, nil)
	defer func() { _, _ = first.Close(), second.Close() }()
	job := jobstest.Submit(t, first, jobstest.New("echo"))
	claim := jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()}
	back := jobs.Move{ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Queued}
	for i, step := range []struct {
		s    *Store
		move jobs.Move
		want error
	}{{first, claim, nil}, {first, back, nil}, {second, claim, nil}, {first, back, jobs.ErrState}, {second, back, nil}} {
		if _, err := step.s.Move(context.Background(), step.move); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
	}
}

// The same submission again needs no room, at any gateway.
func keyWhenFull(t *testing.T, c *natstest.Cluster) {
	w, began, end := hold()
	defer close(end)
	prefix, cfg := newPrefix(), jobs.Config{Caller: w, Max: 1, InFlight: 1}
	first, second := startWith(t, c, prefix, cfg), startWith(t, c, prefix, cfg)
	first.submit("runs", "")
	<-began
	second.submit("runs there", "")
	<-began
	waits := first.submit("waits", "key")
	if _, _, err := first.Submit(context.Background(), submission("another", "")); err == nil || gateway.AsError(err).Reason != gateway.ReasonJobs {
		t.Errorf("another job: %v, want that the queue is full", err)
	}
	for i, at := range []*replica{first, second} {
		again, replayed, err := at.Submit(context.Background(), submission("waits", "key"))
		if err != nil || !replayed || again.ID != waits.ID {
			t.Errorf("the same again, at %d: %s, replayed %v, %v, want the job %s", i, again.ID, replayed, err, waits.ID)
		}
		_, _, err = at.Submit(context.Background(), submission("not the same", "key"))
		if err == nil || gateway.AsError(err).Kind != gateway.IdempotencyMismatch {
			t.Errorf("another request with its key, at %d: %v, want a mismatch", i, err)
		}
	}
}

func lateReplies(t *testing.T, c *natstest.Cluster) {
	all := three(t, c, &workers{sent: map[string]int{}})
	late := func() (jobs.Job, gateway.LateWait) {
		job, wait, ok := all[0].Late(jobs.LateCall{Job: jobs.Job{Service: "echo", Created: time.Now()}}, 100)
		if !ok {
			t.Fatal("a late reply is not awaited")
		}
		all[1].reach(job.ID, jobs.Running)
		return job, wait
	}
	job, wait := late()
	wait.Done(gateway.Reply{Frames: [][]byte{[]byte("late")}}, nil)
	all[1].reach(job.ID, jobs.Done)
	if reply, err := all[2].Reply(context.Background(), job.ID); err != nil || len(reply) != 1 || string(reply[0]) != "late" {
		t.Errorf("its reply elsewhere is %q, %v", reply, err)
	}
	job, wait = late()
	if _, err := all[1].Cancel(context.Background(), anyone, job.ID); err != nil {
		t.Fatal(err)
	}
	<-wait.Ctx.Done()
	wait.Done(gateway.Reply{}, gateway.Ended(wait.Ctx, true))
	if job := all[0].reach(job.ID, jobs.Canceled); job.Executed() != gateway.Maybe {
		t.Errorf("canceled elsewhere, it is executed: %s", job.Executed())
	}
	job, wait = late()
	all[0].die()
	all[1].reach(job.ID, jobs.Interrupted)
	go wait.Done(gateway.Reply{}, &gateway.Error{Kind: gateway.Interrupted}) // which it tries to store until it is closed
}
