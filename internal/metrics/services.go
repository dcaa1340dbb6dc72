package metrics

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"mdpgateway/internal/gateway"
)

// The names of services that have none of their own.
const (
	unknownService = "_unknown" // never confirmed to exist
	otherService   = "_other"   // known, beyond the most that are named
)

// A service is the series of one service, or of all unknown or all other ones,
// that every call of it needs.
type service struct {
	name                   string // the label
	inFlight               prometheus.Gauge
	ok                     prometheus.Counter
	okDuration             prometheus.Observer
	requestSize, replySize prometheus.Observer
}

// services are the series by service, and the bound on their number.
type services struct {
	// Set once. unknown and other make their series when first called: without
	// strangers there is no _unknown.
	max            int
	calls          *calls
	unknown, other func() *service

	mu    sync.RWMutex
	named map[string]*service // guarded by mu
}

func newServices(max int, c *calls) *services {
	s := &services{max: max, calls: c, named: map[string]*service{}}
	s.unknown = sync.OnceValue(func() *service { return s.create(unknownService) })
	s.other = sync.OnceValue(func() *service { return s.create(otherService) })
	return s
}

// get returns the series of a service. The name of one that is not known is
// never kept.
func (s *services) get(name string, known bool) *service {
	if !known {
		return s.unknown()
	}
	found, full := s.find(name)
	switch {
	case found != nil:
		return found
	case full:
		return s.other()
	}
	return s.add(name)
}

// find returns the series of a service that has some, and whether no other may have.
func (s *services) find(name string) (found *service, full bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.named[name], len(s.named) >= s.max
}

// add makes the series of a service unless it has some, or no other may.
func (s *services) add(name string) *service {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.named[name] == nil {
		if len(s.named) >= s.max {
			return s.other()
		}
		s.named[name] = s.create(name)
	}
	return s.named[name]
}

// label returns the label of a service that was called.
func (s *services) label(name string) string {
	found, full := s.find(name)
	switch {
	case found != nil:
		return name
	case full:
		return otherService
	}
	return unknownService
}

// names returns the services that have series of their own, in no order.
func (s *services) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.named))
}

// create makes the series of a service, also of what it may never count: rate() does not
// see the first event of a counter that begins at 1.
func (s *services) create(name string) *service {
	c := s.calls
	c.total.WithLabelValues(name, outcomeTimeout)
	c.total.WithLabelValues(name, string(gateway.WorkerError))
	for _, stage := range gateway.TimeoutStages() {
		c.timeouts.WithLabelValues(name, stage)
	}
	for _, was := range []gateway.Was{gateway.WasQueued, gateway.WasDispatched} {
		c.canceled.WithLabelValues(name, string(was))
	}
	return &service{
		name:        name,
		inFlight:    c.inFlight.WithLabelValues(name),
		ok:          c.total.WithLabelValues(name, outcomeOK),
		okDuration:  c.duration.WithLabelValues(name, outcomeOK),
		requestSize: c.requestSize.WithLabelValues(name),
		replySize:   c.replySize.WithLabelValues(name),
	}
}
