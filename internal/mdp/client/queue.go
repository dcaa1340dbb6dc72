package client

import (
	"slices"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/internal/zsock"
)

// A gate admits at most as many calls at once as there may be connections. The last
// reserve places are given only to services that hold fewer than that, so that one
// slow service cannot take them all. It is guarded by Pool.mu.
type gate struct {
	free, reserve int
	held          map[string]int // places by service
}

func (g *gate) admits(service string) bool {
	return g.free > g.reserve || g.free > 0 && g.held[service] < g.reserve
}

func (g *gate) take(service string) {
	g.free--
	g.held[service]++
}

func (g *gate) giveBack(service string) {
	g.free++
	if g.held[service]--; g.held[service] == 0 {
		delete(g.held, service)
	}
}

// acquire gives a call a connection. It waits, in the order of arrival, for a place
// and for a connection that is fit: one that is given back, or one that is opened,
// for this call or for another. The wait as a whole is bounded by QueueTimeout.
func (p *Pool) acquire(x *call) (*conn, error) {
	p.mu.Lock()
	if err := p.enqueue(x); err != nil {
		p.mu.Unlock()
		return nil, err
	}
	p.serve()
	switch {
	case x.settled:
		p.mu.Unlock()
		return x.conn, x.err
	case len(p.waiting) > p.cfg.QueueMax+p.gate.free:
		p.withdraw(x)
		p.mu.Unlock()
		return nil, gateway.Refused(gateway.ReasonQueue, "too many calls wait for a connection to the broker")
	}
	x.ready = make(chan struct{})
	p.yield(x)
	p.mu.Unlock()
	return p.await(x)
}

func (p *Pool) enqueue(x *call) error {
	if err := p.tooLate(x); err != nil {
		return err
	}
	x.wait()
	if x.counted {
		p.waiting = slices.Insert(p.waiting, 0, x) // it had its turn
		return nil
	}
	if err := p.begin(); err != nil {
		return err
	}
	x.counted = true
	p.waiting = append(p.waiting, x)
	return nil
}

func (p *Pool) await(x *call) (*conn, error) {
	timer := time.NewTimer(time.Until(x.patience(p, time.Now())))
	defer timer.Stop()
	for {
		select {
		case <-x.ready:
			return x.conn, x.err
		case <-timer.C:
		case <-x.ctx.Done():
		}
		p.mu.Lock()
		if !x.settled {
			if err := p.waitedTooLong(x, time.Now()); err != nil {
				p.withdraw(x)
				p.mu.Unlock()
				return nil, err
			}
			timer.Reset(time.Until(x.patience(p, time.Now())))
		}
		p.mu.Unlock()
	}
}

// patience returns when the call stops waiting unless something changes.
func (x *call) patience(p *Pool, now time.Time) time.Time {
	until := x.start.Add(p.cfg.QueueTimeout)
	if verdict := x.start.Add(p.cfg.FirstVerdict()); now.Before(verdict) && verdict.Before(until) {
		until = verdict
	}
	if !x.req.Deadline.IsZero() && x.req.Deadline.Before(until) {
		until = x.req.Deadline
	}
	return until
}

// waitedTooLong says why a call may wait no longer; nil means that it may. The mutex
// must be held.
func (p *Pool) waitedTooLong(x *call, now time.Time) error {
	up := slices.ContainsFunc(p.endpoints, func(e *endpoint) bool { return x.mayUse(e) && e.state == gateway.Up })
	waited := now.Sub(x.start)
	switch {
	case x.ctx.Err() != nil:
		return gateway.Ended(x.ctx, false)
	case x.late():
		return gateway.Overdue(false)
	case !up && waited >= min(p.cfg.FirstVerdict(), p.cfg.QueueTimeout):
		return unavailable(nil)
	case waited < p.cfg.QueueTimeout:
		return nil
	case p.gate.admits(x.req.Service): // it has a place, and no connection came about
		if !zsock.DescriptorsLeft() {
			return noDescriptors(nil)
		}
		return unavailable(nil)
	default:
		return gateway.Refused(gateway.ReasonPool, "no connection to the broker came free in time")
	}
}

// withdraw takes a call that gives up out of the queue. The mutex must be held.
func (p *Pool) withdraw(x *call) {
	x.settled = true
	if i := slices.Index(p.waiting, x); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
}

// serve gives waiting calls the connections that are fit for them, in the order of
// arrival. It must be called after every change that may make a connection fit, and
// while the mutex is held.
func (p *Pool) serve() {
	if len(p.waiting) == 0 {
		return
	}
	now := time.Now()
	waiting := p.waiting[:0]
	for i, x := range p.waiting {
		if p.gate.free == 0 {
			waiting = append(waiting, p.waiting[i:]...)
			break
		}
		if !p.match(x, now) {
			waiting = append(waiting, x)
		}
	}
	clear(p.waiting[len(waiting):])
	p.waiting = waiting
}

// match settles a call if it can: with a connection, or with an error if no broker is
// left for it. Otherwise it sees to it that a connection is opened.
func (p *Pool) match(x *call, now time.Time) (settled bool) {
	x.alone = x.req.Reuse == gateway.ReuseNever || x.req.Reuse == gateway.ReuseAuto && p.repeaters.has(x.req.Service, now)
	best := p.choose(x, now)
	switch {
	case best == nil:
		return p.refuseHopeless(x)
	case !p.gate.admits(x.req.Service):
		return false
	}
	x.alone = x.alone || x.req.Route != nil && best.adoptable()
	c := p.take(best, x, now)
	if c == nil {
		c = p.takeElsewhere(best, x, now)
		// What another broker's connection does meanwhile needs no more than one.
		if c == nil || best.opening == 0 {
			p.openFor(best, x, now)
		}
	}
	if c == nil {
		return false
	}
	p.turns++
	c.endpoint.turn, c.endpoint.tried = p.turns, now
	p.gate.take(x.req.Service)
	c.endpoint.busy[c] = x
	x.passOn(c)
	x.settle(c, nil)
	return true
}

// settle ends a call's wait. The pool's mutex must be held.
func (x *call) settle(c *conn, err error) {
	x.settled, x.conn, x.err = true, c, err
	if x.ready != nil {
		close(x.ready)
	}
}

// mayUse reports whether a call may go to an endpoint: it is allowed, and did not
// fail this call before.
func (x *call) mayUse(e *endpoint) bool {
	return (x.req.Brokers == nil || slices.Contains(x.req.Brokers, e.index)) && !slices.Contains(x.failed, e)
}

// choose returns the best endpoint for a call among those that are up and that it may
// use, or nil.
func (p *Pool) choose(x *call, now time.Time) (best *endpoint) {
	for _, e := range p.endpoints {
		if e.state == gateway.Up && x.mayUse(e) && (best == nil || e.before(best, now)) {
			best = e
		}
	}
	return best
}

// before reports whether calls go to e rather than to another endpoint: one that answers,
// then the one with fewer calls in flight, then the one whose last call is longer ago.
func (e *endpoint) before(other *endpoint, now time.Time) bool {
	if doubtful := e.doubtful(now); doubtful != other.doubtful(now) {
		return !doubtful
	}
	if e.load() != other.load() {
		return e.load() < other.load()
	}
	return e.turn < other.turn
}

// load is how many calls are in flight, and how many connections are opened for others.
func (e *endpoint) load() int { return len(e.busy) + e.opening }

// doubtful reports whether the broker does not seem to answer: it is deaf, or calls have
// timed out since its last reply. Now and then a call tries it again all the same.
func (e *endpoint) doubtful(now time.Time) bool {
	return (e.unanswered > 0 || e.deaf(now)) && now.Sub(e.tried) < retryDoubtful
}

// refuseHopeless settles a call for which no endpoint is up or may yet turn out to be.
func (p *Pool) refuseHopeless(x *call) bool {
	for _, e := range p.endpoints {
		if e.state != gateway.Down && x.mayUse(e) {
			return false
		}
	}
	if x.err == nil {
		x.err = unavailable(nil)
	}
	x.settle(nil, x.err)
	return true
}

// refuseAllHopeless is for when an endpoint was lost: calls need no place to be refused.
func (p *Pool) refuseAllHopeless() {
	p.waiting = slices.DeleteFunc(p.waiting, p.refuseHopeless)
}

// take takes a connection of an endpoint that rests and is fit for the call, or nil:
// the one that rests longest, if that is long enough or if no other may be opened; else
// one that no call had before.
func (p *Pool) take(e *endpoint, x *call, now time.Time) *conn {
	oldest := e.idle.first
	if oldest != nil && !x.alone {
		rested := oldest.used.Add(rest)
		if !e.Dialect.NamesService {
			return e.takeOwn(x, now)
		}
		if !now.Before(rested) || p.sockets >= p.cfg.Max && x.dial == nil {
			return e.idle.pop()
		}
		if e.fresh.first == nil {
			p.wake(rested, now)
		}
	}
	return e.fresh.pop()
}

// takeOwn is take where replies do not name their service: a connection is used again for
// the service that it had before, since a late reply of another could not be told from the
// one that is awaited.
func (e *endpoint) takeOwn(x *call, now time.Time) *conn {
	c := e.idle.takeFirst(func(c *conn) bool { return string(c.service) == x.req.Service && now.Sub(c.used) >= rest })
	if c != nil {
		return c
	}
	return e.fresh.pop()
}

// takeElsewhere is for when the best endpoint has no connection that is fit: it takes that
// of another. From one with more calls in flight only after a while, in which a connection
// to the best one is opened unless it is far.
func (p *Pool) takeElsewhere(best *endpoint, x *call, now time.Time) *conn {
	for _, e := range p.endpoints {
		if e == best || e.state != gateway.Up || !x.mayUse(e) || e.doubtful(now) && !best.doubtful(now) {
			continue
		}
		if until := x.start.Add(gateway.BalanceWait); e.load() > best.load() && now.Before(until) {
			p.wake(until, now)
			continue
		}
		if c := p.take(e, x, now); c != nil {
			return c
		}
	}
	return nil
}

// wake has serve called at that time, or before.
func (p *Pool) wake(at, now time.Time) {
	if p.alarmAt.IsZero() || at.Before(p.alarmAt) {
		p.alarmAt = at
		p.alarm.Reset(at.Sub(now))
	}
}

func (p *Pool) onAlarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alarmAt = time.Time{}
	p.serve()
}
