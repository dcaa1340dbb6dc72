package client

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"mdpgateway/internal/gateway"
)

// The calls in flight are looked after every few milliseconds, or less often if
// that would take more than a fiftieth of a CPU: a look holds the pool's mutex, and
// while libzmq's memory is measured its threads can allocate none. To find out which
// calls hold too much of it may take a tenth. But nobody who left, and nothing that
// was measured, counts for longer than attendLatest.
const (
	attendEvery  = 5 * time.Millisecond
	attendLatest = 200 * time.Millisecond
	attendShare  = 50
	shedShare    = 10
)

// pauseAfter says how long after the beginning of a look that took so much of a CPU
// the next one begins.
func pauseAfter(looking, shedding time.Duration) time.Duration {
	return min(max(attendEvery, attendShare*looking, shedShare*shedding), attendLatest)
}

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
		var busy bool
		pause := pauseAfter(cpuTime(func() { busy = p.dismiss() }), 0)
		if p.cfg.Budget != nil && !begun.Before(due) {
			var next time.Duration
			holds, next = p.measure()
			due = begun.Add(next)
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
				c.abandon(gateway.Canceled)
			}
		}
	}
	return p.gate.free < p.cfg.Max || len(p.waiting) > 0
}

// noteCall tells attend that there is a call, of which it may know already.
func (p *Pool) noteCall() {
	select {
	case p.calling <- struct{}{}:
	default:
	}
}

// cpuTime does f and returns how much of a CPU that took. On a busy machine the time
// that passes is many times as much.
func cpuTime(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var begun, ended unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &begun) // which Linux always has
	f()
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ended)
	return time.Duration(ended.Nano() - begun.Nano())
}
