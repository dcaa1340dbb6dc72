//go:build unix

package sqlite

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"os"
	osexec "os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
)

// killAt tells a process that is started by the test below in which table's deletion it is to kill itself.
const killAt = "MDPGATEWAY_TEST_KILL_AT"

// A process is killed inside a deletion: while it removes the messages, or between the idempotency key and the record.
// The job is there as it was, with its key, and can be deleted.
func TestADeletionThatIsKilledLeavesTheJobAndItsKey(t *testing.T) {
	if table := os.Getenv(killAt); table != "" {
		deleteAndDie(t, os.Getenv("DIR"), table)
	}
	t.Parallel()
	key, reply := jobs.Key{Text: "k", Digest: [32]byte{1}}, [][]byte{bytes.Repeat([]byte("y"), 3<<20)}
	for _, table := range []string{"data", "jobs"} {
		dir, job, now := t.TempDir(), jobstest.New("echo"), time.Now()
		s := open(t, Config{Dir: dir})
		if existing, err := s.Submit(ctx, job, [][]byte{[]byte("x")}, key); existing != nil || err != nil {
			t.Fatal(existing, err)
		}
		if _, err := s.Move(ctx, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Done, At: now, Frames: reply}); err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		process := osexec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		process.Env = append(os.Environ(), killAt+"="+table, "DIR="+dir)
		output, err := process.CombinedOutput()
		var exit *osexec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: the process was not killed: %v\n%s", table, err, output)
		}
		s = open(t, Config{Dir: dir})
		if found, err := s.Keyed(ctx, job.Owner, key); err != nil || found == nil || found.ID != job.ID || found.State != jobs.Done {
			t.Errorf("%s: the key stands for %+v, %v, want the job", table, found, err)
		}
		if frames, err := s.Reply(ctx, job.ID); err != nil || len(frames) != 1 || !bytes.Equal(frames[0], reply[0]) {
			t.Errorf("%s: the reply is %d frames, %v, want it whole", table, len(frames), err)
		}
		if err := s.Delete(ctx, job.ID); err != nil {
			t.Errorf("%s: the deletion again: %v", table, err)
		}
		if found, err := s.Keyed(ctx, job.Owner, key); err != nil || found != nil {
			t.Errorf("%s: the key stands for %+v, %v after the deletion, want nothing", table, found, err)
		}
		shut(t, s)
	}
}

// deleteAndDie deletes the job of a store, and has this process killed when a row of a table goes.
func deleteAndDie(t *testing.T, dir, table string) {
	s := open(t, Config{Dir: dir})
	conn, err := s.db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = conn.Raw(func(c any) error {
		c.(driver.Conn).(*sqlite3.SQLiteConn).RegisterUpdateHook(func(_ int, _, changed string, _ int64) {
			if changed == table {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		})
		return nil
	})
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	all, err := s.List(ctx, jobs.Filter{Any: true, Limit: 1})
	if err != nil || len(all) != 1 {
		t.Fatalf("the jobs are %v, %v", all, err)
	}
	t.Fatalf("it was not killed: %v", s.Delete(ctx, all[0].ID))
}
