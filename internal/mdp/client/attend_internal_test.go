package client

import (
	"testing"
	"time"
)

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
