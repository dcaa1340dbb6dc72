//go:build linux

package zsock_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdpgateway/internal/mdp/internal/zsock"
)

// The I/O thread runs under SCHED_BATCH unless the process was given a policy of its own.
func TestTheIOThreadLetsItsWakerFinish(t *testing.T) {
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if own.Policy != unix.SCHED_NORMAL {
		t.Skip("this test needs the policy SCHED_NORMAL, which a process has unless it was given another")
	}
	c, err := zsock.NewContext(8)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	soc, err := c.Dealer(zsock.DealerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer soc.Close()
	// A thread names itself when it has begun, and takes its policy just before.
	for end := time.Now().Add(time.Minute); ; {
		policies := ioThreads(t)
		if slices.Contains(policies, unix.SCHED_BATCH) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the I/O threads have the policies %v, want SCHED_BATCH (%d)", policies, unix.SCHED_BATCH)
		}
		<-time.After(time.Millisecond)
	}
}

// ioThreads returns the scheduling policies of libzmq's I/O threads.
func ioThreads(t *testing.T) (policies []uint32) {
	t.Helper()
	names, err := filepath.Glob("/proc/self/task/*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(comm), "/IO/") {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			t.Fatal(err)
		}
		if attr, err := unix.SchedGetAttr(id, 0); err == nil {
			policies = append(policies, attr.Policy)
		}
	}
	return policies
}
