package client

import (
	"context"
	"time"

	"mdpgateway/internal/mdp"
)

// The calls in flight are looked after every few milliseconds, or less often if
// that would take more than a fiftieth of a CPU: to look at them keeps the pool's
// mutex, and to measure libzmq's memory keeps its threads from having any.
const (
	attendEvery = 5 * time.Millisecond
	attendShare = 50
)

// attend looks after the calls in flight until ctx ends: it ends those whose callers
// left and, with a budget, those whose replies there is no room for. To be told by
// each call's context, as context.AfterFunc does, took 3 to 11 % of a small call's CPU.
func (p *Pool) attend(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var due time.Time // the next measurement
	holds := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := time.Now()
		busy := p.dismiss()
		pause := max(attendEvery, attendShare*time.Since(begun))
		if p.cfg.Budget != nil && !begun.Before(due) {
			var cost time.Duration
			holds, cost = p.measure()
			due = begun.Add(max(attendEvery, attendShare*cost))
		}
		if !busy && !holds {
			select {
			case <-ctx.Done():
				return
			case <-p.calling:
			}
		}
		timer.Reset(pause)
	}
}

// dismiss ends the calls whose callers left, and reports whether there are calls.
func (p *Pool) dismiss() (busy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endpoints {
		for c, x := range e.busy {
			if x.ctx.Err() != nil {
				c.abandon(mdp.Canceled)
			}
		}
	}
	return p.gate.free < p.cfg.Max
}

// noteCall tells attend that there is a call, of which it may know already.
func (p *Pool) noteCall() {
	select {
	case p.calling <- struct{}{}:
	default:
	}
}
