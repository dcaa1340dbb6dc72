// Package jobstest is what every jobs.Store promises, as tests.
package jobstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

// Races is how often a claim and a cancellation compete.
const Races = 1000

// Run holds a store to its promises. Open returns an empty one, which the test closes.
func Run(t *testing.T, open func(t *testing.T) jobs.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s jobs.Store)
	}{
		{"a job is kept as it was submitted", keeps},
		{"messages of every form come back", messages},
		{"a move is made from its states alone", moves},
		{"of a claim and a cancellation one wins", races},
		{"a key stands for one request of one owner", keys},
		{"a key that is used at once makes one job", keysAtOnce},
		{"parts are kept in their order while the job runs", parts},
		{"an interrupted job may still be done", late},
		{"a job that was sent before is kept as it runs", keepsLate},
		{"a list is the newest first", lists},
		{"what is over is forgotten in its time", forgets},
		{"what is not over is found again", opens},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			c.test(t, s)
			stats := s.Stats()
			for op, n := range stats.Errors {
				if n != 0 {
					t.Errorf("%s failed %d times", op, n)
				}
			}
			if !stats.Up || stats.Damaged != 0 {
				t.Errorf("the store is %+v, want it up and without damage", stats)
			}
		})
	}
}

var ctx = context.Background()

// New returns a job as submitted to a service.
func New(service string) *jobs.Job {
	now := time.Now().Round(0)
	return &jobs.Job{
		ID: jobs.NewID(service), Service: service, Owner: "web", Principal: "web-2026", Created: now, Expires: now.Add(time.Hour),
		Timeout: 30 * time.Minute, TimeoutBy: "--jobs-timeout", Form: "json", RequestID: "r1",
		Trace: gateway.Trace{ID: "4bf92f3577b34da6a3ce929d0e0e4736", Parent: "00f067aa0ba902b7", Sampled: true}, In: 5,
	}
}

// Submit submits a job with one frame.
func Submit(t *testing.T, s jobs.Store, job *jobs.Job) jobs.Job {
	t.Helper()
	if existing, err := s.Submit(ctx, job, frames("hello"), jobs.Key{}); err != nil || existing != nil {
		t.Fatalf("submit: got %v, %v, want no job and no error", existing, err)
	}
	return *job
}

func frames(texts ...string) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

func mustMove(t *testing.T, s jobs.Store, m jobs.Move) jobs.Job {
	t.Helper()
	job, err := s.Move(ctx, m)
	if err != nil {
		t.Fatalf("move of %s to %s: %v", m.ID, m.To, err)
	}
	return job
}

func claim(t *testing.T, s jobs.Store, id string) jobs.Job {
	t.Helper()
	return mustMove(t, s, jobs.Move{ID: id, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()})
}

func done(id string, reply ...string) jobs.Move {
	now := time.Now().Round(0)
	return jobs.Move{
		ID: id, From: []jobs.State{jobs.Running, jobs.Interrupted}, To: jobs.Done, At: now, KeepUntil: now.Add(time.Hour), Frames: frames(reply...),
	}
}

func keeps(t *testing.T, s jobs.Store) {
	first, second := Submit(t, s, New("echo")), Submit(t, s, New("echo"))
	if first.Seq >= second.Seq || first.State != jobs.Queued {
		t.Errorf("seq %d and %d, state %s: want them to grow, and queued", first.Seq, second.Seq, first.State)
	}
	got, err := s.Get(ctx, second.ID)
	for _, at := range []*time.Time{&got.Created, &got.Expires, &second.Created, &second.Expires} {
		*at = at.UTC()
	}
	if err != nil || !reflect.DeepEqual(got, second) {
		t.Errorf("got\n%+v, %v, want\n%+v", got, err, second)
	}
	if _, err := s.Get(ctx, jobs.NewID("echo")); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("a job that is not there: %v, want ErrNotFound", err)
	}
}

func messages(t *testing.T, s jobs.Store) {
	for name, message := range map[string][][]byte{
		"one":   frames("hello"),
		"none":  {},
		"empty": frames("", "", ""),
		"many":  slices.Repeat(frames("a", "", "\x00\xff"), 1000),
		"chunk": {bytes.Repeat([]byte("x"), jobs.ChunkSize)},
		"large": {bytes.Repeat([]byte("0123456789abcdef"), 5*jobs.ChunkSize/16), []byte("tail")},
	} {
		job := New("echo")
		if _, err := s.Submit(ctx, job, message, jobs.Key{}); err != nil {
			t.Fatal(err)
		}
		same := func(what string, got [][]byte, err error) {
			t.Helper()
			if err != nil || !slices.EqualFunc(got, message, bytes.Equal) {
				t.Errorf("%s, %s: %d frames and %v, want the %d that were given", name, what, len(got), err, len(message))
			}
		}
		got, err := s.Request(ctx, job.ID)
		same("request", got, err)
		claim(t, s, job.ID)
		if err := s.AddParts(ctx, job.ID, [][][]byte{message}, 7); err != nil {
			t.Fatal(err)
		}
		move := done(job.ID)
		move.Frames = message
		mustMove(t, s, move)
		got, err = s.Reply(ctx, job.ID)
		same("reply", got, err)
		all, err := s.Parts(ctx, job.ID, 0, 1)
		if len(all) != 1 {
			t.Fatalf("%s: %d parts, %v, want 1", name, len(all), err)
		}
		same("part", all[0], err)
		if _, err := s.Request(ctx, job.ID); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("%s: the request of a job that is over: %v, want it to be gone", name, err)
		}
	}
}

func moves(t *testing.T, s jobs.Store) {
	job := Submit(t, s, New("echo"))
	started := claim(t, s, job.ID)
	if started.State != jobs.Running || started.Started.IsZero() || started.Revision <= job.Revision {
		t.Errorf("claimed: %+v, want it running, with a start and a higher revision than %d", started, job.Revision)
	}
	at, err := s.Move(ctx, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()})
	if !errors.Is(err, jobs.ErrState) || at.State != jobs.Running {
		t.Errorf("a second claim: %s, %v, want running and ErrState", at.State, err)
	}
	back := mustMove(t, s, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Queued})
	if back.State != jobs.Queued || !back.Started.IsZero() {
		t.Errorf("put back: %+v, want it queued and not started", back)
	}
	if got, err := s.Request(ctx, job.ID); err != nil || len(got) != 1 {
		t.Errorf("the request of a job that was put back: %q, %v", got, err)
	}
	claim(t, s, job.ID)
	now := time.Now().Round(0)
	problem := &gateway.Error{Kind: gateway.WorkerError, Reason: "no_frame", Detail: "none", Status: 422}
	move := jobs.Move{
		ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Failed, At: now, KeepUntil: now.Add(time.Hour),
		Problem: problem, Frames: frames("why"), Bytes: 3,
	}
	mustMove(t, s, move)
	got, err := s.Get(ctx, job.ID)
	if err != nil || !reflect.DeepEqual(got.Problem, problem) || !got.Ended.Equal(now) || !got.KeepUntil.Equal(move.KeepUntil) || got.Bytes != 3 {
		t.Errorf("failed: %+v with %+v, %v, want the problem, times and bytes of the move", got, got.Problem, err)
	}
	if _, err := s.Move(ctx, done(job.ID)); !errors.Is(err, jobs.ErrState) {
		t.Errorf("a reply after the end: %v, want ErrState", err)
	}
	if reply, err := s.Reply(ctx, job.ID); err != nil || len(reply) != 1 || string(reply[0]) != "why" {
		t.Errorf("the reply is %q, %v, want that of the end that counts", reply, err)
	}
	if _, err := s.Move(ctx, done(jobs.NewID("echo"))); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("a move of nothing: %v, want ErrNotFound", err)
	}
}

func races(t *testing.T, s jobs.Store) {
	var claimed, canceled atomic.Int64
	var all sync.WaitGroup
	places := make(chan struct{}, 64)
	for range Races {
		all.Add(1)
		places <- struct{}{}
		go func() {
			defer func() { <-places; all.Done() }()
			job := New("echo")
			if _, err := s.Submit(ctx, job, frames("hello"), jobs.Key{}); err != nil {
				t.Error(err)
				return
			}
			var won atomic.Int64
			var both sync.WaitGroup
			for to, count := range map[jobs.State]*atomic.Int64{jobs.Running: &claimed, jobs.Canceled: &canceled} {
				both.Go(func() {
					got, err := s.Move(ctx, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: to, At: time.Now()})
					switch {
					case err == nil && got.State == to:
						won.Add(1)
						count.Add(1)
					case !errors.Is(err, jobs.ErrState):
						t.Errorf("move to %s: %s, %v", to, got.State, err)
					}
				})
			}
			both.Wait()
			if n := won.Load(); n != 1 {
				t.Errorf("%d of the two moves were made, want 1", n)
			}
		}()
	}
	all.Wait()
	if claimed.Load() == 0 || canceled.Load() == 0 {
		t.Errorf("%d claims and %d cancellations won: the races were none", claimed.Load(), canceled.Load())
	}
}

func key(text, request string) jobs.Key {
	return jobs.Key{Text: text, Digest: sha256.Sum256([]byte(request))}
}

func keys(t *testing.T, s jobs.Store) {
	submit := func(owner string, k jobs.Key) (*jobs.Job, *jobs.Job, error) {
		job := New("echo")
		job.Owner = owner
		existing, err := s.Submit(ctx, job, frames("hello"), k)
		return job, existing, err
	}
	first, existing, err := submit("web", key("k", "a"))
	if existing != nil || err != nil {
		t.Fatalf("the first: %v, %v", existing, err)
	}
	if _, existing, err := submit("web", key("k", "a")); err != nil || existing == nil || existing.ID != first.ID {
		t.Errorf("the same again: %v, %v, want the first", existing, err)
	}
	if _, existing, err := submit("web", key("k", "b")); !errors.Is(err, jobs.ErrMismatch) {
		t.Errorf("another request: %v, %v, want ErrMismatch", existing, err)
	}
	if _, existing, err := submit("lab", key("k", "b")); existing != nil || err != nil {
		t.Errorf("another owner's: %v, %v, want a job of its own", existing, err)
	}
	if err := s.Delete(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	if _, existing, err := submit("web", key("k", "b")); existing != nil || err != nil {
		t.Errorf("after the job was deleted: %v, %v, want the key to be free", existing, err)
	}
}

func keysAtOnce(t *testing.T, s jobs.Store) {
	var made, found atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			existing, err := s.Submit(ctx, New("echo"), frames("hello"), key("k", "a"))
			switch {
			case err != nil:
				t.Error(err)
			case existing == nil:
				made.Add(1)
			default:
				found.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 || found.Load() != 31 {
		t.Errorf("%d jobs were made and %d found, want 1 and 31", made.Load(), found.Load())
	}
}

func parts(t *testing.T, s jobs.Store) {
	job := Submit(t, s, New("echo"))
	if err := s.AddParts(ctx, job.ID, [][][]byte{frames("0")}, 1); !errors.Is(err, jobs.ErrState) {
		t.Errorf("a part of a queued job: %v, want ErrState", err)
	}
	claim(t, s, job.ID)
	for i := range 10 {
		pair := [][][]byte{frames(fmt.Sprint(2 * i)), frames(fmt.Sprint(2*i+1), "more")}
		if err := s.AddParts(ctx, job.ID, pair, 10); err != nil {
			t.Fatal(err)
		}
	}
	for from := range 20 {
		got, err := s.Parts(ctx, job.ID, from, 8)
		if err != nil || len(got) == 0 || string(got[0][0]) != fmt.Sprint(from) || len(got) > 9 {
			t.Errorf("parts from %d: %q, %v", from, got, err)
		}
	}
	if got, err := s.Parts(ctx, job.ID, 20, 8); len(got) != 0 || err != nil {
		t.Errorf("parts behind the last: %q, %v, want none", got, err)
	}
	ended := mustMove(t, s, done(job.ID, "end"))
	if ended.Parts != 20 || ended.Bytes != 100 {
		t.Errorf("the job has %d parts and %d bytes, want 20 and 100", ended.Parts, ended.Bytes)
	}
	if err := s.AddParts(ctx, job.ID, [][][]byte{frames("20")}, 1); !errors.Is(err, jobs.ErrState) {
		t.Errorf("a part after the end: %v, want ErrState", err)
	}
}

func late(t *testing.T, s jobs.Store) {
	job := Submit(t, s, New("echo"))
	claim(t, s, job.ID)
	mustMove(t, s, jobs.Move{
		ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Interrupted, At: time.Now(), KeepUntil: time.Now().Add(time.Hour),
		Problem: &gateway.Error{Kind: gateway.Interrupted},
	})
	if got := mustMove(t, s, done(job.ID, "after all")); got.State != jobs.Done || got.Problem != nil {
		t.Errorf("got %s and %v, want done without a problem", got.State, got.Problem)
	}
}

// keepsLate is for stores that are a jobs.LateStore.
func keepsLate(t *testing.T, s jobs.Store) {
	store, ok := s.(jobs.LateStore)
	if !ok {
		t.Skip("this store does not")
	}
	job := New("echo")
	job.Started = job.Created.Add(time.Second)
	if err := store.SubmitRunning(ctx, job); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(ctx, job.ID)
	if err != nil || got.State != jobs.Running || !got.Started.Equal(job.Started) || got.Form != job.Form || got.Seq == 0 {
		t.Errorf("got %+v, %v, want it running", got, err)
	}
	var open []jobs.State
	if err := s.Open(ctx, func(job jobs.Job) error { open = append(open, job.State); return nil }); err != nil || !slices.Equal(open, []jobs.State{jobs.Running}) {
		t.Errorf("not over are %v, %v, want one that runs", open, err)
	}
	if _, err := s.Move(ctx, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()}); !errors.Is(err, jobs.ErrState) {
		t.Errorf("a claim: %v, want that it is in another state: it must not be sent again", err)
	}
	if got := mustMove(t, s, done(job.ID, "late")); got.State != jobs.Done {
		t.Errorf("got %s, want done", got.State)
	}
}

func lists(t *testing.T, s jobs.Store) {
	var want []string
	for i := range 6 {
		job := New([]string{"echo", "fm"}[i%2])
		if i == 5 {
			job.Owner = "lab"
		}
		Submit(t, s, job)
		want = append(want, job.ID)
	}
	claim(t, s, want[2])
	list := func(f jobs.Filter) (ids []string, last int64) {
		t.Helper()
		if f.Limit == 0 {
			f.Limit = 100
		}
		all, err := s.List(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range all {
			ids, last = append(ids, job.ID), job.Seq
		}
		return ids, last
	}
	pick := func(indices ...int) (ids []string) {
		for _, i := range indices {
			ids = append(ids, want[i])
		}
		return ids
	}
	page, cursor := list(jobs.Filter{Owner: "web", Limit: 2})
	rest, _ := list(jobs.Filter{Owner: "web", Before: cursor})
	running, _ := list(jobs.Filter{Owner: "web", State: jobs.Running})
	fm, _ := list(jobs.Filter{Owner: "web", Service: "fm"})
	all, _ := list(jobs.Filter{Any: true})
	for i, c := range [][2][]string{
		{page, pick(4, 3)}, {rest, pick(2, 1, 0)}, {running, pick(2)}, {fm, pick(3, 1)}, {all, pick(5, 4, 3, 2, 1, 0)},
	} {
		if !slices.Equal(c[0], c[1]) {
			t.Errorf("list %d: got %q, want %q", i, c[0], c[1])
		}
	}
}

func forgets(t *testing.T, s jobs.Store) {
	job, open := Submit(t, s, New("echo")), Submit(t, s, New("echo"))
	claim(t, s, job.ID)
	move := done(job.ID, "reply")
	mustMove(t, s, move)
	for _, c := range []struct {
		now  time.Time
		want int
	}{{move.KeepUntil.Add(-time.Second), 0}, {move.KeepUntil, 1}, {move.KeepUntil.Add(time.Hour), 0}} {
		if n, err := s.Forget(ctx, c.now, 10); n != c.want || err != nil {
			t.Errorf("forget: %d, %v, want %d", n, err, c.want)
		}
	}
	if _, err := s.Reply(ctx, job.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("the reply of a forgotten job: %v, want ErrNotFound", err)
	}
	if err := s.Delete(ctx, open.ID); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := s.Delete(ctx, open.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("delete again: %v, want ErrNotFound", err)
	}
	if _, err := s.Request(ctx, open.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("the request of a deleted job: %v, want ErrNotFound", err)
	}
}

func opens(t *testing.T, s jobs.Store) {
	var want []string
	for range 5 {
		want = append(want, Submit(t, s, New("echo")).ID)
	}
	claim(t, s, want[1])
	claim(t, s, want[3])
	mustMove(t, s, done(want[3]))
	running := want[1]
	want = slices.Delete(want, 3, 4)
	var got []string
	err := s.Open(ctx, func(job jobs.Job) error {
		got = append(got, job.ID)
		if (job.State == jobs.Running) != (job.ID == running) {
			t.Errorf("a job is %s", job.State)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
