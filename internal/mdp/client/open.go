package client

import (
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/internal/zsock"
)

const (
	// A handshake costs CPU in its first moments, 0.3 ms or so on loopback; the rest of
	// it is waiting for a broker that is far. So at most dialsAtOnce begin within
	// dialPause of each other, per endpoint, and any number may be under way.
	dialsAtOnce = 8
	dialPause   = 2 * time.Millisecond

	// spares are how many connections of an endpoint are at rest or being opened after a
	// call has timed out. Calls whose time is shorter than a handshake, one after the
	// other, would otherwise each wait for the connection that the one before it closed.
	spares = 2
)

// A dial is a connection that is being opened. The pool's mutex guards it.
type dial struct {
	asker *call // for which it was begun; nil if for none
}

// openFor opens a connection, unless one is being opened for this call. The call takes
// the first that is fit, which may be another. The mutex must be held.
func (p *Pool) openFor(e *endpoint, x *call, now time.Time) {
	if x.dial == nil {
		x.dial = p.open(e, x, now)
	}
}

// openSpare opens a connection that no call asked for, after a timeout closed one.
func (p *Pool) openSpare(e *endpoint, now time.Time) {
	if e.state == gateway.Up && !p.closing && p.sockets < p.cfg.Max && e.idle.len+e.fresh.len+e.opening < spares {
		p.open(e, nil, now)
	}
}

// open begins to open a connection for the pool, or returns nil if it can't now. It goes
// on whatever becomes of the call that asked for it, if one did.
func (p *Pool) open(e *endpoint, asker *call, now time.Time) *dial {
	if e.opening >= max(dialsAtOnce, p.cfg.Max/len(p.endpoints)) {
		return nil
	}
	begun := &e.begun[e.dials%dialsAtOnce]
	if next := begun.Add(dialPause); e.opening >= dialsAtOnce && now.Before(next) {
		p.wake(next, now)
		return nil
	}
	var evicted *conn
	if p.sockets >= p.cfg.Max {
		if evicted = p.evict(e); evicted == nil {
			return nil
		}
	}
	*begun = now
	e.dials++
	p.sockets++
	e.opening++
	d := &dial{asker}
	p.opening.Go(func() {
		if evicted != nil {
			evicted.close()
		}
		c, err := e.dial()
		p.opened(e, d, c, err)
	})
	return d
}

// evict makes room for a connection to an endpoint, if any rests that can be given up.
// The mutex must be held.
func (p *Pool) evict(to *endpoint) (c *conn) {
	for _, e := range p.endpoints {
		if c = e.idle.pop(); c == nil && e != to {
			c = e.fresh.pop()
		}
		if c != nil {
			p.sockets--
			p.closed[closedEvicted]++
			return c
		}
	}
	return nil
}

// opened ends what open began. If it led to nothing and the call that asked for it
// still waits, that one may try the other endpoints: nothing has been sent.
func (p *Pool) opened(e *endpoint, d *dial, c *conn, err error) {
	p.mu.Lock()
	e.opening--
	asker := d.asker
	if asker != nil {
		asker.dial = nil
	}
	switch {
	case err == nil && e.state == gateway.Up && !p.over && c.isStale():
		p.reopen(e, d, c)
		p.mu.Unlock()
		return
	case err == nil && e.state == gateway.Up && !p.over:
		c.asker, c.opened = asker, time.Now()
		e.fresh.push(c)
		c = nil
	default:
		p.sockets--
		if asker != nil && !asker.settled {
			p.charge(asker, e, err)
		}
	}
	p.serve()
	p.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// reopen opens a connection once more whose keys were replaced meanwhile. The mutex must be held.
func (p *Pool) reopen(e *endpoint, d *dial, stale *conn) {
	e.opening++
	if d.asker != nil {
		d.asker.dial = d
	}
	p.opening.Go(func() {
		stale.close()
		c, err := e.dial()
		p.opened(e, d, c, err)
	})
}

// passOn is for when a call takes a connection that another asked for: that one gets
// what is being opened for the first in exchange, so that there are not two for one.
func (x *call) passOn(c *conn) {
	asker := c.asker
	c.asker = nil
	if asker == nil || asker == x || asker.settled || asker.dial != nil || x.dial == nil {
		return
	}
	asker.dial, x.dial = x.dial, nil
	asker.dial.asker = asker
}

// charge tells a waiting call that no connection to an endpoint could be opened for it.
func (p *Pool) charge(x *call, e *endpoint, err error) {
	if err == nil {
		err = unavailable(nil)
	}
	x.err = err
	if gateway.AsError(err).Kind == gateway.BrokerUnavailable {
		x.failed = append(x.failed, e)
		return
	}
	p.withdraw(x)
	x.settle(nil, err)
}

// dial opens a connection and waits for its handshake, until its time is over, the
// endpoint is lost or the pool is closed. A refused one says nothing until its time is
// over, but the sentinel does. The caller closes a connection that comes with an error,
// after having told of it: until then its descriptors are not there for others.
func (e *endpoint) dial() (*conn, error) { return e.dialAs(string(zsock.RandomRoutingID())) }

// dialAs is dial with a routing id.
func (e *endpoint) dialAs(id string) (*conn, error) {
	p := e.pool
	keys := e.inForce()
	sock, err := p.zctx.Dealer(zsock.DealerOptions{RoutingID: []byte(id), MaxMessage: p.cfg.MaxReply + replyHeadroom, Curve: keys})
	if err != nil {
		return nil, noDescriptors(err)
	}
	c := &conn{endpoint: e, sock: sock, id: id, keys: keys}
	c.onSent = c.noteSent
	sock.SetDeadline(time.Now().Add(p.cfg.ConnectTimeout))
	address, ok := e.admit(c)
	if ok {
		if err = sock.Connect(address); err == nil {
			err = sock.WaitWritable()
		}
	}
	if lost := e.dialed(c); !ok || err != nil || lost {
		if !zsock.DescriptorsLeft() {
			return c, noDescriptors(err)
		}
		return c, unavailable(err)
	}
	sock.SetDeadline(time.Time{})
	return c, nil
}

// admit notes a connection that is being opened, unless the endpoint was lost.
func (e *endpoint) admit(c *conn) (address string, ok bool) {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	if e.state != gateway.Up || e.pool.over {
		return "", false
	}
	e.dialing[c] = struct{}{}
	return e.address, true
}

// dialed ends what admit began, and reports whether the connection was given up
// meanwhile.
func (e *endpoint) dialed(c *conn) (lost bool) {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	delete(e.dialing, c)
	return c.abandoned.Load() != nil
}
