package mux

import (
	"slices"
	"time"

	"mdpgateway/internal/gateway"
)

// Places admit at most as many calls as may be in flight. The last reserve of them are given
// only to services that hold fewer than that, so that one slow service can't take them all.
// Client.mu guards them.
type places struct {
	free, reserve int
	held          map[string]int // by service
	waiting       []*waiter      // in order of arrival
}

// A waiter is a call that waits for its place.
type waiter struct {
	service string
	ready   chan struct{} // closed when it has it
}

func newPlaces(all int, reserve float64) places {
	return places{free: all, reserve: int(reserve * float64(all)), held: map[string]int{}}
}

func (p *places) take(service string) bool {
	if p.free > p.reserve || p.free > 0 && p.held[service] < p.reserve {
		p.hold(service)
		return true
	}
	return false
}

// hold takes a place although none may be free: that of a call that is about to leave it.
func (p *places) hold(service string) {
	p.free--
	p.held[service]++
}

// giveBack gives a place to those who wait, in the order of arrival.
func (p *places) giveBack(service string) {
	p.free++
	if p.held[service]--; p.held[service] == 0 {
		delete(p.held, service)
	}
	if len(p.waiting) == 0 {
		return
	}
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool {
		if p.free <= 0 || !p.take(w.service) {
			return false
		}
		close(w.ready)
		return true
	})
}

// enter takes a place for a call, which leave gives back. It waits for one for at most
// Config.QueueTimeout.
func (c *Client) enter(x *call) error {
	w, err := c.queue(x)
	if w == nil {
		return err
	}
	timer := time.NewTimer(time.Until(x.patience(c.cfg.QueueTimeout)))
	defer timer.Stop()
	select {
	case <-w.ready:
		return nil
	case <-c.ended:
		err = gateway.ShuttingDown()
	case <-x.ctx.Done():
		err = gateway.Ended(x.ctx, false)
	case <-timer.C:
		err = gateway.Refused(gateway.ReasonPool, "no call in flight ended in time")
		if x.late() {
			err = gateway.Overdue(false)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.places.waiting, w)
	if i < 0 { // it was just given its place
		c.places.giveBack(x.req.Service)
	} else {
		c.places.waiting = slices.Delete(c.places.waiting, i, i+1)
	}
	c.calls.Done()
	return err
}

// queue takes a place if one is free; else it returns the waiter for one, or why the call may
// not wait.
func (c *Client) queue(x *call) (*waiter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return nil, gateway.ShuttingDown()
	case x.ctx.Err() != nil:
		return nil, gateway.Ended(x.ctx, false)
	case x.late():
		return nil, gateway.Overdue(false)
	case c.places.take(x.req.Service):
		c.calls.Add(1)
		return nil, nil
	case len(c.places.waiting) >= c.cfg.QueueMax:
		return nil, gateway.Refused(gateway.ReasonQueue, "too many calls wait for others to end")
	}
	c.calls.Add(1)
	c.yield()
	w := &waiter{service: x.req.Service, ready: make(chan struct{})}
	c.places.waiting = append(c.places.waiting, w)
	return w, nil
}

// leave gives a call's place back.
func (c *Client) leave(x *call) {
	c.mu.Lock()
	c.places.giveBack(x.req.Service)
	c.mu.Unlock()
	c.calls.Done()
}
