package client

import (
	"context"
	"slices"
	"time"

	"mdpgateway/internal/gateway"
)

// A gate admits at most max calls at once; the rest wait in the order they came.
// The last reserve places are given only to services that hold fewer than that,
// so that one slow service cannot take them all. It is guarded by Pool.mu.
type gate struct {
	free, reserve, queueMax int
	held                    map[string]int // places by service
	waiting                 []*waiter      // in order of arrival; none of them is admissible
}

type waiter struct {
	service string
	granted chan struct{} // closed when the waiter has been given a place
}

func (g *gate) admits(service string) bool {
	return g.free > g.reserve || g.free > 0 && g.held[service] < g.reserve
}

func (g *gate) take(service string) {
	g.free--
	g.held[service]++
}

// leave gives a place back, to the first waiter that may have it.
func (g *gate) leave(service string) {
	g.free++
	if g.held[service]--; g.held[service] == 0 {
		delete(g.held, service)
	}
	for i := 0; i < len(g.waiting) && g.free > 0; {
		w := g.waiting[i]
		if !g.admits(w.service) {
			i++
			continue
		}
		g.take(w.service)
		g.waiting = slices.Delete(g.waiting, i, i+1)
		close(w.granted)
	}
}

// forget removes a waiter that gave up; false means that it has been given a
// place in the meantime.
func (g *gate) forget(w *waiter) bool {
	for i, other := range g.waiting {
		if other == w {
			g.waiting = slices.Delete(g.waiting, i, i+1)
			return true
		}
	}
	return false
}

// enter waits for a place for a call of service. Without an error the caller
// has one, and gives it back with exit.
func (p *Pool) enter(x *exchange) error {
	service := x.req.Service
	p.mu.Lock()
	if p.gate.admits(service) {
		p.gate.take(service)
		p.mu.Unlock()
		return nil
	}
	if len(p.gate.waiting) >= p.gate.queueMax {
		p.mu.Unlock()
		return gateway.Refused(gateway.ReasonQueue, "too many calls wait for a connection to the broker")
	}
	w := &waiter{service: service, granted: make(chan struct{})}
	p.gate.waiting = append(p.gate.waiting, w)
	p.mu.Unlock()
	return p.await(x.waiting(), w)
}

func (p *Pool) await(ctx context.Context, w *waiter) error {
	timer := time.NewTimer(p.cfg.QueueTimeout)
	defer timer.Stop()
	var err error
	select {
	case <-w.granted:
		return nil
	case <-timer.C:
		err = gateway.Refused(gateway.ReasonPool, "no connection to the broker came free in time")
	case <-p.ended:
		err = draining()
	case <-ctx.Done():
		err = gateway.Ended(ctx, false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gate.forget(w) {
		p.gate.leave(w.service)
	}
	return err
}

func (p *Pool) exit(service string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate.leave(service)
}
