package jobstest

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"mdpgateway/internal/jobs"
)

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
