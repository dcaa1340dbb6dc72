package mux

import (
	"sync"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/mdpx"
)

// A Table is what a broker tells of its services, whenever they change. It is the last word of
// a broker that is lost.
type Table struct {
	mu     sync.RWMutex
	byName map[string]mdpx.Service // guarded by mu; those with workers or queued requests
}

// Services returns those that have workers, or requests that wait for one.
func (t *Table) Services() (all []gateway.LiveService) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, s := range t.byName {
		all = append(all, live(s))
	}
	return all
}

// Service returns one of them; without workers and requests if there is none.
func (t *Table) Service(name string) gateway.LiveService {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := t.byName[name]
	s.Name = name
	return live(s)
}

func live(s mdpx.Service) gateway.LiveService {
	return gateway.LiveService{Name: s.Name, Workers: int(s.Workers), Busy: int(s.Busy), Queued: int(s.Queued)}
}

func (t *Table) workers(name string) uint32 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name].Workers
}

func (t *Table) has(name string) bool { return t.workers(name) > 0 }

// update takes what has changed, or, if it is all there is, nothing else.
func (t *Table) update(changed []mdpx.Service, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if all {
		t.byName = make(map[string]mdpx.Service, len(changed))
	}
	for _, s := range changed {
		if s.Workers == 0 && s.Queued == 0 {
			delete(t.byName, s.Name)
			continue
		}
		t.byName[s.Name] = s
	}
}

// replace takes all that another Table, which nobody changes any more, has.
func (t *Table) replace(next *Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byName = next.byName
}
