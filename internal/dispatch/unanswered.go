package dispatch

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
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
	const advice = "its workers take no requests of this name, speak another dialect than their broker, or need more time"
	if s.calls == unansweredCalls {
		d.cfg.Log.Warn("this service has never answered: "+advice, zap.String("service", name), zap.Int("calls", s.calls), zap.Duration("took", s.longest))
	}
	return fmt.Sprintf("the service has answered none of its %d calls, of which the longest waited %v: %s", s.calls, s.longest.Round(time.Millisecond), advice)
}
