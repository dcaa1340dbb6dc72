package jobs

import (
	"math/rand/v2"
	"slices"
	"sort"
	"time"
)

// How long a service rests after a job of it could not be sent: no worker, no broker, no room. Then one job tries.
const (
	leastRest = 100 * time.Millisecond
	mostRest  = 2 * time.Second
)

// An entry is a queued job in memory. All else of it is in the store.
type entry struct {
	id               string
	seq              int64
	service, owner   string
	created, expires time.Time
	shared           bool // other gateways may try it, too
}

// A line is the queue of one service: its owners take turns.
type line struct {
	service string
	turns   []*turn // of owners that have queued jobs; the first is next
	queued  int
	running int           // that hold a place of Config.InFlight, those included that are not sent yet
	late    int           // that run in a call's connection
	rest    time.Duration // after the last vain attempt; 0 if the last was none
	until   time.Time     // when the service may be tried again, by one job
}

// A turn is what one owner has queued of one service, in the order of submission.
type turn struct {
	owner   string
	entries []entry
}

// queues are all lines. The Runner's mutex guards them.
type queues struct {
	lines  map[string]*line
	order  []*line             // with queued jobs; the first is next
	queued int                 // in all, those included that are being submitted
	open   map[string]int      // jobs that are not over, by owner
	ids    map[string]struct{} // of the entries, those included that were taken and are being sent
}

func newQueues() queues {
	return queues{lines: map[string]*line{}, open: map[string]int{}, ids: map[string]struct{}{}}
}

// knows reports whether a job is queued here or being sent.
func (q *queues) knows(id string) bool {
	_, ok := q.ids[id]
	return ok
}

// line returns the queue of a service.
func (q *queues) line(service string) *line {
	l := q.lines[service]
	if l == nil {
		l = &line{service: service}
		q.lines[service] = l
	}
	return l
}

// add puts a job at the end of its owner's, or with first at the front.
func (q *queues) add(e entry, first bool) {
	q.ids[e.id] = struct{}{}
	l := q.line(e.service)
	if l.queued == 0 {
		q.order = append(q.order, l)
	}
	l.queued++
	i := slices.IndexFunc(l.turns, func(t *turn) bool { return t.owner == e.owner })
	if i < 0 {
		i = len(l.turns)
		l.turns = append(l.turns, &turn{owner: e.owner})
	}
	t := l.turns[i]
	at := len(t.entries)
	if first || at > 0 && t.entries[at-1].seq > e.seq { // submissions may overtake each other on their way here
		at = t.find(e.seq)
	}
	t.entries = slices.Insert(t.entries, at, e)
}

// find returns where the entry of that seq is, or would be.
func (t *turn) find(seq int64) int {
	return sort.Search(len(t.entries), func(i int) bool { return t.entries[i].seq >= seq })
}

// scatter is among how many jobs of an owner one is chosen that other gateways may try, too. With 3 gateways and 2,000
// jobs that take no time, 64 of 100 attempts met another gateway's when each took the first; 11 do so.
const scatter = 1024

// take takes the next job of a line.
func (q *queues) take(l *line) entry {
	t := l.turns[0]
	i := 0
	if t.entries[0].shared {
		i = rand.IntN(min(len(t.entries), scatter))
	}
	e := t.entries[i]
	copy(t.entries[1:i+1], t.entries[:i])
	l.turns = l.turns[1:]
	if t.entries = t.entries[1:]; len(t.entries) > 0 {
		l.turns = append(l.turns, t)
	}
	q.took(l)
	return e
}

// took counts a job that left a line.
func (q *queues) took(l *line) {
	if l.queued--; l.queued == 0 {
		q.order = slices.DeleteFunc(q.order, func(o *line) bool { return o == l })
		l.turns = nil
	}
}

// remove takes a job out, and reports whether it was there.
func (q *queues) remove(service, owner string, seq int64) bool {
	l, t := q.turn(service, owner)
	if t == nil {
		return false
	}
	i := t.find(seq)
	if i == len(t.entries) || t.entries[i].seq != seq {
		return false
	}
	delete(q.ids, t.entries[i].id)
	if t.entries = slices.Delete(t.entries, i, i+1); len(t.entries) == 0 {
		l.turns = slices.DeleteFunc(l.turns, func(o *turn) bool { return o == t })
	}
	q.took(l)
	return true
}

func (q *queues) turn(service, owner string) (*line, *turn) {
	l := q.lines[service]
	if l == nil {
		return nil, nil
	}
	for _, t := range l.turns {
		if t.owner == owner {
			return l, t
		}
	}
	return l, nil
}

// position returns which of its owner's jobs of its service a queued job is, from 1; 0 if it is being sent.
func (q *queues) position(job *Job) int {
	if _, t := q.turn(job.Service, job.Owner); t != nil {
		if i := t.find(job.Seq); i < len(t.entries) && t.entries[i].seq == job.Seq {
			return i + 1
		}
	}
	return 0
}

// end counts a job that is over, or was never stored.
func (q *queues) end(owner string) {
	if q.open[owner]--; q.open[owner] <= 0 {
		delete(q.open, owner)
	}
}

// forget lets go of a line that has nothing.
func (q *queues) forget(l *line) {
	if l.queued+l.running+l.late == 0 {
		delete(q.lines, l.service)
	}
}

// due returns up to max jobs whose time in the queue has passed.
func (q *queues) due(now time.Time, max int) (all []entry) {
	for _, l := range q.order {
		for _, t := range l.turns {
			for _, e := range t.entries {
				if !now.Before(e.expires) {
					if all = append(all, e); len(all) == max {
						return all
					}
				}
			}
		}
	}
	return all
}

// failed makes the service rest after a vain attempt.
func (l *line) failed(now time.Time) {
	l.rest = min(max(2*l.rest, leastRest), mostRest)
	l.until = now.Add(l.rest)
}

// ready reports whether a job of the line may be tried: all may, or after a rest one alone.
func (l *line) ready(now time.Time) bool {
	return l.rest == 0 || !now.Before(l.until)
}
