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

// orphans counts requests that nobody waits for any more but that may still
// run, since MDP cannot cancel. It is an estimate: each is counted for as long as its
// service takes at most, or until its broker was lost.
type orphans struct {
	mu    sync.Mutex
	queue []orphan // guarded by mu; in the order in which they were given up
}

type orphan struct {
	service string
	broker  int
	epoch   uint64
	until   time.Time
}

func (o *orphans) add(lost orphan) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, lost)
	if len(o.queue) > maxOrphans {
		o.queue = append(o.queue[:0], o.queue[maxOrphans/2:]...)
	}
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
		}
	}
	o.queue = slices.Delete(o.queue, 0, first)
	return counts
}

// orphaned counts a request that was given up. Nobody knows when it ends: it counts for
// twice as long as a reply of its service took lately or this one was waited for.
func (d *Dispatcher) orphaned(service string, reply *gateway.Reply) {
	_, epoch := d.cfg.Pool.State(reply.Broker)
	most := d.cfg.MaxTimeout
	if usual := d.services.get(service).usual(); usual > 0 {
		most = min(most, max(leastOrphaned, 2*usual, 2*reply.Timing.Broker))
	}
	d.orphans.add(orphan{service, reply.Broker, epoch, time.Now().Add(most)})
}

// Orphans returns, by service, how many requests were given up and may still be
// running. A broker in this process says how many it has at most.
func (d *Dispatcher) Orphans() map[string]int {
	now := time.Now()
	return d.orphans.count(func(lost orphan, newer int) bool {
		_, epoch := d.cfg.Pool.State(lost.broker)
		if lost.epoch != epoch || !now.Before(lost.until) {
			return false
		}
		live := d.cfg.Brokers[lost.broker].Live
		if live == nil {
			return true
		}
		has := live.Service(lost.service)
		return newer < has.Busy+has.Queued
	})
}
