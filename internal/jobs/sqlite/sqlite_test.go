package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shut(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAStoreInAFileKeepsItsPromises(t *testing.T) {
	t.Parallel()
	jobstest.Run(t, func(t *testing.T) jobs.Store { return open(t, Config{Dir: t.TempDir()}) })
}

func TestAStoreInMemoryKeepsItsPromises(t *testing.T) {
	t.Parallel()
	jobstest.Run(t, func(t *testing.T) jobs.Store { return open(t, Config{}) })
}

var ctx = context.Background()

// raw opens a file as nobody but a test does.
func raw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func exec(t *testing.T, dir, statement string, args ...any) {
	t.Helper()
	db := raw(t, dir)
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

func TestJobsSurviveTheEndOfTheProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "jobs")
	s := open(t, Config{Dir: dir})
	queued, running := jobstest.Submit(t, s, jobstest.New("echo")), jobstest.Submit(t, s, jobstest.New("echo"))
	if _, err := s.Move(ctx, jobs.Move{ID: running.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, fileName: 0o600, fileName + "-wal": 0o600, lockName: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v, want mode %o", name, info.Mode(), err, want)
		}
	}
	if _, err := New(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("a second store: %v, want it to say that the directory is locked", err)
	}
	shut(t, s)
	s = open(t, Config{Dir: dir})
	defer shut(t, s)
	for id, want := range map[string]jobs.State{queued.ID: jobs.Queued, running.ID: jobs.Running} {
		if job, err := s.Get(ctx, id); err != nil || job.State != want {
			t.Errorf("after a restart: %s, %v, want %s", job.State, err, want)
		}
	}
	if next := jobstest.Submit(t, s, jobstest.New("echo")); next.Seq <= running.Seq {
		t.Errorf("seq is %d after %d", next.Seq, running.Seq)
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "auto_vacuum": "2"} {
		var got string
		if err := s.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", pragma, got, err, want)
		}
	}
}

func TestAFileOfALaterVersionIsNotOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shut(t, open(t, Config{Dir: dir}))
	exec(t, dir, "PRAGMA user_version = 2")
	if _, err := New(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "later gateway") {
		t.Errorf("got %v, want it to name the later version", err)
	}
}

func TestARecordOfALaterVersionIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	job := jobstest.Submit(t, s, jobstest.New("echo"))
	shut(t, s)
	exec(t, dir, "UPDATE jobs SET version = 2, keep_until = 1")
	s = open(t, Config{Dir: dir})
	defer shut(t, s)
	if _, err := s.Get(ctx, job.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("get: %v, want ErrNotFound", err)
	}
	if _, err := s.Move(ctx, jobs.Move{ID: job.ID, From: jobs.States(), To: jobs.Canceled}); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("move: %v, want ErrNotFound", err)
	}
	if err := s.Open(ctx, func(job jobs.Job) error { return fmt.Errorf("it is opened as %s", job.State) }); err != nil {
		t.Error(err)
	}
	if n, err := s.Forget(ctx, time.Now(), 10); n != 0 || err != nil {
		t.Errorf("forget: %d, %v, want 0", n, err)
	}
	var state string
	if err := s.db.QueryRow("SELECT state FROM jobs").Scan(&state); err != nil || state != "queued" {
		t.Errorf("the record is %s, %v, want it as it was", state, err)
	}
}

func TestDamagedDataIsSetAsideAndCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	bad, good := jobstest.Submit(t, s, jobstest.New("echo")), jobstest.Submit(t, s, jobstest.New("echo"))
	shut(t, s)
	exec(t, dir, "UPDATE data SET bytes = cast(replace(bytes, 'hello', 'hellO') AS BLOB) WHERE job = ?", bad.Seq)
	s = open(t, Config{Dir: dir})
	defer shut(t, s)
	if frames, err := s.Request(ctx, bad.ID); !errors.Is(err, jobs.ErrDamaged) {
		t.Errorf("got %q, %v, want ErrDamaged", frames, err)
	}
	if frames, err := s.Request(ctx, good.ID); err != nil || string(frames[0]) != "hello" {
		t.Errorf("the other job's: %q, %v", frames, err)
	}
	if stats := s.Stats(); stats.Damaged != 1 || !stats.Up {
		t.Errorf("the store is %+v, want it up with one damaged", stats)
	}
}

// A page of the file that can't be read costs what is on it.
func TestATornFileLosesOnlyWhatIsTorn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	const all = 400
	for range all {
		jobstest.Submit(t, s, jobstest.New("echo"))
	}
	shut(t, s)
	path := filepath.Join(dir, fileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := leaf(content)
	copy(content[page:page+pageSize], bytes.Repeat([]byte{0x5a}, pageSize))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	defer shut(t, s)
	found := 0
	if err := s.Open(ctx, func(jobs.Job) error { found++; return nil }); err != nil {
		t.Error(err)
	}
	if found < all/2 || found >= all || s.Stats().Damaged == 0 {
		t.Errorf("%d of %d jobs are found, %d are damaged: want most, and at least 1", found, all, s.Stats().Damaged)
	}
}

// leaf returns where a page begins that is a leaf of a table (its first byte is 13) in the middle of the records.
func leaf(content []byte) int {
	var leaves []int
	for at := 0; at < len(content); at += pageSize {
		if content[at] == 13 && bytes.Contains(content[at:at+pageSize], []byte("4bf92f3577b34da6")) {
			leaves = append(leaves, at)
		}
	}
	return leaves[len(leaves)/2]
}

func TestTheLastRoomIsForReplies(t *testing.T) {
	t.Parallel()
	const room = 4 << 20
	s := open(t, Config{Dir: t.TempDir(), MaxBytes: room})
	defer shut(t, s)
	body := [][]byte{bytes.Repeat([]byte("x"), 100<<10)}
	var all []*jobs.Job
	for {
		job := jobstest.New("echo")
		_, err := s.Submit(ctx, job, body, jobs.Key{})
		if errors.Is(err, jobs.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, job)
	}
	if n := len(all); n < 12 || n > 20 {
		t.Errorf("%d jobs of 100 KiB were taken, want half of 4 MiB", n)
	}
	reply := [][]byte{bytes.Repeat([]byte("y"), 400<<10)}
	run, full := 0, false
	for _, job := range all {
		if _, err := s.Move(ctx, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()}); err != nil {
			full = errors.Is(err, jobs.ErrFull)
			break
		}
		run++
		if _, err := s.Move(ctx, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Done, At: time.Now(), Frames: reply}); err != nil {
			t.Fatalf("the reply of a job that ran: %v", err)
		}
	}
	if run < 2 || !full {
		t.Errorf("%d jobs ran, then the store was full: %v; want some, and a refusal of the next claim", run, full)
	}
	if stats := s.Stats(); stats.Bytes > stats.Max || !stats.Up {
		t.Errorf("the store is %+v, want it up and within its bound", stats)
	}
	for _, job := range all {
		if err := s.Delete(ctx, job.ID); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := s.Forget(ctx, time.Now(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if stats := s.Stats(); stats.Bytes > room/8 {
		t.Errorf("%d bytes are in use of an empty store", stats.Bytes)
	}
	var pages int64
	if err := s.db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil || pages*pageSize > room/4 {
		t.Errorf("the file has %d pages, %v, want the room back on the disk", pages, err)
	}
}

func TestAReplyThatFindsNoRoomIsToldSo(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir(), MaxBytes: 2 << 20})
	defer shut(t, s)
	job := jobstest.Submit(t, s, jobstest.New("echo"))
	if _, err := s.Move(ctx, jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	end := jobs.Move{ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Done, At: time.Now()}
	for _, size := range []int{900 << 10, 3 << 20} { // in one piece, and staged
		end.Frames = [][]byte{make([]byte, size), make([]byte, 2<<20)}
		if _, err := s.Move(ctx, end); !errors.Is(err, jobs.ErrFull) {
			t.Errorf("a reply of %d bytes: %v, want ErrFull", size, err)
		}
	}
	if got, err := s.Get(ctx, job.ID); err != nil || got.State != jobs.Running {
		t.Errorf("the job is %s, %v, want it as it was", got.State, err)
	}
	if !s.Stats().Up {
		t.Error("the store is down, want it up: its bound is full, not its disk")
	}
	end.To, end.Frames, end.Problem = jobs.Failed, nil, &gateway.Error{Kind: gateway.ReplyTooLarge}
	if _, err := s.Move(ctx, end); err != nil {
		t.Errorf("an end without reply: %v", err)
	}
}

// What was begun and not completed, as by a process that was killed, is removed at the next start.
func TestWhatWasNotCompletedIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	job := jobstest.Submit(t, s, jobstest.New("echo"))
	large := [][]byte{make([]byte, 2*leastToStage)}
	for _, m := range []struct {
		seq  int64
		kind int
	}{{job.Seq, replyKind}, {job.Seq + 1, requestKind}} {
		if staged, err := s.stage(ctx, m.seq, replaced{m.kind, 0, large}); err != nil || !staged {
			t.Fatalf("staged %v, %v", staged, err)
		}
	}
	s.seq.Add(1)
	jobstest.Submit(t, s, jobstest.New("echo")) // after the one that was begun
	shut(t, s)
	s = open(t, Config{Dir: dir})
	defer shut(t, s)
	var rows int
	if err := s.db.QueryRow("SELECT count(*) FROM data").Scan(&rows); err != nil || rows != 2 {
		t.Errorf("%d rows of messages, %v, want those of the two requests", rows, err)
	}
}

// A write that nobody has begun is withdrawn when its time is up, and is certain not to be made.
func TestAWriteThatWaitsTooLongIsWithdrawn(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	defer shut(t, s)
	begun, end := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.write(ctx, "test", func(*sql.Tx) error { close(begun); <-end; return nil })
	}()
	<-begun
	short, cancel := context.WithCancel(ctx)
	cancel()
	job := jobstest.New("echo")
	if _, err := s.Submit(short, job, [][]byte{{1}}, jobs.Key{}); err == nil || errors.Is(err, jobs.ErrUnconfirmed) {
		t.Errorf("submit: %v, want a certain error", err)
	}
	close(end)
	jobstest.Submit(t, s, jobstest.New("echo")) // which comes after it
	if _, err := s.Get(ctx, job.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("the withdrawn job: %v, want ErrNotFound", err)
	}
	if s.Stats().Errors["submit"] != 1 {
		t.Errorf("errors are %v, want one of submit", s.Stats().Errors)
	}
}
