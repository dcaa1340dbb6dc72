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
	base      time.Time      // what times are counted from, by the monotonic clock
	confirmed []atomic.Int64 // when it was last, by broker; 0 means never
	replies   []atomic.Int64 // when the last reply came, by broker; 0 means never
	status    []atomic.Value // MMI's last word, by broker
	working   []atomic.Int64 // calls that may be at work there, by broker
	touched   atomic.Int64   // the newest of all these times

	inFlight      atomic.Int64 // calls that began after it was confirmed
	calls, failed atomic.Uint64
	largest       recent // bytes of the largest reply
	slowest       recent // nanoseconds that a reply took
}

// at is a moment in nanoseconds from 1 on, which the wall clock does not change.
func (s *service) at(now time.Time) int64 { return int64(now.Sub(s.base)) + 1 }

// within reports whether a moment was, and is not longer ago than that.
func (s *service) within(last int64, now time.Time, d time.Duration) bool {
	return last > 0 && s.at(now)-last < int64(d)
}

// A recent is the largest of the values lately.
type recent struct{ atomic.Int64 }

// fade is how fast a large value is forgotten: each smaller one takes that part of the
// difference away, so that after 100 of them 0.2 % of it is left.
const fade = 16

func (r *recent) note(value int64) {
	if largest := r.Load(); value < largest {
		value = largest - (largest-value+fade-1)/fade
	}
	r.Store(value)
}

// expected returns how many bytes a reply is likely to have at most.
func (s *service) expected() int64 {
	if s == nil {
		return 0
	}
	return s.largest.Load()
}

// usual returns how long a reply takes at most, as far as is known; 0 means that there
// was none.
func (s *service) usual() time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(s.slowest.Load())
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
			ago := (s.at(now) - last) / int64(time.Millisecond)
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
	s.replies[broker].Store(s.at(now))
	s.confirm(broker, now)
}

func (s *service) confirm(broker int, now time.Time) {
	s.confirmed[broker].Store(s.at(now))
	s.touched.Store(s.at(now))
}

// known reports whether the broker confirmed the service a moment ago.
func (s *service) known(broker int, now time.Time) bool {
	return s != nil && s.within(s.confirmed[broker].Load(), now, knownFor)
}

// met reports whether the broker ever confirmed the service, by its word or by a reply.
func (s *service) met(broker int) bool { return s != nil && s.confirmed[broker].Load() > 0 }

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

// everReplied reports whether any call was answered.
func (s *service) everReplied() bool {
	if s == nil {
		return false
	}
	for i := range s.replies {
		if s.replies[i].Load() > 0 {
			return true
		}
	}
	return false
}

// remembered reports whether the service answered lately, so that it may only be
// between two workers.
func (s *service) remembered(now time.Time) bool {
	if s == nil {
		return false
	}
	for i := range s.replies {
		if s.within(s.replies[i].Load(), now, rememberedFor) {
			return true
		}
	}
	return false
}

// services holds what is remembered of services.
type services struct {
	base    time.Time
	brokers int

	mu       sync.RWMutex // guards what follows
	byName   map[string]*service
	inFlight map[string]int // of services with a limit
	givenUp  map[given]int  // calls that were given up and hold places
}

// A given is who gave up calls of a service.
type given struct{ service, caller string }

func newServices(brokers int) *services {
	return &services{base: time.Now(), brokers: brokers, byName: map[string]*service{}, inFlight: map[string]int{}, givenUp: map[given]int{}}
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
		s.evictOldest()
	}
	svc := &service{
		base: s.base, confirmed: make([]atomic.Int64, s.brokers), replies: make([]atomic.Int64, s.brokers),
		working: make([]atomic.Int64, s.brokers), status: make([]atomic.Value, s.brokers),
	}
	s.byName[name] = svc
	return svc
}

func (s *services) evictOldest() {
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
		ago = time.Duration(svc.at(time.Now()) - t)
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

// enter takes one of a service's places. leave gives it back; it is nil if the service has
// no limit. A caller who gave up calls that hold half of the places gets no more: to give up costs nothing, and
// the other half is for those who wait.
func (s *services) enter(name, caller string, spec *catalogue.Service) (leave func(), err error) {
	if spec == nil || spec.MaxInFlight == 0 {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.full(name, spec); err != nil {
		return nil, err
	}
	if s.givenUp[given{name, caller}] >= max(1, spec.MaxInFlight/2) {
		return nil, gateway.Refused(gateway.ReasonService, "calls that this caller gave up may hold half of the service's places, and do")
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

// giveUp counts a call that its caller gave up, until end.
func (s *services) giveUp(name, caller string) (end func()) {
	add := func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.givenUp[given{name, caller}] += n; s.givenUp[given{name, caller}] == 0 {
			delete(s.givenUp, given{name, caller})
		}
	}
	add(1)
	return func() { add(-1) }
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
