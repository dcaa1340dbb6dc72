package jobs_test

import (
	"context"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/sqlite"
)

// afterWrite is a store that calls a function between the write of a job that runs and its confirmation.
type afterWrite struct {
	jobs.Store
	wrote func(id string)
}

func (s *afterWrite) Move(ctx context.Context, move jobs.Move) (jobs.Job, error) {
	job, err := s.Store.Move(ctx, move)
	if err == nil && move.To == jobs.Running {
		s.wrote(job.ID)
	}
	return job, err
}

func (s *afterWrite) SubmitRunning(ctx context.Context, job *jobs.Job) error {
	err := s.Store.(jobs.LateStore).SubmitRunning(ctx, job)
	if err == nil {
		s.wrote(job.ID)
	}
	return err
}

// startCanceling starts a bench whose first job that runs is canceled right after that was written.
func startCanceling(t *testing.T, c *caller, change func(*jobs.Config)) *bench {
	t.Helper()
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &afterWrite{Store: store}
	b := startOver(t, s, c, change)
	canceled := false
	s.wrote = func(id string) {
		if canceled {
			return
		}
		canceled = true
		if _, err := b.Cancel(ctx, anyone, id); err != nil {
			t.Errorf("cancel: %v", err)
		}
	}
	return b
}

func TestAJobThatIsCanceledWhileItIsClaimedIsNotSent(t *testing.T) {
	t.Parallel()
	worker, arrived, answer := held()
	b := startCanceling(t, &caller{worker: worker}, func(c *jobs.Config) { c.InFlight = 1 })
	first, next := b.submit("echo", "canceled"), b.submit("echo", "next")
	if call := <-arrived; string(call.Frames[0]) != "next" {
		t.Fatalf("the worker got the job that is %s, want the next one", call.Frames[0])
	}
	answer <- nil
	b.reach(next.ID, jobs.Done)
	if job := b.reach(first.ID, jobs.Canceled); job.Executed() != gateway.Maybe {
		t.Errorf("the canceled job is executed: %s", job.Executed())
	}
	if s := b.Stats(); len(s.Services) != 0 {
		t.Errorf("what is over is still counted: %+v", s.Services)
	}
}

func TestALateReplyThatIsCanceledWhileItIsStoredIsNotAwaited(t *testing.T) {
	t.Parallel()
	b := startCanceling(t, &caller{worker: echo}, nil)
	job, wait, ok := b.Late(jobs.LateCall{Job: jobs.Job{Service: "echo", Created: time.Now()}}, 100)
	if !ok {
		t.Fatal("no job was made of the call")
	}
	if wait.Ctx.Err() == nil {
		t.Error("the reply to a canceled job is awaited")
	}
	wait.Done(gateway.Reply{}, gateway.Ended(wait.Ctx, true))
	b.reach(job.ID, jobs.Canceled)
}

// A job that is canceled while it is claimed leaves the queue once: as many jobs may be queued as before.
func TestAJobThatIsCanceledWhileItIsClaimedIsCountedOnce(t *testing.T) {
	t.Parallel()
	worker, arrived, answer := held()
	b := startCanceling(t, &caller{worker: worker}, func(c *jobs.Config) { c.InFlight, c.Max = 1, 2 })
	b.submit("echo", "canceled")
	running := b.submit("echo", "running")
	<-arrived // it has its place from the canceled one
	b.submit("echo", "queued")
	last := b.submit("echo", "queued, the last")
	if _, err := b.try("echo", "one too many"); gateway.AsError(err).Reason != gateway.ReasonJobs {
		t.Errorf("a third queued job: got %v, want busy, since two may be", err)
	}
	for range 3 {
		answer <- nil
	}
	b.reach(running.ID, jobs.Done)
	b.reach(last.ID, jobs.Done)
}
