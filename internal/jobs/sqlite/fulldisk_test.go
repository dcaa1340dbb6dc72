//go:build linux

package sqlite

import (
	"errors"
	"testing"
	"time"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
)

// A store whose disk is full is down, also while nothing that is done needs the disk or small writes find some room in
// the file. It is up once there is room.
func TestAStoreOnAFullDiskIsDown(t *testing.T) {
	t.Parallel()
	disk := jobstest.SmallDisk(t, 16)
	s := open(t, Config{Dir: disk})
	defer shut(t, s)
	kept := jobstest.Submit(t, s, jobstest.New("echo"))
	empty := jobstest.Fill(t, disk)
	submit := func(size int) error {
		_, err := s.Submit(ctx, jobstest.New("echo"), [][]byte{make([]byte, size)}, jobs.Key{})
		return err
	}
	for _, size := range []int{3 << 20, 100 << 10} { // in pieces, and whole
		for err := error(nil); !errors.Is(err, jobs.ErrFull); err = submit(size) {
			if err != nil {
				t.Fatalf("a submission to a full disk: %v, want ErrFull", err)
			}
		}
		if s.Stats().Up {
			t.Errorf("the store is up although %d bytes found no room", size)
		}
	}
	for what, use := range map[string]func() error{
		"a read":           func() error { _, err := s.Get(ctx, kept.ID); return err },
		"nothing to write": func() error { _, err := s.Forget(ctx, time.Now(), 1); return err },
	} {
		if err := use(); err != nil || s.Stats().Up {
			t.Errorf("%s: %v, up is %v, want the store down", what, err, s.Stats().Up)
		}
	}
	_ = submit(1) // it may find a place in the file
	if s.Stats().Up {
		t.Error("a small submission made the store seem to be up")
	}
	empty()
	if _, err := s.Forget(ctx, time.Now(), 1); err != nil || !s.Stats().Up {
		t.Errorf("there is room again: %v, %+v, want the store up", err, s.Stats())
	}
	if err := submit(3 << 20); err != nil {
		t.Errorf("a submission once there is room: %v", err)
	}
	var rows int
	if err := s.db.QueryRow("SELECT count(*) FROM data WHERE job = ?", triedJob).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows of attempts are left, %v", rows, err)
	}
}
