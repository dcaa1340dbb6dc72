package dispatch

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
)

// unansweredCalls is after how many calls without any reply a service is said never to answer.
const unansweredCalls = 3

// unanswered counts the calls of services that were sent and timed out, and whose service has not replied since the
// gateway started. Only known services are counted.
type unanswered struct {
	mu     sync.Mutex
	byName map[string]*silence // guarded by mu
}

// A silence is what is known of a service that has never replied.
type silence struct {
	calls   int
	longest time.Duration // that one of them waited
}

// add counts a call that waited for so long.
func (u *unanswered) add(name string, waited time.Duration) silence {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byName == nil || len(u.byName) >= maxServices {
		u.byName = map[string]*silence{}
	}
	s := u.byName[name]
	if s == nil {
		s = new(silence)
		u.byName[name] = s
	}
	s.calls++
	s.longest = max(s.longest, waited)
	return *s
}

// names returns the services that were called so often in vain, in no order.
func (u *unanswered) names() (all []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name, s := range u.byName {
		if s.calls >= unansweredCalls {
			all = append(all, name)
		}
	}
	return all
}

// has reports whether a service was called so often in vain.
func (u *unanswered) has(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.byName[name]
	return s != nil && s.calls >= unansweredCalls
}

// Silent returns the services that were called and never replied, although no broker denies them; by name.
func (d *Dispatcher) Silent() (names []string) {
	inForce := d.cfg.Catalogue.Catalogue()
	for _, name := range d.unanswered.names() {
		spec, _ := inForce.Get(name)
		if info, ok := d.info(name, spec); ok && info.Silent {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// neverAnswered counts a call that was sent and timed out, and returns what to tell its caller if its service has never
// replied. The log is told once.
func (d *Dispatcher) neverAnswered(name string, waited time.Duration) (detail string) {
	if d.services.get(name).everReplied() {
		return ""
	}
	s := d.unanswered.add(name, waited)
	if s.calls < unansweredCalls {
		return ""
	}
	if s.calls == unansweredCalls {
		d.cfg.Log.Warn("this service has never answered: "+gateway.UnansweredHint, zap.String("service", name), zap.Int("calls", s.calls), zap.Duration("took", s.longest))
	}
	return fmt.Sprintf("the service has answered none of its %d calls, of which the longest waited %v: %s", s.calls, s.longest.Round(time.Millisecond), gateway.UnansweredHint)
}
