package broker

import (
	"slices"
	"time"

	"mdpgateway/internal/mdp/mdpx"
)

// A service is a name with workers or queued requests.
type service struct {
	name     string
	frame    []byte // name, for the wire
	workers  int
	idle     list[worker]     // least recently used first
	lines    list[line]       // the clients with queued requests; the first is next
	byClient map[string]*line // the same by line.client
	queued   load
	saved    uint64 // requests that were dropped before a worker had them, since their clients had gone

	left  int // clients that left before their turn, since the queue was last empty
	given int // requests that workers were given while hurried
}

// tooMany is how many clients leave before their turn until the newest request is next, and not the oldest. Under
// overload the oldest would end just after their clients leave, and all that the workers do would be lost.
const tooMany = 4

// forTheOldest says which part of the requests that are served then is the oldest all the same: one in so many. Nobody
// who waits long enough is left out for good.
const forTheOldest = 16

func (svc *service) hurried() bool { return svc.left >= tooMany }

// A line is what one client has queued for one service. Who waits at a mux is a client too:
// each of its requests has a line of its own.
type line struct {
	client   string // routing id, and the request's id at a mux
	requests list[request]
	place    node[line] // in service.lines
}

// A load is an amount of queued requests.
type load struct {
	requests int
	bytes    int64
}

func (l *load) add(o load) { l.requests += o.requests; l.bytes += o.bytes }
func (l *load) sub(o load) { l.requests -= o.requests; l.bytes -= o.bytes }

func newService(name []byte) *service {
	return &service{name: string(name), frame: name, byClient: make(map[string]*line)}
}

// place gives r to the service's least recently used idle worker and reports
// whether there was one.
func (s *state) place(now time.Time, r *request) bool {
	for w := r.service.idle.front(); w != nil; w = r.service.idle.front() {
		if s.give(now, w, r) {
			return true
		}
	}
	return false
}

// serve gives queued requests to idle workers while there are both. It drops those
// whose client has gone, or whose deadline has passed.
func (s *state) serve(now time.Time, svc *service) {
	for svc.idle.len > 0 && svc.lines.len > 0 {
		r := svc.next()
		if r.abandoned() {
			s.leave(r, dropClientLeft)
			r.answered()
			continue
		}
		if r.expired(now) {
			s.expire(now, r)
			continue
		}
		s.unqueue(r)
		switch {
		case !s.place(now, r):
			s.queue(r, true)
		case svc.hurried():
			svc.given++
		}
	}
}

// next returns the request that is to be served next. One that a worker had before comes first.
func (svc *service) next() *request {
	first := svc.lines.front().requests.front()
	if !svc.hurried() || first.given > 0 || svc.given%forTheOldest == forTheOldest-1 {
		return first
	}
	return svc.lines.back().requests.back()
}

// abandoned reports whether nobody waits for a queued request any more. One that a
// worker had is never: it may have run in part.
func (r *request) abandoned() bool {
	return r.given == 0 && r.connection != nil && r.connection.Ended()
}

// leave takes a request out of the queue whose client does not wait for it any more.
func (s *state) leave(r *request, why dropReason) {
	svc := r.service
	s.unqueue(r)
	if svc.lines.len > 0 {
		svc.left++
	}
	if r.given == 0 {
		svc.saved++
	}
	s.drop(why)
	s.forget(svc)
}

// expire drops a queued request whose deadline has passed. That of MDPX/1 is when its
// client leaves, that of MDP is the broker's own.
func (s *state) expire(now time.Time, r *request) {
	if r.mux != nil {
		s.leave(r, dropExpired)
	} else {
		s.unqueue(r)
		s.drop(dropExpired)
		s.forget(r.service)
	}
	s.giveUp(now, r, mdpx.Expired)
}

// sweepEvery is how often a full queue is searched for requests whose client has gone.
const sweepEvery = 100 * time.Millisecond

// sweep drops all queued requests whose client has gone.
func (s *state) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	for _, r := range slices.Clone(s.deadlines.heap) {
		if r.line != nil && r.abandoned() {
			s.leave(r, dropClientLeft)
			r.answered()
		}
	}
}

// full says which bound of the queue r would break; none if it may be queued.
func (s *state) full(r *request) mdpx.Code {
	over := func(l load, requests int, bytes int64) bool {
		return l.requests >= requests || l.bytes+r.size > bytes
	}
	svc := r.service
	switch {
	case r.size > s.cfg.QueueBytes:
		return mdpx.TooLarge
	case over(s.queued, s.cfg.QueueMax, s.cfg.QueueBytes) || svc.queued.requests >= s.cfg.ServiceQueueMax:
		return mdpx.QueueFull
	case svc.workers == 0 && over(s.unserved, (s.cfg.QueueMax+1)/2, s.cfg.QueueBytes/2):
		return mdpx.NoWorkers
	}
	return ""
}

// queue puts r behind its client's other requests, or before them and before all
// other clients if it had its turn already.
func (s *state) queue(r *request, first bool) {
	svc := r.service
	s.services[svc.name] = svc
	client := r.client
	if r.mux != nil {
		client = slices.Concat(client, r.id[:])
	}
	l := svc.byClient[string(client)]
	if l == nil {
		l = &line{client: string(client)}
		svc.byClient[l.client] = l
		svc.lines.pushBack(&l.place, l)
	}
	r.line = l
	if first {
		l.place.remove()
		svc.lines.pushFront(&l.place, l)
		l.requests.pushFront(&r.turn, r)
	} else {
		l.requests.pushBack(&r.turn, r)
	}
	s.deadlines.add(r)
	one := load{1, r.size}
	s.view.moved = true
	svc.queued.add(one)
	s.queued.add(one)
	if svc.workers == 0 {
		s.unserved.add(one)
	}
}

// unqueue takes r out of the queue; its client's line goes to the end of the
// service's lines, so that clients take turns.
func (s *state) unqueue(r *request) {
	svc, l := r.service, r.line
	r.turn.remove()
	s.deadlines.remove(r)
	r.line = nil
	l.place.remove()
	switch {
	case l.requests.len == 0:
		delete(svc.byClient, l.client)
	case svc.hurried():
		svc.lines.pushFront(&l.place, l)
	default:
		svc.lines.pushBack(&l.place, l)
	}
	if svc.lines.len == 0 {
		svc.left = 0
	}
	one := load{1, r.size}
	s.view.moved = true
	svc.queued.sub(one)
	s.queued.sub(one)
	if svc.workers == 0 {
		s.unserved.sub(one)
	}
}

// forget removes a service that has neither workers nor queued requests.
func (s *state) forget(svc *service) {
	if svc.workers == 0 && svc.queued.requests == 0 {
		delete(s.services, svc.name)
	}
}
