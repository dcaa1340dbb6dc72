package httpapi

import (
	"sync"
	"time"
)

// keptCalls is how many of the last calls GET /calls tells.
const keptCalls = 500

// A callView is a call that has ended, as GET /calls tells it: never its body, its vars or its key.
type callView struct {
	Seq       uint64    `json:"seq"` // from 1 on, since the start
	Time      time.Time `json:"time"`
	Service   string    `json:"service"`
	Principal string    `json:"principal,omitempty"`
	Status    int       `json:"status"`
	Code      string    `json:"code"` // ok, queued, or that of the problem
	Took      float64   `json:"took_ms"`
	Queue     float64   `json:"queue_ms"`
	Broker    float64   `json:"broker_ms"`
	In        int64     `json:"in"`  // bytes of the body
	Out       int64     `json:"out"` // bytes of the answer
	RequestID string    `json:"request_id"`
}

// A callLog is the last calls, and how long calls took lately.
type callLog struct {
	mu     sync.Mutex // guards what follows
	ring   [keptCalls]callView
	next   uint64        // Seq of the next call, less one
	change chan struct{} // closed at the next call; nil if nobody waits
	series map[string]*series
}

// add keeps a call in place of the oldest.
func (l *callLog) add(c callView, sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	c.Seq = l.next
	l.ring[(c.Seq-1)%keptCalls] = c
	if l.change != nil {
		close(l.change)
		l.change = nil
	}
	if !sent {
		return
	}
	if l.series == nil {
		l.series = map[string]*series{}
	}
	ended := minuteOf(c.Time.Add(time.Duration(c.Took * float64(time.Millisecond))))
	s := l.series[c.Service]
	if s == nil {
		if len(l.series) >= maxSeries && !l.evict(ended) {
			return
		}
		s = new(series)
		l.series[c.Service] = s
	}
	s.add(ended, c.Took, c.Status >= 400)
}

// evict forgets services without calls in the window, or only in one that the clock was set back from, with mu held.
func (l *callLog) evict(now int64) (evicted bool) {
	for name, s := range l.series {
		if s.last <= now-minutes || s.last >= now+2*minutes {
			delete(l.series, name)
			evicted = true
		}
	}
	return evicted
}

// after returns the calls after that one, the oldest first, and what is closed when there are more.
func (l *callLog) after(seq uint64) ([]callView, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := uint64(0)
	if l.next > keptCalls {
		first = l.next - keptCalls
	}
	calls := []callView{}
	for i := max(first, seq); i < l.next; i++ {
		calls = append(calls, l.ring[i%keptCalls])
	}
	if l.change == nil {
		l.change = make(chan struct{})
	}
	return calls, l.change
}

// recent returns how the calls of a service went lately.
func (l *callLog) recent(service string, now time.Time) recentCalls {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.series[service]; s != nil {
		return s.view(minuteOf(now))
	}
	return new(series).view(minuteOf(now))
}

// note keeps the end of a call of a service.
func (a *API) note(w *response, start time.Time, took time.Duration) {
	code := "ok"
	switch {
	case w.err != nil:
		code = string(w.err.Kind)
	case w.queued:
		code = "queued"
	}
	a.last.add(callView{
		Time: start.UTC(), Service: printable(w.service, maxShownPath), Principal: w.pass.ID, Status: w.code(), Code: code, Took: ms(took),
		Queue: ms(w.timing.Queue), Broker: ms(w.timing.Broker), In: w.in, Out: w.out, RequestID: w.id,
	}, w.timing.Broker > 0)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
