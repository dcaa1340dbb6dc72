package client

import (
	"crypto/sha256"
	"testing"
	"time"
)

// What a look costs is not how long it takes on a machine that others use.
func TestTheCostOfALookIsWhatTheCPUSpendsOnIt(t *testing.T) {
	const long = 50 * time.Millisecond
	if cost := cpuTime(func() { <-time.After(long) }); cost < 0 || cost >= long {
		t.Errorf("to wait for %v took %v of a CPU, want next to nothing", long, cost)
	}
	if cost := cpuTime(func() { sha256.Sum256(make([]byte, 1<<20)) }); cost <= 0 {
		t.Errorf("to hash a MiB took %v of a CPU, want some", cost)
	}
}

func TestCallsAreLookedAfterAsOftenAsTheCostAllowsAndNotMuchLessOften(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ looking, shedding, want time.Duration }{
		{0, 0, 5 * ms},
		{100 * time.Microsecond, 0, 5 * ms},
		{ms, 0, 50 * ms},
		{ms, 8 * ms, 80 * ms},
		{38 * ms, 0, 200 * ms},
		{0, time.Second, 200 * ms},
	} {
		if got := pauseAfter(c.looking, c.shedding); got != c.want {
			t.Errorf("%v of looking and %v of ending calls: the next after %v, want %v", c.looking, c.shedding, got, c.want)
		}
	}
}
