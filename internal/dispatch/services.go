package dispatch

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
)

const (
	// maxServices bounds the names that are remembered because a broker
	// confirmed them. Some brokers confirm any name that was ever asked for.
	maxServices = 10_000

	// maxAbsent bounds the names that are remembered because a broker denied
	// them; the two are apart so that a scanner cannot push out what is in use.
	maxAbsent = 4_096

	knownFor      = 5 * time.Second  // after a reply or a 200, a service is sent to without asking
	rememberedFor = 10 * time.Minute // after a reply, a 404 is waited out
	absentFor     = time.Second      // a 404 is not asked again
)

// A service is what is remembered of a name that a broker confirmed, by a reply
// or by MMI.
type service struct {
	confirmed []atomic.Int64 // Unix nanoseconds of the last time, by broker
	replies   []atomic.Int64 // Unix nanoseconds of the last reply, by broker
	status    []atomic.Value // MMI's last word, by broker
	working   []atomic.Int64 // calls that may be at work there, by broker
	touched   atomic.Int64   // Unix nanoseconds of the newest of all these

	inFlight      atomic.Int64 // calls that began after it was confirmed
	calls, failed atomic.Uint64
	largest       atomic.Int64 // bytes of the largest reply lately
}

// fade is how fast a large reply is forgotten: each smaller one takes that part of the
// difference away, so that after 100 of them 0.2 % of it is left.
const fade = 16

// received notes the size of a reply.
func (s *service) received(size int64) {
	if largest := s.largest.Load(); size < largest {
		size = largest - (largest-size+fade-1)/fade
	}
	s.largest.Store(size)
}

// expected returns how many bytes a reply is likely to have at most.
func (s *service) expected() int64 {
	if s == nil {
		return 0
	}
	return s.largest.Load()
}

// begin counts a call, which ends with end. A nil service counts nothing.
func (s *service) begin() {
	if s != nil {
		s.inFlight.Add(1)
	}
}

func (s *service) end(failed bool) {
	if s == nil {
		return
	}
	s.inFlight.Add(-1)
	s.calls.Add(1)
	if failed {
		s.failed.Add(1)
	}
}

// count adds what became of the service's calls.
func (s *service) count(info *gateway.ServiceInfo, now time.Time) {
	info.InFlight, info.Calls, info.Failed = s.inFlight.Load(), s.calls.Load(), s.failed.Load()
	for i := range s.replies {
		if last := s.replies[i].Load(); last > 0 {
			ago := (now.UnixNano() - last) / int64(time.Millisecond)
			if info.LastOK == nil || ago < *info.LastOK {
				info.LastOK = &ago
			}
		}
	}
}

// said returns MMI's last word about the service, empty if there was none.
func (s *service) said(broker int) string {
	if s == nil {
		return ""
	}
	status, _ := s.status[broker].Load().(string)
	return status
}

func (s *service) replied(broker int, now time.Time) {
	s.replies[broker].Store(now.UnixNano())
	s.confirm(broker, now)
}

func (s *service) confirm(broker int, now time.Time) {
	s.confirmed[broker].Store(now.UnixNano())
	s.touched.Store(now.UnixNano())
}

// known reports whether the broker confirmed the service a moment ago.
func (s *service) known(broker int, now time.Time) bool {
	return s != nil && now.UnixNano()-s.confirmed[broker].Load() < int64(knownFor)
}

// work counts a call that one of these brokers may be at work on, until done; nil means
// any of them.
func (s *service) work(brokers []int) (done func()) {
	add := func(n int64) {
		for i := range s.working {
			if brokers == nil || slices.Contains(brokers, i) {
				s.working[i].Add(n)
			}
		}
	}
	add(1)
	return func() { add(-1) }
}

// workingAt reports whether the broker may be at work on a call of the service: it knows it
// then, although some brokers deny a service while all its workers are busy.
func (s *service) workingAt(broker int) bool { return s != nil && s.working[broker].Load() > 0 }

// remembered reports whether the service answered lately, so that it may only be
// between two workers.
func (s *service) remembered(now time.Time) bool {
	if s == nil {
		return false
	}
	for i := range s.replies {
		if last := s.replies[i].Load(); last > 0 && now.UnixNano()-last < int64(rememberedFor) {
			return true
		}
	}
	return false
}

// services holds what is remembered of services.
type services struct {
	brokers int

	mu       sync.RWMutex // guards what follows
	byName   map[string]*service
	inFlight map[string]int // of services with a limit
}

func newServices(brokers int) *services {
	return &services{brokers: brokers, byName: map[string]*service{}, inFlight: map[string]int{}}
}

// get returns what is remembered of a name, or nil.
func (s *services) get(name string) *service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// names returns the names that are remembered, in no order.
func (s *services) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.byName))
}

// add begins to remember a name, in place of the one that was longest unused if
// there are too many.
func (s *services) add(name string) *service {
	s.mu.Lock()
	defer s.mu.Unlock()
	if svc := s.byName[name]; svc != nil {
		return svc
	}
	if len(s.byName) >= maxServices {
		s.forgetOldest()
	}
	svc := &service{
		confirmed: make([]atomic.Int64, s.brokers), replies: make([]atomic.Int64, s.brokers),
		working: make([]atomic.Int64, s.brokers), status: make([]atomic.Value, s.brokers),
	}
	s.byName[name] = svc
	return svc
}

func (s *services) forgetOldest() {
	var oldest string
	var when int64
	for name, svc := range s.byName {
		if t := svc.touched.Load(); oldest == "" || t < when {
			oldest, when = name, t
		}
	}
	delete(s.byName, oldest)
}

// last says how long ago a service replied, negative if it never did, and what
// the broker last said of it.
func (s *services) last(name string, broker int) (ago time.Duration, mmi string) {
	ago, mmi = -1, "unknown"
	svc := s.get(name)
	if svc == nil || broker < 0 {
		return ago, mmi
	}
	if t := svc.replies[broker].Load(); t > 0 {
		ago = time.Since(time.Unix(0, t))
	}
	if said := svc.said(broker); said != "" {
		mmi = said
	}
	return ago, mmi
}

// room returns an error if a service has a limit and no place is free.
func (s *services) room(name string, spec *catalogue.Service) error {
	if spec == nil || spec.MaxInFlight == 0 {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.full(name, spec)
}

// full is room with mu held.
func (s *services) full(name string, spec *catalogue.Service) error {
	if s.inFlight[name] < spec.MaxInFlight {
		return nil
	}
	return gateway.Refused(gateway.ReasonService, "the service has as many calls in flight as it may")
}

// enter takes one of a service's places, if it has a limit. leave gives it back.
func (s *services) enter(name string, spec *catalogue.Service) (leave func(), err error) {
	if spec == nil || spec.MaxInFlight == 0 {
		return func() {}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.full(name, spec); err != nil {
		return nil, err
	}
	s.inFlight[name]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.inFlight[name]--; s.inFlight[name] == 0 {
			delete(s.inFlight, name)
		}
	}, nil
}

// absent remembers for a moment which names a broker denied.
type absent struct {
	mu    sync.Mutex
	until map[denied]time.Time // guarded by mu
}

type denied struct {
	broker int
	name   string
}

func newAbsent() *absent { return &absent{until: map[denied]time.Time{}} }

func (a *absent) has(broker int, name string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Before(a.until[denied{broker, name}])
}

// add remembers a name. If there are too many, all are forgotten: look-ups of
// such names have a budget of their own.
func (a *absent) add(broker int, name string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.until) >= maxAbsent {
		clear(a.until)
	}
	a.until[denied{broker, name}] = now.Add(absentFor)
}
