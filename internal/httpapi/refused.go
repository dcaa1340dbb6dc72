package httpapi

import (
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	refusedEvery  = time.Minute // an origin is warned about once in this time
	refusedAtOnce = 100         // origins that are warned about in it: pages can make up any number
	maxOrigin     = 200         // bytes of an origin in the log
)

// refusals remembers which origins the log was warned about.
type refusals struct {
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu
}

// first reports whether an origin was not refused within the last minute.
func (s *refusals) first(origin string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[origin]; ok && now.Sub(last) < refusedEvery {
		return false
	}
	for o, last := range s.last {
		if now.Sub(last) >= refusedEvery {
			delete(s.last, o)
		}
	}
	if len(s.last) >= refusedAtOnce {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[origin] = now
	return true
}

// noteRefused warns that a page of a foreign origin was refused: its user sees no more than a failed request.
func (a *API) noteRefused(r *http.Request) {
	origin := printable(r.Header.Get("Origin"), maxOrigin)
	if a.refusals.first(origin, time.Now()) {
		a.cfg.Log.Warn("a page of a foreign origin was refused; allow it with --cors-origin if it is yours",
			zap.String("origin", origin), zap.String("peer", r.RemoteAddr))
	}
}
