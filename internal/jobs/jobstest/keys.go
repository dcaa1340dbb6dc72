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

// keysFound are looked for where there is no room for another job.
func keysFound(t *testing.T, s jobs.Store) {
	store := s.(jobs.KeyStore)
	if got, err := store.Keyed(ctx, "web", key("k", "a")); got != nil || err != nil {
		t.Errorf("before it is used: %v, %v, want no job", got, err)
	}
	job := New("echo")
	if existing, err := s.Submit(ctx, job, frames("hello"), key("k", "a")); existing != nil || err != nil {
		t.Fatalf("submit: %v, %v", existing, err)
	}
	claim(t, s, job.ID)
	for _, c := range []struct {
		owner string
		key   jobs.Key
		id    string
		err   error
	}{
		{"web", key("k", "a"), job.ID, nil}, {"web", key("k", "b"), "", jobs.ErrMismatch}, {"lab", key("k", "a"), "", nil},
	} {
		got, err := store.Keyed(ctx, c.owner, c.key)
		if !errors.Is(err, c.err) || (got != nil) != (c.id != "") || got != nil && (got.ID != c.id || got.State != jobs.Running) {
			t.Errorf("%s's key: %+v, %v, want the job %q and %v", c.owner, got, err, c.id, c.err)
		}
	}
	if err := s.Delete(ctx, job.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Keyed(ctx, "web", key("k", "a")); got != nil || err != nil {
		t.Errorf("after its job was deleted: %v, %v, want no job", got, err)
	}
}
