package access

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A use is what a caller has in use. It lives on when its principal is read again, or a
// reload would give everybody a fresh rate and share.
type use struct {
	inFlight *atomic.Int64
	limiter  *rate.Limiter // nil if the principal has no rate
}

func newUse(r Rate) *use { return &use{new(atomic.Int64), r.limiter()} }

func (r Rate) limiter() *rate.Limiter {
	if r.Calls == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(r.Calls)/r.Per.Seconds()), r.Calls)
}

// idle reports whether forgetting the use would give nobody more than it has.
func (u *use) idle(now time.Time) bool {
	return u.inFlight.Load() == 0 && (u.limiter == nil || u.limiter.TokensAt(now) >= float64(u.limiter.Burst()))
}

// mostSubjects bounds the subjects of one principal that are told apart. It takes some 3 MiB.
const mostSubjects = 10_000

// uses are what the callers of one principal have in use: all callers together, but each subject of a token alone.
type uses struct {
	// Set once.
	rate Rate
	all  *use // of keys and certificates, and of subjects beyond mostSubjects

	mu        sync.Mutex
	bySubject map[string]*use // guarded by mu
}

// next returns the uses of the same principal after it was read again, or of a new one if there are none.
func (u *uses) next(r Rate) *uses {
	switch {
	case u == nil:
		return &uses{rate: r, all: newUse(r), bySubject: make(map[string]*use)}
	case u.rate == r:
		return u
	}
	next := &uses{rate: r, all: &use{u.all.inFlight, r.limiter()}, bySubject: make(map[string]*use)}
	u.mu.Lock()
	defer u.mu.Unlock()
	for subject, before := range u.bySubject {
		next.bySubject[subject] = &use{before.inFlight, r.limiter()}
	}
	return next
}

// of returns what a token's subject has in use.
func (u *uses) of(subject string, now time.Time) *use {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.bySubject[subject]; known != nil {
		return known
	}
	if len(u.bySubject) >= mostSubjects {
		u.forgetIdle(now)
	}
	if len(u.bySubject) >= mostSubjects {
		return u.all
	}
	made := newUse(u.rate)
	u.bySubject[subject] = made
	return made
}

// forgetIdle makes room for other subjects. It is called with mu held.
func (u *uses) forgetIdle(now time.Time) {
	for subject, each := range u.bySubject {
		if each.idle(now) {
			delete(u.bySubject, subject)
		}
	}
}
