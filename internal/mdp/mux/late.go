package mux

import (
	"context"
	"slices"
	"time"

	"mdpgateway/internal/gateway"
)

// A late call is one whose time has passed and for whose reply someone waits on, a job. It keeps its request's id and
// its place. It is given up, and canceled at the broker, when the job ends, and the oldest also when a call has to wait
// for a place.
type lateCall struct {
	*call
	cancel context.CancelCauseFunc // guarded by Client.mu; nil before it is awaited
}

// overdue ends a call whose time has passed. The broker refuses then, of its own accord, what no worker has: its word
// is awaited before someone waits on for what a worker may have.
func (x *call) overdue(l *link) error {
	if x.req.Late == nil {
		return x.giveUp(l, gateway.Overdue(true), true)
	}
	word := time.NewTimer(wordWait)
	defer word.Stop()
	for {
		select {
		case <-x.wake:
			if done, err := x.acceptAll(l); done || err != nil {
				return err
			}
		case <-word.C:
			if l.endpoint.client.keep(l, x) {
				return gateway.Overdue(true)
			}
			return x.giveUp(l, gateway.Overdue(true), true)
		case <-x.ctx.Done():
			return x.giveUp(l, gateway.Ended(x.ctx, true), true)
		}
	}
}

// keep hands a call whose time has passed over to those who wait on, if there are any. A panic of theirs passes.
func (c *Client) keep(l *link, x *call) (kept bool) {
	least := max(x.size, min(max(leastRoom, x.req.Expect), x.maxReply))
	y := &call{
		ctx: x.ctx, reply: x.reply, start: x.start, sent: x.sent, maxReply: x.maxReply, size: x.size, asked: true,
		unmanned: x.unmanned, id: x.id, least: least, room: least, wake: make(chan struct{}, 1),
	}
	req := *x.req
	y.req = &req
	late := &lateCall{call: y}
	c.mu.Lock()
	if c.closing || len(c.places.waiting) > 0 || len(c.late) >= c.cfg.Late {
		c.mu.Unlock()
		return false
	}
	c.calls.Add(1)
	c.late = append(c.late, late) // so that no more than that are asked for
	c.mu.Unlock()
	defer func() {
		if !kept {
			c.forget(late)
			c.calls.Done()
		}
	}()

	wait, ok := x.req.Late(least)
	if !ok {
		return false
	}
	ctx, cancel := context.WithCancelCause(wait.Ctx)
	y.ctx, y.req.Room, y.req.Deadline = ctx, wait.Room, wait.Deadline
	y.req.Frames, y.req.Late = nil, nil // they belong to the caller
	x.reply.Partials = nil
	l.handOver(x, y)
	c.mu.Lock()
	c.places.hold(y.req.Service)
	l.hold()
	if late.cancel = cancel; !slices.Contains(c.late, late) { // it gave way before it began
		cancel(yielded())
	}
	c.mu.Unlock()
	go func() {
		defer c.leave(y)
		defer cancel(nil)
		wait.Done(c.follow(l, late))
	}()
	return true
}

// handOver has y get what comes for x from here on, and what came and was not looked at.
func (l *link) handOver(x, y *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls[x.id] == x {
		l.calls[x.id] = y
	}
	for e, ok := x.next(); ok; e, ok = x.next() {
		y.deliver(e)
	}
}

// follow waits for a late reply.
func (c *Client) follow(l *link, late *lateCall) (gateway.Reply, error) {
	y := late.call
	err := y.await(l)
	c.forget(late)
	l.forget(y)
	c.release(l)
	c.heap.Note(y.reply.Bytes)
	y.reply.Timing = gateway.Timing{Queue: y.sent.Sub(y.start), Broker: time.Since(y.sent)}
	if err == nil {
		return y.reply, nil
	}
	y.giveBack()
	e := gateway.AsError(err)
	e.Service = y.req.Service
	if given, ok := context.Cause(y.ctx).(*gateway.Error); ok && e.Detail == "" {
		e.Detail = given.Detail
	}
	return y.reply, e
}

// forget is for when nobody waits on any more.
func (c *Client) forget(late *lateCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.late, late); i >= 0 {
		c.late = slices.Delete(c.late, i, i+1)
	}
}

// yield gives up the oldest late call for one that has to wait for a place. The mutex must be held.
func (c *Client) yield() {
	if len(c.late) == 0 {
		return
	}
	late := c.late[0]
	c.late = slices.Delete(c.late, 0, 1)
	if late.cancel != nil {
		late.cancel(yielded())
	}
}

func yielded() *gateway.Error {
	return &gateway.Error{Kind: gateway.Timeout, Detail: "the place in which its reply was awaited was needed for another call; the service may still be at work"}
}
