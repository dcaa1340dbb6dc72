package main

import (
	"fmt"
	"os"
	"testing"
)

func TestGoGetsTheMemoryThatLibzmqLeaves(t *testing.T) {
	for _, c := range []struct {
		limit       uint64
		maxBuffered int64
		poolMax     int
		want        int64
	}{
		{1 << 30, 256 << 20, 256, 1<<30 - 1<<30/20 - 256<<20 - 256*45<<10},
		{1536 << 20, 512 << 20, 256, 1536<<20 - 1536<<20/20 - 512<<20 - 256*45<<10},
		{512 << 20, 512 << 20, 256, 128 << 20}, // it does not fit at all
	} {
		if got := goMemory(c.limit, &settings{MaxBuffered: c.maxBuffered, PoolMax: c.poolMax}); got != c.want {
			t.Errorf("%d with %d buffered and %d connections: got %d, want %d", c.limit, c.maxBuffered, c.poolMax, got, c.want)
		}
	}
}

// A variable that is set holds; it is read by Go's runtime before the program begins.
func TestTheProgramSaysWhichLimitsOfMemoryHold(t *testing.T) {
	for _, c := range []struct{ gogc, limit, want string }{
		{"", "", "200"},
		{"50", "300MiB", "50 GOMEMLIMIT 3.145728e+08"},
	} {
		for name, value := range map[string]string{"GOGC": c.gogc, "GOMEMLIMIT": c.limit} {
			t.Setenv(name, value)
			if value == "" {
				os.Unsetenv(name)
			}
		}
		line := spawn(t, "serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*").line(t, "memory", func(map[string]any) {})
		got := fmt.Sprint(line["gogc"])
		if c.limit != "" { // else it is that of this test's own cgroup
			got = fmt.Sprint(got, " ", line["limit_from"], " ", line["limit_bytes"])
		}
		if got != c.want {
			t.Errorf("GOGC=%s GOMEMLIMIT=%s: the log says %v, want %s", c.gogc, c.limit, line, c.want)
		}
	}
}
