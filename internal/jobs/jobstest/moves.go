package jobstest

import (
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

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

func keepsLate(t *testing.T, s jobs.Store) {
	store := s.(jobs.LateStore)
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
