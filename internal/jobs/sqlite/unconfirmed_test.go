package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
)

// A large submission that is not waited for to its end may be stored all the same. It is whole then: whoever asks again
// with the same idempotency key is told that it is accepted.
func TestALargeSubmissionThatIsUnconfirmedKeepsItsMessage(t *testing.T) {
	t.Parallel()
	frames, pieces := [][]byte{make([]byte, 2*leastToStage)}, 0
	for range jobs.Chunks(frames, jobs.ChunkSize) {
		pieces++
	}
	var s *Store
	// The writer is held twice: until the submission waits behind the second, and until its caller has gone.
	began, release := [2]chan struct{}{}, [2]chan struct{}{}
	hold := func(i int) {
		began[i], release[i] = make(chan struct{}), make(chan struct{})
		go func() {
			_ = s.write(ctx, "part", func(*sql.Tx) error { close(began[i]); <-release[i]; return nil })
		}()
	}
	waiting := func(n int) bool { return len(s.writes) == n }
	held := make(chan struct{})
	s = open(t, Config{Observe: func(op string, _ time.Duration, _ bool) {
		if op != "stage" {
			return
		}
		if pieces--; pieces == 0 { // its record is next
			hold(0)
			<-began[0]
			hold(1)
			eventually(t, func() bool { return waiting(1) })
			close(held)
		}
	}})
	defer shut(t, s)

	caller, leave := context.WithCancel(ctx)
	defer leave()
	job, told := jobstest.New("echo"), make(chan error, 1)
	go func() {
		_, err := s.Submit(caller, job, frames, jobs.Key{Text: "once"})
		told <- err
	}()
	<-held
	eventually(t, func() bool { return waiting(2) })
	close(release[0])
	<-began[1]
	leave()
	eventually(t, func() bool { return len(told) == 1 || waiting(1) }) // it has seen that, whatever it does about it
	close(release[1])
	if err := <-told; !errors.Is(err, jobs.ErrUnconfirmed) {
		t.Fatalf("the submission: %v, want that it is unconfirmed", err)
	}
	eventually(t, func() bool { _, err := s.Get(ctx, job.ID); return err == nil })
	if got, err := s.Request(ctx, job.ID); err != nil || len(got) != 1 || len(got[0]) != len(frames[0]) {
		t.Errorf("the message of the job: %d frames, %v, want the one that was sent", len(got), err)
	}
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for start := time.Now(); !is(); <-ticker.C {
		if time.Since(start) > 30*time.Second {
			t.Error("it does not come about")
			return
		}
	}
}
