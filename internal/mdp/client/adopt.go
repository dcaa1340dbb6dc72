package client

import (
	"context"
	"slices"
	"time"

	"mdpgateway/internal/gateway"
)

// adoptable reports whether another process may wait for the reply of a request: replies are one message, so that none
// can lack a part that came before, and name their service.
func (e *endpoint) adoptable() bool { return e.Dialect.Partial == nil && e.Dialect.NamesService }

// route returns the connection as the only one that the call may use, and that no other call uses; the zero Route if
// that is not so.
func (c *conn) route(x *call) gateway.Route {
	if !x.alone || !c.used.IsZero() || !c.endpoint.adoptable() {
		return gateway.Route{}
	}
	return gateway.Route{Broker: c.endpoint.Address, ID: c.id}
}

// CanAdopt reports whether Adopt can connect to the broker of a route now. Known is false if there is no such broker.
func (p *Pool) CanAdopt(route gateway.Route) (can, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.at(route.Broker)
	return e != nil && e.state == gateway.Up && !p.closing && p.gate.free > 0, e != nil
}

// at returns the endpoint of an address from which replies can be adopted, nil if there is none.
func (p *Pool) at(address string) *endpoint {
	i := slices.IndexFunc(p.endpoints, func(e *endpoint) bool { return e.Address == address && e.adoptable() })
	if i < 0 {
		return nil
	}
	return p.endpoints[i]
}

// Adopt waits for the reply to a request that another process has sent, over its routing id. That process must be gone,
// and no other may wait there: brokers answer to one connection of an id. Nothing is sent. Of the request its Service,
// Deadline, Room, Expect and MaxReply count. Errors are those of Call.
func (p *Pool) Adopt(ctx context.Context, route gateway.Route, req gateway.Request) (gateway.Reply, error) {
	x := newCall(ctx, &req)
	x.sent, x.alone, x.overdue = x.start, true, true // it counts as no request to the broker
	err := p.adopt(route, x)
	x.reply.Timing.Broker = time.Since(x.start)
	if err != nil {
		x.giveUp()
		e := gateway.AsError(err)
		e.Service = req.Service
		return x.reply, e
	}
	return x.reply, nil
}

func (p *Pool) adopt(route gateway.Route, x *call) error {
	x.maxReply = p.cfg.MaxReply
	if own := x.req.MaxReply; own > 0 {
		x.maxReply = min(own, x.maxReply)
	}
	if err := p.reserve(x); err != nil {
		return err
	}
	p.mu.Lock()
	e := p.at(route.Broker)
	if e == nil || e.state != gateway.Up || p.closing || p.gate.free <= 0 {
		p.mu.Unlock()
		return unavailable(nil)
	}
	p.calls.Add(1)
	p.sockets++
	p.gate.take(x.req.Service)
	p.mu.Unlock()
	defer p.calls.Done()

	c, err := e.dialAs(route.ID)
	if c == nil { // there are no more descriptors
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sockets--
		p.gate.giveBack(x.req.Service)
		return err
	}
	p.mu.Lock()
	e.busy[c] = x
	p.mu.Unlock()
	defer func() { p.release(c, x, err) }()
	x.reply.Broker, x.reason = e.index, closedLost
	if err == nil {
		err = c.during(x, c.listen)
	}
	return err
}
