package client

import (
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// putBack takes back a connection that was leased and not used. One that was lost meanwhile is closed.
func (p *Pool) putBack(c *conn, x *call) {
	p.mu.Lock()
	p.leave(c, x)
	_, reason := c.givenUp()
	switch {
	case reason != "" || c.endpoint.state != gateway.Up:
		reason = closedLost
		p.drop(c, reason, time.Now())
	case c.isStale():
		reason = closedKeys
		p.drop(c, reason, time.Now())
	case c.used.IsZero():
		c.endpoint.fresh.pushFront(c)
	default:
		c.endpoint.idle.pushFront(c)
	}
	p.serve()
	p.mu.Unlock()
	if reason != "" {
		c.close()
	}
}

// leave ends what match began. The mutex must be held.
func (p *Pool) leave(c *conn, x *call) {
	delete(c.endpoint.busy, c)
	p.gate.giveBack(x.req.Service)
}

// release takes a connection back after a call. One that cannot be used again is
// closed.
func (p *Pool) release(c *conn, x *call, err error) {
	e := c.endpoint
	p.mu.Lock()
	now := time.Now()
	if !x.sent.IsZero() && !x.overdue {
		e.asked++
	}
	switch err, _ := err.(*gateway.Error); {
	case x.heard:
		e.answered, e.unanswered, e.lastReply = true, 0, now
	case err != nil && err.Kind == gateway.Timeout && !x.overdue:
		e.unanswered++
	}
	if e, ok := err.(*gateway.Error); ok && e.Kind == gateway.BadReply {
		p.stray[e.Reason]++
	}
	switch {
	case x.strays > 0:
		p.stray[mdp.ReasonAsked] += uint64(x.strays)
	case x.reason == closedStray:
		p.stray[strayLate]++
	}
	if x.reason == "" { // it may have been given up after its reply was taken
		_, x.reason = c.givenUp()
	}
	if x.reason == "" && e.state != gateway.Up {
		x.reason = closedLost
	}
	if x.reason == "" && c.isStale() {
		x.reason = closedKeys
	}
	p.leave(c, x)
	if x.reason == "" {
		c.used = now
		e.idle.push(c)
	} else {
		p.drop(c, x.reason, now)
	}
	p.serve()
	p.mu.Unlock()
	if x.reason != "" {
		c.close()
	}
}

// drop counts a connection that will be closed. The mutex must be held.
func (p *Pool) drop(c *conn, reason string, now time.Time) {
	p.sockets--
	p.closed[reason]++
	switch reason {
	case string(gateway.Timeout), string(gateway.Canceled):
		p.openSpare(c.endpoint, now)
	}
}
