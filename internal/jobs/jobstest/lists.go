package jobstest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"mdpgateway/internal/jobs"
)

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

func interrupts(t *testing.T, s jobs.Store) {
	now := time.Now().Round(0)
	want := func(want map[string]jobs.Kept) {
		t.Helper()
		got, err := s.Interrupted(ctx)
		if err != nil || !maps.EqualFunc(got, want, func(a, b jobs.Kept) bool { return a.Count == b.Count && a.Last.Equal(b.Last) }) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	want(nil)
	var ids []string
	for i, service := range []string{"echo", "fm", "echo"} {
		job := Submit(t, s, New(service))
		claim(t, s, job.ID)
		at := now.Add(time.Duration(i) * time.Second)
		mustMove(t, s, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Interrupted, At: at, KeepUntil: at.Add(time.Hour)})
		ids = append(ids, job.ID)
	}
	Submit(t, s, New("echo"))
	want(map[string]jobs.Kept{"echo": {Count: 2, Last: now.Add(2 * time.Second)}, "fm": {Count: 1, Last: now.Add(time.Second)}})
	mustMove(t, s, done(ids[2], "after all"))
	if err := s.Delete(ctx, ids[1]); err != nil {
		t.Fatal(err)
	}
	want(map[string]jobs.Kept{"echo": {Count: 1, Last: now}})
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

// leaves reads for a caller who has left. Run then wants the store to be up, and no operation to have failed.
func leaves(t *testing.T, s jobs.Store) {
	job := Submit(t, s, New("echo"))
	left, leave := context.WithCancel(ctx)
	leave()
	_, got := s.Get(left, job.ID)
	_, listed := s.List(left, jobs.Filter{Any: true, Limit: 1})
	_, requested := s.Request(left, job.ID)
	_, parted := s.Parts(left, job.ID, 0, 1)
	for op, err := range map[string]error{"get": got, "list": listed, "request": requested, "parts": parted} {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want nothing or %v", op, err, context.Canceled)
		}
	}
}
