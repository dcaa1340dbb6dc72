package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
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
	okDuration             exemplified
	requestSize, replySize prometheus.Observer
}

// services are the series by service, and the bound on their number.
type services struct {
	// Set once. unknown and other make their series when first called: without
	// strangers there is no _unknown.
	max            int
	calls          *calls
	unknown, other func() *service

	named cache[string, *service] // guards itself
}

func newServices(max int, c *calls) *services {
	s := &services{max: max, calls: c}
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
	if found, ok := s.named.get(name); ok {
		return found
	}
	if !s.named.full(s.max) {
		if added, ok := s.named.put(name, s.max, func() *service { return s.create(name) }); ok {
			return added
		}
	}
	return s.other()
}

// label returns the label of a service that was called.
func (s *services) label(name string) string {
	if _, ok := s.named.get(name); ok {
		return name
	}
	if s.named.full(s.max) {
		return otherService
	}
	return unknownService
}

func (s *services) create(name string) *service {
	c := s.calls
	return &service{
		name:        name,
		inFlight:    c.inFlight.WithLabelValues(name),
		ok:          c.total.WithLabelValues(name, outcomeOK),
		okDuration:  exemplified{series: c.duration.WithLabelValues(name, outcomeOK)},
		requestSize: c.requestSize.WithLabelValues(name),
		replySize:   c.replySize.WithLabelValues(name),
	}
}
