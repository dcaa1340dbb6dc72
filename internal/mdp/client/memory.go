package client

import (
	"context"
	"slices"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// A Budget bounds the bytes that the process holds for its callers. It is safe
// for concurrent use.
type Budget interface {
	// Take takes n bytes, which Release gives back, if they are to be had.
	Take(n int64) bool
	Release(n int64)
	// TakeElsewhere takes n bytes that will be seen by the next measurement.
	TakeElsewhere(n int64) bool
	// Measure replaces what the last measurement found, and returns what this one
	// did and how many bytes are left, fewer than none if there are too many.
	Measure(measure func() int64) (found, left int64)
}

// What libzmq holds is measured every few milliseconds while there are calls. Up
// to so much is no message: sockets, their buffers, a broker in the same process.
const (
	measureEvery    = 5 * time.Millisecond
	memoryBase      = 8 << 20
	memoryPerSocket = 128 << 10
)

// watchMemory keeps the budget informed, and ends calls whose replies it has no
// room for, until ctx ends.
func (p *Pool) watchMemory(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.calling:
		}
		for tick.Reset(measureEvery); p.measure(); {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		tick.Stop()
	}
}

// measure measures once, and reports whether it has to be done again.
func (p *Pool) measure() (again bool) {
	p.mu.Lock()
	sockets, busy := p.sockets, p.gate.free < p.cfg.Max
	p.mu.Unlock()
	found, left := p.cfg.Budget.Measure(func() int64 {
		return max(0, zsock.HeapInUse()-memoryBase-int64(sockets)*memoryPerSocket)
	})
	if left < 0 {
		p.shed(found + left)
	}
	if found > 0 {
		p.large.Store(true)
	}
	return busy || found > 0
}

// shed ends calls, those first whose replies hold most, until what has arrived of
// the others fits in room. What was only announced is not there yet, so the first
// measurement to find too much mostly ends none.
func (p *Pool) shed(room int64) {
	arrived := zsock.Arrived()
	type holder struct {
		c     *conn
		bytes int64
	}
	var holders []holder
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endpoints {
		for c := range e.busy {
			bytes := arrived[c.sock.Mark()] - c.taken.Load()
			if bytes > memoryPerSocket && c.abandoned.Load() == nil {
				holders = append(holders, holder{c, bytes})
				room -= bytes
			}
		}
	}
	slices.SortFunc(holders, func(a, b holder) int { return int(b.bytes - a.bytes) })
	for _, h := range holders {
		if room >= 0 {
			return
		}
		h.c.abandon(mdp.ReplyTooLarge)
		room += h.bytes
	}
}

// admit takes what libzmq's copy of a request will hold. Small ones are part of
// what a socket may hold anyway.
func (p *Pool) admit(req mdp.Request) error {
	if p.cfg.Budget == nil {
		return nil
	}
	signal(p.calling)
	size := sizeOf(req.Frames)
	if size <= memoryPerSocket || p.cfg.Budget.TakeElsewhere(size) {
		return nil
	}
	return busy(mdp.ReasonMemory, "the gateway holds as many bytes of requests and replies as it may")
}

// keep takes what a PARTIAL that is kept holds, until forget.
func (p *Pool) keep(x *exchange, size int64) error {
	if p.cfg.Budget == nil {
		return nil
	}
	if !p.cfg.Budget.Take(size) {
		return noRoom()
	}
	x.kept += size
	return nil
}

func (p *Pool) forget(x *exchange) {
	if x.kept > 0 {
		p.cfg.Budget.Release(x.kept)
	}
}

func noRoom() *mdp.Error {
	return &mdp.Error{Kind: mdp.ReplyTooLarge, Reason: mdp.ReasonMemory, Detail: "the gateway has no room for the reply"}
}

// signal tells who waits, who may not have noticed the last time yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
