package client

import (
	"slices"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// A Budget bounds the bytes that the process holds for its callers. It is safe
// for concurrent use.
type Budget interface {
	// Take takes n bytes, which Release gives back, if they are to be had.
	Take(n int64) bool
	Release(n int64)
	// HandOver says that n bytes that were taken are now where measurements find
	// them. It takes the place of Release.
	HandOver(n int64)
	// Measure replaces what the last measurement found, and returns what this one
	// did and how many bytes are left, fewer than none if there are too many.
	Measure(measure func() int64) (found, left int64)
}

// Up to so much of what libzmq holds is no message: sockets, their buffers, a
// broker in the same process.
const (
	memoryBase      = 8 << 20
	memoryPerSocket = 128 << 10
)

// measure keeps the budget informed of what libzmq holds, and ends calls whose
// replies it has no room for. It reports whether there is anything, and how long
// after its beginning to measure again.
func (p *Pool) measure() (holds bool, pause time.Duration) {
	var measuring, shedding time.Duration
	p.mu.Lock()
	sockets := p.sockets
	p.mu.Unlock()
	found, left := p.cfg.Budget.Measure(func() (bytes int64) {
		measuring = cpuTime(func() { bytes = zsock.HeapInUse() })
		return max(0, bytes-memoryBase-int64(sockets)*memoryPerSocket)
	})
	if left < 0 {
		shedding = cpuTime(func() { p.shed(found + left) })
	}
	if found > 0 {
		p.large.Store(true)
	}
	return found > 0, pauseAfter(measuring, shedding)
}

// shed ends calls, those first whose replies hold most, until what has arrived of
// the others fits in room. What was only announced is not there yet, so the first
// measurement to find too much mostly ends none.
func (p *Pool) shed(room int64) {
	arrived := p.arrived()
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
		h.c.abandon(gateway.ReplyTooLarge)
		room += h.bytes
	}
}

// arrived returns, by mark, what came over each connection. Of those that rest all
// was taken, or was ZMTP's own, of which nobody is told: a handshake, heartbeats.
func (p *Pool) arrived() map[int]int64 {
	arrived := zsock.Arrived()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endpoints {
		for c := e.idle.first; c != nil; c = c.next {
			c.taken.Store(max(c.taken.Load(), arrived[c.sock.Mark()]))
		}
	}
	return arrived
}

// settle is done now and then: it gives back the memory of large messages, and
// sees to it that heartbeats do not add up on connections that live long.
func (p *Pool) settle() {
	if p.large.Swap(false) {
		zsock.TrimHeap()
	}
	if p.cfg.Budget != nil {
		p.arrived()
	}
}

// admit takes what libzmq's copy of a request will hold, until handOver or forget.
// Small ones are part of what a socket may hold anyway.
func (p *Pool) admit(x *call) error {
	if p.cfg.Budget == nil {
		return nil
	}
	size := mdp.Size(x.req.Frames)
	if size <= memoryPerSocket {
		return nil
	}
	if !p.cfg.Budget.Take(size) {
		return gateway.Refused(gateway.ReasonMemory, gateway.NoMemory)
	}
	x.copied = size
	return nil
}

// handOver is for when libzmq has its copy of the request.
func (p *Pool) handOver(x *call) {
	if x.copied > 0 {
		p.cfg.Budget.HandOver(x.copied)
		x.copied = 0
	}
}

// keep takes what a PARTIAL that is kept holds, until forget.
func (p *Pool) keep(x *call, size int64) error {
	if p.cfg.Budget == nil {
		return nil
	}
	if !p.cfg.Budget.Take(size) {
		return noRoom()
	}
	x.kept += size
	return nil
}

func (p *Pool) forget(x *call) {
	if held := x.kept + x.copied; held > 0 {
		p.cfg.Budget.Release(held)
	}
}

func noRoom() *gateway.Error {
	return &gateway.Error{Kind: gateway.ReplyTooLarge, Reason: gateway.ReasonMemory, Detail: "the gateway has no room for the reply"}
}
