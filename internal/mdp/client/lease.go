package client

import (
	"fmt"
	"slices"
	"time"

	"mdpgateway/internal/gateway"
)

// attempt makes a call on one connection. It may be made again if the connection
// broke before anything was sent.
func (p *Pool) attempt(x *exchange) (again bool, err error) {
	if err := p.over(x); err != nil {
		return false, err
	}
	c, err := p.lease(x)
	x.done() // not to be held for as long as the reply takes
	if err != nil {
		return false, err
	}
	x.reply.Broker = c.endpoint.index
	err = p.carry(c, x)
	e, failed := err.(*gateway.Error)
	if failed && e.Kind == gateway.Timeout && c.endpoint.noteSilence() {
		e.Detail = fmt.Sprintf("this broker has never answered; check the dialect (now %s)", c.endpoint.Dialect)
	}
	return failed && e.Kind == gateway.BrokerUnavailable, err
}

// carry makes a call on the connection that it leased, and takes that back. A panic
// of those who are shown what is sent and received passes, and costs the connection.
func (p *Pool) carry(c *conn, x *exchange) (err error) {
	x.reason = string(gateway.Internal) // until the round trip has come to its end
	defer func() { p.release(c, x, err) }()
	return c.roundTrip(x, p.cfg.MaxReply)
}

// over says why a call that has not been sent must not be any more: its time may
// have passed, or its caller left, while it waited for its place.
func (p *Pool) over(x *exchange) error {
	select {
	case <-p.ended:
		return draining()
	default:
	}
	switch {
	case x.ctx.Err() != nil: // to ask for Done would make a channel
		return gateway.Ended(x.ctx, false)
	case x.late():
		return gateway.Overdue(false)
	}
	return nil
}

// lease gives a call a connection: an idle one, which its round trip may find unfit,
// or a fresh one. If none can be opened to one broker, the others are tried: nothing has
// been sent.
func (p *Pool) lease(x *exchange) (*conn, error) {
	var err error // why the last broker that was tried did not take a connection
	var failed []*endpoint
	for {
		e, c, evicted := p.pick(x, failed)
		if evicted != nil {
			evicted.close()
		}
		if e == nil {
			if err == nil {
				err = unavailable(nil)
			}
			return nil, err
		}
		if x.fresh = c == nil; !x.fresh {
			return c, nil
		}
		if c, err = p.openFor(x, e); err == nil || gateway.AsError(err).Kind != gateway.BrokerUnavailable {
			return c, err
		}
		failed = append(failed, e)
	}
}

// pick chooses, among the endpoints that did not fail this call before, the one
// with the fewest calls in flight and, if one may be used again, an idle
// connection of it. Otherwise it has made room for a fresh one, which the caller
// opens; evicted is to be closed for it.
func (p *Pool) pick(x *exchange, failed []*endpoint) (best *endpoint, c, evicted *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := range p.allowed(x.req.Brokers) {
		if e.state == gateway.Up && !slices.Contains(failed, e) && (best == nil || e.inFlight() < best.inFlight()) {
			best = e
		}
	}
	if best == nil {
		return nil, nil, nil
	}
	oldest := best.idle.first
	if oldest != nil && !x.req.Fresh && (p.sockets >= p.cfg.Max || time.Since(oldest.used) >= rest) {
		c = best.idle.pop()
		best.busy[c] = x
		return best, c, nil
	}
	if p.sockets >= p.cfg.Max {
		evicted = p.evict()
	}
	p.sockets++
	best.opening++
	return best, nil, evicted
}

// evict makes room for a fresh connection. There is an idle one to give up:
// every other socket belongs to a call that the gate admitted. The mutex must be
// held.
func (p *Pool) evict() (c *conn) {
	for _, e := range p.endpoints {
		if c = e.idle.pop(); c != nil {
			p.sockets--
			p.closed[closedEvicted]++
			return c
		}
	}
	return nil
}

func (e *endpoint) inFlight() int { return len(e.busy) + e.opening }

func (p *Pool) openFor(x *exchange, e *endpoint) (*conn, error) {
	c, err := e.open(x.waiting())
	p.mu.Lock()
	defer p.mu.Unlock()
	e.opening--
	if err != nil {
		p.sockets--
		return nil, err
	}
	e.busy[c] = x
	return c, nil
}

// release takes a connection back after a call.
func (p *Pool) release(c *conn, x *exchange, err error) {
	e := c.endpoint
	p.mu.Lock()
	now := time.Now()
	if !x.sent.IsZero() {
		e.asked++
	}
	if x.heard {
		e.answered, e.lastReply = true, now
	}
	if e, ok := err.(*gateway.Error); ok && e.Kind == gateway.BadReply {
		p.stray[e.Reason]++
	}
	if x.reason == "" { // it may have been given up after its reply was taken
		_, x.reason = c.givenUp()
	}
	if x.reason == "" && e.state != gateway.Up {
		x.reason = closedLost
	}
	if x.reason == "" {
		delete(e.busy, c)
		c.used = now
		e.idle.push(c)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.discard(c, x.reason)
}

// discard closes a busy connection.
func (p *Pool) discard(c *conn, reason string) {
	p.mu.Lock()
	delete(c.endpoint.busy, c)
	p.sockets--
	p.closed[reason]++
	if reason == closedStray {
		p.stray["late"]++
	}
	p.mu.Unlock()
	c.close()
}

// close closes the socket. What it may say is of no use to anyone.
func (c *conn) close() { _ = c.sock.Close() }
