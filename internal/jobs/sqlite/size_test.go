package sqlite

import (
	"testing"
	"time"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
)

// A job of 1 KiB takes not much more than that: what is not in the file is neither written, synced nor read again at
// the next start.
func TestSmallJobsTakeLittleRoom(t *testing.T) {
	t.Parallel()
	s := open(t, Config{})
	defer shut(t, s)
	const n = 200
	empty := s.Stats().Bytes
	for range n {
		if _, err := s.Submit(ctx, jobstest.New("echo"), [][]byte{make([]byte, 1<<10)}, jobs.Key{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := (s.Stats().Bytes - empty) / n; got > 2<<10 {
		t.Errorf("a job of 1 KiB takes %d bytes, want at most 2 KiB", got)
	}
}

// A file of before has its data in a table of another layout. It is used as it is.
func TestAFileOfBeforeIsUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shut(t, open(t, Config{Dir: dir}))
	db := raw(t, dir)
	if _, err := db.Exec(`DROP TABLE data; CREATE TABLE data (
		job INTEGER NOT NULL, kind INTEGER NOT NULL, part INTEGER NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL,
		PRIMARY KEY (job, kind, part, n)) WITHOUT ROWID`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is something to read
		s := open(t, Config{Dir: dir})
		job, now := jobstest.New("echo"), time.Now()
		if _, err := s.Submit(ctx, job, [][]byte{[]byte("a request")}, jobs.Key{}); err != nil {
			t.Fatal(err)
		}
		if frames, err := s.Request(ctx, job.ID); err != nil || len(frames) != 1 || string(frames[0]) != "a request" {
			t.Errorf("the request is %q, %v", frames, err)
		}
		if _, err := s.Move(ctx, jobs.Move{
			ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Done, At: now, KeepUntil: now.Add(time.Hour),
			Frames: [][]byte{make([]byte, 2*leastToStage)},
		}); err != nil {
			t.Fatal(err)
		}
		if frames, err := s.Reply(ctx, job.ID); err != nil || len(frames) != 1 || len(frames[0]) != 2*leastToStage {
			t.Errorf("the reply has %d frames, %v", len(frames), err)
		}
		shut(t, s)
	}
}
