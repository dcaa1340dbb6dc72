package httpapi

import (
	"math"
	"time"
)

const (
	minutes   = 15  // that a series goes back
	maxSeries = 200 // services that have one: callers make up names
	buckets   = 48  // of times, each half as long again as the one before: 0.1 ms to 5 hours
	least     = 0.1 // ms, the upper bound of the first
	growth    = 1.5
)

// A series is how long the calls of a service took, by minute.
type series struct {
	last    int64 // the newest minute
	minutes [minutes]struct {
		when          int64
		calls, failed uint32
		took          [buckets]uint32
	}
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// add counts a call that ended in that minute.
func (s *series) add(minute int64, took float64, failed bool) {
	switch behind := s.last - minute; {
	case behind >= 2*minutes: // the clock was set back
		*s = series{}
	case behind >= minutes: // it is not shown any more
		return
	}
	m := &s.minutes[minute%minutes]
	if m.when != minute {
		*m = struct {
			when          int64
			calls, failed uint32
			took          [buckets]uint32
		}{when: minute}
	}
	s.last = max(s.last, minute)
	m.calls++
	if failed {
		m.failed++
	}
	m.took[bucketOf(took)]++
}

func bucketOf(took float64) int {
	if took <= least {
		return 0
	}
	return min(buckets-1, int(math.Ceil(math.Log(took/least)/math.Log(growth))))
}

// recentCalls is how the calls of a service went in the last minutes. Times are in milliseconds, accurate to a fifth.
type recentCalls struct {
	Minutes int        `json:"minutes"`
	Calls   uint32     `json:"calls"`
	Failed  uint32     `json:"failed"`
	P50     *float64   `json:"p50_ms,omitempty"` // none if there were no calls
	P99     *float64   `json:"p99_ms,omitempty"`
	By      []oneOfMin `json:"by_minute"` // the oldest first
}

type oneOfMin struct {
	Calls uint32  `json:"calls"`
	P50   float64 `json:"p50_ms"` // 0 if there were no calls
	P99   float64 `json:"p99_ms"`
}

func (s *series) view(now int64) recentCalls {
	v := recentCalls{Minutes: minutes, By: make([]oneOfMin, 0, minutes)}
	var all [buckets]uint32
	for minute := now - minutes + 1; minute <= now; minute++ {
		m := &s.minutes[minute%minutes]
		if m.when != minute {
			v.By = append(v.By, oneOfMin{})
			continue
		}
		v.Calls += m.calls
		v.Failed += m.failed
		for i, n := range m.took {
			all[i] += n
		}
		v.By = append(v.By, oneOfMin{m.calls, quantile(&m.took, m.calls, 0.5), quantile(&m.took, m.calls, 0.99)})
	}
	if v.Calls > 0 {
		p50, p99 := quantile(&all, v.Calls, 0.5), quantile(&all, v.Calls, 0.99)
		v.P50, v.P99 = &p50, &p99
	}
	return v
}

// quantile returns the middle of the bucket that the call of that rank is in.
func quantile(took *[buckets]uint32, calls uint32, q float64) float64 {
	rank := uint32(math.Ceil(q * float64(calls)))
	for i, n := range took {
		if rank <= n {
			return math.Round(1000*least*math.Pow(growth, float64(i)-0.5)) / 1000
		}
		rank -= n
	}
	return 0
}
