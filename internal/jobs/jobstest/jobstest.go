// Package jobstest is what every jobs.Store promises, as tests.
package jobstest

import (
	"context"
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
		{"a key is found without a submission", keysFound},
		{"parts are kept in their order while the job runs", parts},
		{"an interrupted job may still be done", late},
		{"a job that was sent before is kept as it runs", keepsLate},
		{"a list is the newest first", lists},
		{"what is interrupted is counted while it is kept", interrupts},
		{"what is over is forgotten in its time", forgets},
		{"what is not over is found again", opens},
		{"a reader who leaves is no failure of the store", leaves},
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
