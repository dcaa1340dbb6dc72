//go:build linux

package zsock_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
	names, err := filepath.Glob("/proc/self/task/*/comm")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(comm), "/IO/") {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			t.Fatal(err)
		}
		if attr, err := unix.SchedGetAttr(id, 0); err == nil && attr.Policy == unix.SCHED_BATCH {
			found++
		}
	}
	if found == 0 {
		t.Errorf("no I/O thread under SCHED_BATCH among %d threads", len(names))
	}
}
