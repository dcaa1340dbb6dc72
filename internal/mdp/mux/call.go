package mux

import (
	"context"
	"errors"
	"sync"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
	"mdpgateway/internal/zmtp"
)

// wordWait is how long a call that was given up waits for the broker's word on its request.
const wordWait = 50 * time.Millisecond

// A call is one request on its way. It belongs to its caller's goroutine, but for its events.
type call struct {
	ctx      context.Context
	req      *gateway.Request
	reply    gateway.Reply
	start    time.Time
	sent     time.Time // zero until the request is sent
	maxReply int64     // bytes of the reply
	least    int64     // bytes that it holds of req.Room until the reply is here
	asked    bool      // whether it may be sent
	unmanned bool      // it was sent to a service without workers
	waited   bool      // it has waited for workers, and shall not again
	id       mdpx.ID

	wake chan struct{} // holds one if there are events

	mu     sync.Mutex // guards what follows, and req.Room; size is changed by the caller's goroutine alone
	events []event    // not yet looked at
	queued int64      // bytes of them
	size   int64      // bytes of what came of the reply and was looked at
	room   int64      // bytes that it holds of req.Room
	full   bool       // one of events ends the call: there is no room for more
}

// isLarge reports whether a call would delay small ones on its connection.
func (x *call) isLarge() bool { return mdp.Size(x.req.Frames) > large || x.req.Expect > large }

func (x *call) late() bool {
	return !x.req.Deadline.IsZero() && !time.Now().Before(x.req.Deadline)
}

// patience returns when a call that waits for so long at most stops to do so.
func (x *call) patience(most time.Duration) time.Time {
	until := x.start.Add(most)
	if !x.req.Deadline.IsZero() && x.req.Deadline.Before(until) {
		return x.req.Deadline
	}
	return until
}

// sending asks the caller, once, whether the request may go out, and starts the time that it
// has from then on.
func (x *call) sending() error {
	if x.asked {
		return nil
	}
	x.asked = true
	if ask := x.req.Sending; ask != nil {
		if err := ask(); err != nil {
			return asTold(err, false)
		}
	}
	if x.req.Within > 0 {
		x.req.Deadline = time.Now().Add(x.req.Within)
	}
	return nil
}

// attempt makes the call over a connection. It may be made again if nothing was sent, or if
// the broker says that no worker had it and it has one now.
func (x *call) attempt(l *link) (again bool, err error) {
	x.wake, x.events, x.queued, x.full = make(chan struct{}, 1), nil, 0, false
	if !l.add(x) {
		return true, nil
	}
	defer l.forget(x)
	x.reply.Broker = l.endpoint.index
	frames, err := mdpx.AppendRequest(make([][]byte, 0, 5+max(1, len(x.req.Frames))), &x.id, x.ttl(l), []byte(x.req.Service), x.req.Frames)
	if err != nil {
		return false, &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	sent := time.Now()
	switch err := l.send(frames); {
	case errors.Is(err, zmtp.ErrFull):
		return false, gateway.Refused(gateway.ReasonMemory, "the broker reads too slowly what it is sent")
	case err != nil:
		return true, nil
	}
	if x.sent.IsZero() {
		x.sent = sent
	}
	err = x.await(l)
	if e, ok := err.(*gateway.Error); ok && e.Kind == gateway.NoWorkers && x.unmanned && !x.late() {
		x.waited = true
		return l.endpoint.table.has(x.req.Service), err
	}
	return false, err
}

// ttl is how long the broker may keep the request: for as long as its caller waits, or, for a
// service without workers, for as long as it waits for those.
func (x *call) ttl(l *link) *mdpx.TTL {
	left := 24 * time.Hour
	if deadline, ok := x.ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	if !x.req.Deadline.IsZero() {
		left = min(left, time.Until(x.req.Deadline))
	}
	if x.unmanned = !l.endpoint.table.has(x.req.Service); x.unmanned {
		left = min(left, l.endpoint.client.cfg.NoWorkersWait)
	}
	ttl := mdpx.NewTTL(left)
	return &ttl
}

// await waits for the reply.
func (x *call) await(l *link) error {
	var overdue <-chan time.Time
	if !x.req.Deadline.IsZero() {
		timer := time.NewTimer(time.Until(x.req.Deadline))
		defer timer.Stop()
		overdue = timer.C
	}
	for {
		select {
		case <-x.wake:
			if done, err := x.acceptAll(l); done || err != nil {
				return err
			}
		case <-overdue:
			return x.overdue(l)
		case <-x.ctx.Done():
			return x.giveUp(l, gateway.Ended(x.ctx, true), true)
		case <-l.endpoint.client.ended:
			return x.giveUp(l, &gateway.Error{Kind: gateway.Interrupted, Detail: "the gateway shut down while the call was in flight"}, true)
		}
	}
}

// acceptAll takes the events that came.
func (x *call) acceptAll(l *link) (done bool, err error) {
	for e, ok := x.next(); ok; e, ok = x.next() {
		if done, err := x.accept(l, e); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// accept takes an event: the reply, a part of it, or why there is none.
func (x *call) accept(l *link, e event) (done bool, err error) {
	switch e.command {
	case mdpx.Partial, mdpx.Final:
		final := e.command == mdpx.Final
		l.endpoint.noteReply()
		if err := x.received(e, final); err != nil {
			if !final {
				return true, x.giveUp(l, err, false)
			}
			return true, err
		}
		if final {
			x.reply.Frames = e.body
			return true, nil
		}
		if err := x.partial(e.body); err != nil {
			return true, x.giveUp(l, err, false)
		}
		return false, nil
	case mdpx.Refused:
		return true, x.refused(e.code)
	case mdpx.Gone:
		return true, gone(e.code)
	}
	return true, lostError()
}

// giveUp cancels the request, and waits a moment for what the broker says of it. If the reply
// was on its way already, and may be given to the caller, it is; else the call ends with told.
func (x *call) giveUp(l *link, told *gateway.Error, reply bool) error {
	if l.send(mdpx.AppendCancel(make([][]byte, 0, 3), &x.id)) != nil {
		return told
	}
	timer := time.NewTimer(wordWait)
	defer timer.Stop()
	for {
		for e, ok := x.next(); ok; e, ok = x.next() {
			switch e.command {
			case mdpx.Partial:
				reply = false // without this part it would look whole
				continue
			case mdpx.Final:
				if !reply || x.received(e, true) != nil {
					return told
				}
				l.endpoint.noteReply()
				x.reply.Frames = e.body
				return nil
			case mdpx.Refused:
				told.Was = gateway.WasQueued
			case mdpx.Gone:
				told.Was = gateway.WasDispatched
			}
			return told
		}
		select {
		case <-timer.C:
			return told
		case <-x.wake:
		}
	}
}

// partial passes a PARTIAL on, or keeps it.
func (x *call) partial(body [][]byte) *gateway.Error {
	if x.req.Partial == nil {
		x.reply.Partials = append(x.reply.Partials, body)
		return nil
	}
	if err := x.req.Partial(body); err != nil {
		return asTold(err, true)
	}
	return nil
}
