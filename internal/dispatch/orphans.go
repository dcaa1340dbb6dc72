package dispatch

import (
	"sync"
	"time"
)

// maxOrphans bounds what is remembered of work that was given up; beyond it the
// older half is forgotten.
const maxOrphans = 100_000

// orphans counts requests that nobody waits for any more but that may still
// run, since MDP cannot cancel. It is an estimate: each is counted for a fixed
// time, or until its broker was lost.
type orphans struct {
	mu    sync.Mutex
	queue []orphan // guarded by mu; in the order in which they expire
}

type orphan struct {
	service string
	broker  int
	epoch   uint64
	until   time.Time
}

// add counts one more. All must be given the same time to live.
func (o *orphans) add(service string, broker int, epoch uint64, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, orphan{service, broker, epoch, until})
	if len(o.queue) > maxOrphans {
		o.queue = append(o.queue[:0], o.queue[maxOrphans/2:]...)
	}
}

// count returns how many there are of each service. alive says whether a
// broker's epoch is still the present one.
func (o *orphans) count(now time.Time, alive func(broker int, epoch uint64) bool) map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.queue[:0]
	counts := map[string]int{}
	for _, orphan := range o.queue {
		if now.Before(orphan.until) && alive(orphan.broker, orphan.epoch) {
			kept = append(kept, orphan)
			counts[orphan.service]++
		}
	}
	clear(o.queue[len(kept):])
	o.queue = kept
	return counts
}

// Orphans returns, by service, how many requests were given up and may still be
// running.
func (d *Dispatcher) Orphans() map[string]int {
	return d.orphans.count(time.Now(), func(broker int, epoch uint64) bool {
		_, now := d.cfg.Pool.State(broker)
		return now == epoch
	})
}
