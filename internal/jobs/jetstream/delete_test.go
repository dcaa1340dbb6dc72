package jetstream

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
	"mdpgateway/internal/jobs/natstest"
)

// A cut stream's store is gone once it has removed a message, as if its process were killed.
type cut struct {
	jetstream.Stream
	gone func()
}

func (c *cut) DeleteMsg(ctx context.Context, seq uint64) error {
	err := c.Stream.DeleteMsg(ctx, seq)
	c.gone()
	return err
}

// A gateway is killed after it has removed a job's idempotency key and before the record. The job is there as it was
// and can be deleted; the key is free, and stays with the job that takes it.
func deletionsCut(t *testing.T, c *natstest.Cluster) {
	for name, remove := range map[string]func(s *Store, id string) error{
		"delete": func(s *Store, id string) error { return s.Delete(context.Background(), id) },
		"forget": func(s *Store, _ string) error {
			_, err := s.Forget(context.Background(), time.Now().Add(2*time.Hour), 100)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); deletionCut(t, c, remove) })
	}
}

func deletionCut(t *testing.T, c *natstest.Cluster, remove func(s *Store, id string) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	prefix := newPrefix()
	killed, other := start(t, c, prefix, nil), start(t, c, prefix, nil)
	defer func() { _, _ = killed.Close(), other.Close() }()
	first, second, key := jobstest.New("echo"), jobstest.New("echo"), jobs.Key{Text: "k", Digest: [32]byte{1}}
	if existing, err := killed.Submit(ctx, first, [][]byte{nil}, key); existing != nil || err != nil {
		t.Fatal(existing, err)
	}
	move(t, killed, first.ID, jobs.Queued, jobs.Done, large)
	holder := func() string {
		found, err := other.Keyed(ctx, first.Owner, key)
		if err != nil {
			t.Fatal(err)
		}
		if found == nil {
			return ""
		}
		return found.ID
	}
	killed.stream = &cut{killed.stream, killed.nc.Close}
	if err := remove(killed, first.ID); err == nil || holder() != "" {
		t.Fatalf("the removal: %v; the key stands for %q: that proves nothing", err, holder())
	}
	if frames, err := other.Reply(ctx, first.ID); err != nil || len(frames) != 1 || !bytes.Equal(frames[0], large[0]) {
		t.Errorf("the reply is %d frames, %v, want it whole", len(frames), err)
	}
	if existing, err := other.Submit(ctx, second, [][]byte{nil}, key); existing != nil || err != nil || holder() != second.ID {
		t.Errorf("a submission with the key: %v, %v, and the key stands for %q; want the new job", existing, err, holder())
	}
	for { // what it forgets, its index says, which may lag behind
		if err := remove(other, first.ID); err != nil {
			t.Fatalf("the removal again: %v", err)
		}
		if _, err := other.Get(ctx, first.ID); errors.Is(err, jobs.ErrNotFound) {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("the job is not removed: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
	if left := pieces(t, other); len(left) > 0 || holder() != second.ID {
		t.Errorf("there is %v, and the key stands for %q; want no pieces and the job after it", left, holder())
	}
}
