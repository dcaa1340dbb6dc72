package client

import (
	"slices"
	"time"

	"mdpgateway/internal/gateway"
)

// A late connection is one whose call's time has passed and for whose reply someone waits on, a job. It is leased as
// before: it still carries one call alone, so its reply can be no other's (docs/model, LATE). It is given up, and
// closed, when the job ends, and the oldest also when a call has to wait for a connection.

// keep hands a connection whose call's time has passed over to those who wait on, if there are any. A panic of theirs
// passes.
func (p *Pool) keep(c *conn, x *call) (kept bool) {
	if x.req.Late == nil || x.sent.IsZero() || x.reason != string(gateway.Timeout) || x.ctx.Err() != nil {
		return false
	}
	p.mu.Lock()
	if p.closing || len(p.waiting) > 0 || len(p.late) >= p.cfg.Late {
		p.mu.Unlock()
		return false
	}
	p.calls.Add(1)
	p.late = append(p.late, c)
	p.mu.Unlock()
	defer func() {
		if !kept {
			p.forget(c)
			p.calls.Done()
		}
	}()

	y := &call{
		ctx: x.ctx, req: x.req, reply: x.reply, start: x.start, maxReply: x.maxReply, sent: x.sent, heard: x.heard, strays: x.strays,
		size: x.size, alone: x.alone, room: max(x.size, min(max(leastRoom, x.req.Expect), x.maxReply)),
	}
	wait, ok := x.req.Late(y.room)
	if !ok {
		return false
	}
	y.ctx, y.req.Room, y.req.Deadline, x.reply.Partials = wait.Ctx, wait.Room, wait.Deadline, nil
	y.req.Frames, y.req.Late = nil, nil // they belong to the caller
	p.mu.Lock()
	e := c.endpoint
	e.busy[c] = y
	e.asked++
	if !x.heard {
		e.unanswered++
	}
	y.overdue = true
	p.mu.Unlock()
	go func() {
		defer p.calls.Done()
		wait.Done(p.follow(c, y))
	}()
	return true
}

// follow waits for a late reply.
func (p *Pool) follow(c *conn, y *call) (gateway.Reply, error) {
	y.reason = string(gateway.Internal)
	err := func() (err error) {
		defer func() { p.release(c, y, err) }()
		defer p.forget(c)
		return c.during(y, c.listen)
	}()
	y.reply.Timing = gateway.Timing{Queue: y.sent.Sub(y.start), Broker: time.Since(y.sent)}
	if err == nil {
		return y.reply, nil
	}
	y.giveUp()
	e := gateway.AsError(err)
	e.Service = y.req.Service
	if given := c.abandoned.Load(); given != nil && *given == gateway.Timeout {
		e.Detail = "the connection on which its reply was awaited was needed for another call; the service may still be at work"
	}
	return y.reply, e
}

// forget is for when nobody waits on any more.
func (p *Pool) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.late, c); i >= 0 {
		p.late = slices.Delete(p.late, i, i+1)
	}
}

// yield gives up the oldest late connection for a call that has to wait, unless a connection is opened for it.
// The mutex must be held.
func (p *Pool) yield(x *call) {
	if len(p.late) == 0 || p.gate.admits(x.req.Service) && (x.dial != nil || p.sockets < p.cfg.Max) {
		return
	}
	c := p.late[0]
	p.late = slices.Delete(p.late, 0, 1)
	c.abandon(gateway.Timeout)
}
