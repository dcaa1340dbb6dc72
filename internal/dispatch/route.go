package dispatch

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/mdp"
)

const (
	retryEvery = 200 * time.Millisecond // a 404 that is waited out is asked again

	// Names that no broker ever confirmed share these, per broker.
	unknownLookupsPerSecond = 20
	unknownInFlight         = 2
)

// A brokerState is what the policy keeps of one broker.
type brokerState struct {
	budget  *rate.Limiter // of look-ups of names that nobody confirmed
	unknown atomic.Int32  // calls in flight to such names

	mu         sync.Mutex // guards what follows
	mutedUntil time.Time  // it does not answer MMI
	mutedEpoch uint64     // unless it came back since
	heard      bool       // it answered MMI, in heardEpoch
	heardEpoch uint64
	misses     int // questions in a row without answer
}

// missesUntilMuted is how many questions in a row a broker that answered before
// may leave without answer: it may only have been slow.
const missesUntilMuted = 3

func (b *brokerState) muted(now time.Time, epoch uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.mutedUntil) && epoch == b.mutedEpoch
}

func (b *brokerState) mute(until time.Time, epoch uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mutedUntil, b.mutedEpoch, b.misses = until, epoch, 0
}

func (b *brokerState) answered(epoch uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard, b.heardEpoch, b.misses = true, epoch, 0
}

// missed counts a question without answer, and reports whether the broker is one
// that does not answer any.
func (b *brokerState) missed(epoch uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.misses++
	return !b.heard || b.heardEpoch != epoch || b.misses >= missesUntilMuted
}

// A verdict is what one broker, or all of them, mean for a call.
type verdict int

// The verdicts, the one that counts last.
const (
	unreachable verdict = iota // it is not connected
	unlisted                   // it can't be asked, and the name is not in the catalogue
	deniedByMMI                // it has no workers for it
	overBudget                 // too many names that nobody knows are asked for
	allowed
)

// route chooses the brokers that a call may go to. svc is what is remembered of
// the service, if anything; release must be called when the call has ended.
func (d *Dispatcher) route(clock *clock, call *mdp.Call, spec *catalogue.Service) (svc *service, release func(), err error) {
	if spec == nil && d.cfg.Exclusive == Only {
		return nil, nil, notFound("the service is not in the catalogue")
	}
	var giveUp time.Time
	for {
		svc = d.services.get(call.Service)
		q := query{name: call.Service, spec: spec, svc: svc, again: !giveUp.IsZero()}
		best, err := d.survey(clock, &q, call)
		if err != nil {
			return nil, nil, err
		}
		if best == allowed {
			release, err := d.admitUnknown(&q, call)
			return d.services.get(call.Service), release, err
		}
		if best != deniedByMMI || spec == nil && !svc.remembered(time.Now()) {
			return nil, nil, refusal(best)
		}
		// The service is known to exist: it may be between two workers.
		if giveUp.IsZero() {
			giveUp = time.Now().Add(d.cfg.NoWorkersWait)
		}
		if err := pause(clock.waiting(), giveUp); err != nil {
			return nil, nil, err
		}
	}
}

// survey asks for every broker's verdict, notes in call those that allow it, and
// returns the one that counts.
func (d *Dispatcher) survey(clock *clock, q *query, call *mdp.Call) (best verdict, err error) {
	call.Brokers = nil
	all := true
	for i, broker := range d.cfg.Brokers {
		v := unreachable
		if serves(q.spec, broker) {
			if v, err = d.consider(clock, q, i); err != nil {
				return 0, err
			}
		}
		best = max(best, v)
		if all && v != allowed {
			all = false
			call.Brokers = upTo(i)
		} else if !all && v == allowed {
			call.Brokers = append(call.Brokers, i)
		}
	}
	return best, nil
}

// upTo returns 0, 1, … n-1: the brokers that allowed a call before one did not.
func upTo(n int) []int {
	brokers := make([]int, n)
	for i := range brokers {
		brokers[i] = i
	}
	return brokers
}

// serves reports whether the catalogue lets a service use a broker.
func serves(spec *catalogue.Service, b Broker) bool {
	return spec == nil || len(spec.Brokers) == 0 || slices.Contains(spec.Brokers, b.Name)
}

// admitUnknown bounds the calls in flight to names that no broker confirmed and
// that are sent because the catalogue is open.
func (d *Dispatcher) admitUnknown(q *query, call *mdp.Call) (release func(), err error) {
	if !q.unconfirmed {
		return func() {}, nil
	}
	brokers := call.Brokers
	if brokers == nil {
		brokers = upTo(len(d.brokers))
	}
	for _, i := range brokers {
		n := &d.brokers[i].unknown
		if n.Add(1) <= unknownInFlight {
			call.Brokers = []int{i}
			return func() { n.Add(-1) }, nil
		}
		n.Add(-1)
	}
	return nil, refusal(overBudget)
}

func refusal(v verdict) error {
	switch v {
	case unreachable:
		return &mdp.Error{Kind: mdp.BrokerUnavailable, Detail: "no broker can be reached"}
	case unlisted:
		return notFound("the service is not in the catalogue, and the broker does not say which services it has")
	case overBudget:
		return busy(mdp.ReasonLookup, "too many services that the broker does not know are asked for")
	default:
		return notFound("the broker has no such service")
	}
}

func notFound(detail string) error {
	return &mdp.Error{Kind: mdp.ServiceNotFound, Detail: detail}
}

// pause waits before a broker is asked again.
func pause(ctx context.Context, giveUp time.Time) error {
	if !time.Now().Before(giveUp) {
		return &mdp.Error{Kind: mdp.NoWorkers, Detail: "the service has no workers at the moment"}
	}
	timer := time.NewTimer(retryEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return mdp.Ended(context.Cause(ctx), false)
	}
}
