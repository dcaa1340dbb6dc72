package jetstream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
	"mdpgateway/internal/jobs/natstest"
)

// pieces returns the subjects of all pieces of large messages.
func pieces(t *testing.T, s *Store) map[string]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var info *jetstream.StreamInfo
	if err := s.eventually(ctx, func() (err error) {
		info, err = s.stream.Info(ctx, jetstream.WithSubjectFilter(s.subject("d", ">")))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return info.State.Subjects
}

var large = [][]byte{make([]byte, 3<<20)}

func move(t *testing.T, s *Store, id string, from, to jobs.State, frames [][]byte) {
	t.Helper()
	m := jobs.Move{ID: id, From: []jobs.State{from}, To: to, At: time.Now(), Frames: frames, KeepUntil: time.Now().Add(time.Hour)}
	if _, err := s.Move(context.Background(), m); err != nil {
		t.Fatalf("from %s to %s: %v", from, to, err)
	}
}

// A gateway is killed after it has written some pieces of a reply: with the deletion of the job they are gone.
func piecesLeft(t *testing.T, c *natstest.Cluster) {
	prefix := newPrefix()
	killed, other := start(t, c, prefix, nil), start(t, c, prefix, nil)
	defer func() { _, _ = killed.Close(), other.Close() }()
	job := jobstest.Submit(t, killed, jobstest.New("echo"))
	move(t, killed, job.ID, jobs.Queued, jobs.Running, nil)
	if err := killed.putData(context.Background(), job.ID, "rLEFT", large, time.Hour); err != nil {
		t.Fatal(err)
	}
	killed.nc.Close()
	move(t, other, job.ID, jobs.Running, jobs.Interrupted, nil)
	if frames, err := other.Reply(context.Background(), job.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("a reply whose record was not written: %d frames, %v", len(frames), err)
	}
	if len(pieces(t, other)) == 0 {
		t.Error("nothing was left behind: that proves nothing")
	}
	if err := other.Delete(context.Background(), job.ID); err != nil {
		t.Fatal(err)
	}
	if left := pieces(t, other); len(left) > 0 {
		t.Errorf("after the deletion there is %v", left)
	}
}

// A reply and a request that find no room leave nothing behind, which would take what room there is.
func piecesInVain(t *testing.T, c *natstest.Cluster) {
	s := start(t, c, newPrefix(), func(c *Config) { c.MaxBytes = 2 << 20 })
	defer func() { _ = s.Close() }()
	job := jobstest.Submit(t, s, jobstest.New("echo"))
	move(t, s, job.ID, jobs.Queued, jobs.Running, nil)
	end := jobs.Move{ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Done, At: time.Now(), KeepUntil: time.Now().Add(time.Hour), Frames: large}
	if _, err := s.Move(context.Background(), end); !errors.Is(err, jobs.ErrFull) {
		t.Errorf("a reply without room: %v, want ErrFull", err)
	}
	s.cfg.MaxBytes = 1 << 30 // it takes the room for there
	if _, err := s.Submit(context.Background(), jobstest.New("echo"), large, jobs.Key{}); !errors.Is(err, jobs.ErrFull) {
		t.Errorf("a request without room: %v, want ErrFull", err)
	}
	if left := pieces(t, s); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
}

// What a gateway that was killed leaves behind has a time after which the servers drop it.
func piecesInTime(t *testing.T, c *natstest.Cluster) {
	s := start(t, c, newPrefix(), nil)
	defer func() { _ = s.Close() }()
	job := jobstest.New("echo")
	if _, err := s.Submit(context.Background(), job, large, jobs.Key{}); err != nil {
		t.Fatal(err)
	}
	move(t, s, job.ID, jobs.Queued, jobs.Running, nil)
	if err := s.AddParts(context.Background(), job.ID, [][][]byte{large}, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.putData(context.Background(), job.ID, "rSOON", large, time.Second); err != nil {
		t.Fatal(err)
	}
	soon := s.subject("d", job.ID, "rSOON", "0")
	for subject := range pieces(t, s) {
		m, err := s.last(context.Background(), subject)
		if errors.Is(err, jobs.ErrNotFound) {
			continue // it is dropped
		}
		if err != nil {
			t.Fatal(err)
		}
		ttl, err := time.ParseDuration(m.Header.Get(jetstream.MsgTTLHeader))
		if err != nil || ttl <= 0 || ttl > s.cfg.Keep+partsTime {
			t.Errorf("%s is kept for %v, %v", subject, ttl, err)
		}
	}
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		if _, err := s.last(context.Background(), soon); errors.Is(err, jobs.ErrNotFound) {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("a piece is kept beyond its time: %v", err)
		}
	}
}
