package dispatch

import (
	"slices"
	"sync"
	"time"

	"mdpgateway/internal/gateway"
)

// maxOrphans bounds what is remembered of work that was given up; beyond it the
// older half is forgotten.
const maxOrphans = 100_000

// leastOrphaned is how long work that was given up counts at least: a service that mostly
// answers fast may have slow calls, too.
const leastOrphaned = 10 * time.Second

// tellsWithin is how long a broker may take to tell what has changed.
const tellsWithin = 250 * time.Millisecond

// settleEvery is how often calls look for orphans that have ended, whose places they may take.
const settleEvery = 100 * time.Millisecond

// orphans counts requests that nobody waits for any more but that may still
// run, since MDP cannot cancel. It is an estimate: each is counted for as long as its
// service takes at most, or until its broker was lost.
type orphans struct {
	mu    sync.Mutex
	queue []orphan  // guarded by mu; in the order in which they were given up
	next  time.Time // guarded by mu; from when on due is true
}

type orphan struct {
	service string
	broker  int
	epoch   uint64
	since   time.Time
	until   time.Time
	leave   func() // gives back the places of the call; nil if it holds none
}

// end gives back the places of an orphan.
func (o *orphan) end() {
	if o.leave != nil {
		o.leave()
	}
}

func (o *orphans) add(lost orphan) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, lost)
	if len(o.queue) > maxOrphans {
		for i := range maxOrphans / 2 {
			o.queue[i].end()
		}
		o.queue = slices.Delete(o.queue, 0, maxOrphans/2)
	}
}

// due reports whether it is time to look for those that have ended.
func (o *orphans) due(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 || now.Before(o.next) {
		return false
	}
	o.next = now.Add(settleEvery)
	return true
}

// count returns how many there are of each service, and forgets the others. mayRun is
// asked of each, the newest first, with the number of those of its service so far.
func (o *orphans) count(mayRun func(lost orphan, newer int) bool) map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := len(o.queue)
	counts := map[string]int{}
	for _, lost := range slices.Backward(o.queue) {
		if mayRun(lost, counts[lost.service]) {
			counts[lost.service]++
			first--
			o.queue[first] = lost
			continue
		}
		lost.end()
	}
	o.queue = slices.Delete(o.queue, 0, first)
	return counts
}

// orphaned counts a request that was given up. Nobody knows when it ends: it counts for
// twice as long as a reply of its service took lately or this one was waited for.
// Until then it keeps its places if its caller left, did not read or asked for too little time:
// callers could otherwise fill all workers.
func (d *Dispatcher) orphaned(call *gateway.Call, reply *gateway.Reply, why gateway.Kind) {
	_, epoch := d.cfg.Pool.State(reply.Broker)
	most := d.cfg.MaxTimeout
	if usual := d.services.get(call.Service).usual(); usual > 0 {
		most = min(most, max(leastOrphaned, 2*usual, 2*reply.Timing.Broker))
	}
	now := time.Now()
	lost := orphan{service: call.Service, broker: reply.Broker, epoch: epoch, since: now, until: now.Add(most)}
	if why == gateway.Canceled || why == gateway.Timeout || why == gateway.ReplyTooLarge {
		if call.Leave != nil {
			lost.leave = both(call.Leave, d.services.giveUp(call.Service, call.Caller))
		}
		call.Leave = nil
	}
	d.orphans.add(lost)
}

// settle frees the places of orphans that have ended.
func (d *Dispatcher) settle() {
	if d.orphans.due(time.Now()) {
		d.Orphans()
	}
}

// Orphans returns, by service, how many requests were given up and may still be
// running. A broker that tells of its services says how many it has at most, a moment later.
func (d *Dispatcher) Orphans() map[string]int {
	now := time.Now()
	epochs := make([]uint64, len(d.cfg.Brokers)) // read once: there may be many orphans, and the pool is busy then
	for i := range epochs {
		_, epochs[i] = d.cfg.Pool.State(i)
	}
	type place struct {
		broker  int
		service string
	}
	most := map[place]int{} // that run at a broker that tells
	return d.orphans.count(func(lost orphan, newer int) bool {
		if lost.epoch != epochs[lost.broker] || !now.Before(lost.until) {
			return false
		}
		broker := &d.cfg.Brokers[lost.broker]
		live := broker.Live
		if live == nil || broker.Dialect.Multiplexed && now.Sub(lost.since) < tellsWithin {
			return true
		}
		at := place{lost.broker, lost.service}
		n, asked := most[at]
		if !asked {
			has := live.Service(lost.service)
			n = has.Busy + has.Queued
			most[at] = n
		}
		return newer < n
	})
}
