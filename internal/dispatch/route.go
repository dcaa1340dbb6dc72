package dispatch

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
)

const retryEvery = 200 * time.Millisecond // a 404 that is waited out is asked again

// A brokerState is what the policy keeps of one broker.
type brokerState struct {
	budget  *lookupBudget // of names that nobody confirmed
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

// The verdicts, the one that counts last. The first two are open: the broker must
// be asked.
const (
	untried     verdict = iota // it is not even known whether it can be reached
	unasked                    // it can be reached
	unreachable                // it is not connected
	unlisted                   // it can't be asked, and the name is not in the catalogue
	deniedByMMI                // it has no workers for it
	unheardOf                  // the question could not be put, or was not answered in time
	overBudget                 // too many names that nobody knows are asked for
	allowed
)

// route chooses the brokers that a call may go to. svc is what is remembered of
// the service, if anything; release must be called when the call has ended.
func (d *Dispatcher) route(clock *clock, call *gateway.Call, spec *catalogue.Service) (svc *service, release func(), err error) {
	if err := d.excluded(spec); err != nil {
		return nil, nil, err
	}
	var giveUp time.Time
	for {
		svc = d.services.get(call.Service)
		q := query{name: call.Service, caller: call.Caller, spec: spec, svc: svc, again: !giveUp.IsZero()}
		best, err := d.survey(clock, &q, call)
		if err != nil {
			return nil, nil, err
		}
		if best == allowed {
			q.svc = d.services.get(call.Service) // a broker may just have confirmed it
			release, err := d.admitUnknown(&q, call)
			if err == nil && !q.assumed && q.svc != nil { // an assumption is no ground for the next
				release = q.svc.work(call.Brokers)
			}
			return q.svc, release, err
		}
		if !q.mayReturn(best) {
			return nil, nil, refusal(best)
		}
		if waiting := d.waitingAt(&q, call); waiting != nil {
			call.Brokers = waiting
			return q.svc, func() {}, nil
		}
		if giveUp.IsZero() {
			giveUp = time.Now().Add(d.cfg.NoWorkersWait)
			if call.Sending != nil { // whoever queues it waits
				giveUp = time.Now()
			}
		}
		if err := pause(clock.waiting(), giveUp); err != nil {
			return nil, nil, err
		}
	}
}

// waitingAt returns the brokers at which a call may wait for the workers of a service that has
// none: those that tell when they give up a request. A call that is queued elsewhere waits there.
func (d *Dispatcher) waitingAt(q *query, call *gateway.Call) (brokers []int) {
	if call.Sending != nil {
		return nil
	}
	for i, b := range d.cfg.Brokers {
		if state, _ := d.cfg.Pool.State(i); b.Dialect.Multiplexed && state == gateway.Up && q.spec.MayAsk(b.Name) {
			brokers = append(brokers, i)
		}
	}
	return brokers
}

// excluded returns the error of every call to a service that is not in the catalogue, if
// only those of the catalogue may be called.
func (d *Dispatcher) excluded(spec *catalogue.Service) error {
	if spec == nil && d.cfg.CatalogueMode == CatalogueOnly {
		return notFound("the service is not in the catalogue")
	}
	return nil
}

// sendable returns the error that every call to a service has now, as far as it is known
// without asking.
func (d *Dispatcher) sendable(name string, spec *catalogue.Service) error {
	if err := d.excluded(spec); err != nil {
		return err
	}
	q := query{name: name, spec: spec, svc: d.services.get(name)}
	var few [8]verdict
	verdicts := d.verdicts(&q, few[:0])
	best := slices.Max(verdicts)
	if slices.Min(verdicts) <= unasked || best == allowed || q.mayReturn(best) {
		return nil
	}
	return refusal(best)
}

// verdicts appends every broker's verdict, as far as it is known without asking.
func (d *Dispatcher) verdicts(q *query, to []verdict) []verdict {
	for i, broker := range d.cfg.Brokers {
		v := unreachable
		if q.spec.MayAsk(broker.Name) {
			v = d.consider(q, i)
		}
		to = append(to, v)
	}
	return to
}

// survey finds every broker's verdict, notes in call those that allow it, and
// returns the one that counts. One that hangs, or that nobody has reached yet,
// does not hold up a call that another can take.
func (d *Dispatcher) survey(clock *clock, q *query, call *gateway.Call) (best verdict, err error) {
	var few [8]verdict // so that nothing is allocated
	verdicts := d.verdicts(q, few[:0])
	for _, open := range [...]verdict{unasked, untried} {
		if slices.Contains(verdicts, open) && (open == unasked || slices.Max(verdicts) < allowed) {
			if err := d.inquire(clock, q, verdicts, open); err != nil {
				return 0, err
			}
		}
	}
	call.Brokers = nil
	if slices.Min(verdicts) < allowed {
		call.Brokers = allowing(verdicts)
	}
	return max(slices.Max(verdicts), unreachable), nil
}

// inquire asks all brokers of that open verdict at the same time. If one allows
// the call already, it waits a moment only: those that say no more by then stay
// open, and are heard for the calls to come.
func (d *Dispatcher) inquire(clock *clock, q *query, verdicts []verdict, open verdict) error {
	ctx := clock.waiting()
	answers := make([]<-chan singleflight.Result, len(verdicts))
	for i, v := range verdicts {
		if v == open {
			answers[i] = d.ask(ctx, q, i)
		}
	}
	wait := ctx
	if slices.Contains(verdicts, allowed) {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, gateway.BalanceWait)
		defer cancel()
	}
	for i, answer := range answers {
		if answer == nil {
			continue
		}
		select {
		case result := <-answer:
			if verdicts[i] = result.Val.(verdict); verdicts[i] == unlisted {
				verdicts[i] = d.unaskable(q)
			}
		case <-wait.Done():
			if ctx.Err() != nil {
				return gateway.Ended(ctx, false)
			}
		}
	}
	return nil
}

// listed returns the error of every call to a service that is not in the catalogue,
// as far as it is known without asking; nil means that a broker may allow it. svc is
// what is remembered of it, if anything.
func (d *Dispatcher) listed(svc *service) error {
	switch {
	case d.cfg.CatalogueMode == CatalogueOnly:
		return notFound("the service is not in the catalogue")
	case d.cfg.CatalogueMode == CatalogueOpen || svc != nil:
		return nil
	}
	for i := range d.cfg.Brokers {
		if _, epoch := d.cfg.Pool.State(i); d.askable(i, epoch, time.Now()) {
			return nil
		}
	}
	return refusal(unlisted)
}

// allowing returns the brokers that allow a call.
func allowing(verdicts []verdict) (brokers []int) {
	brokers = make([]int, 0, len(verdicts)) // nil would mean all
	for i, v := range verdicts {
		if v == allowed {
			brokers = append(brokers, i)
		}
	}
	return brokers
}

// admitUnknown bounds the calls in flight to names that no broker confirmed and
// that are sent because the catalogue is open.
func (d *Dispatcher) admitUnknown(q *query, call *gateway.Call) (release func(), err error) {
	if !q.unconfirmed || q.svc != nil {
		return func() {}, nil
	}
	for i := range d.brokers {
		if call.Brokers != nil && !slices.Contains(call.Brokers, i) {
			continue
		}
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
		return &gateway.Error{Kind: gateway.BrokerUnavailable, Detail: gateway.NoBroker}
	case unlisted:
		return notFound("the service is not in the catalogue, and the broker does not say which services it has: " + gateway.SilentHint)
	case unheardOf:
		return &gateway.Error{Kind: gateway.BrokerUnavailable, Detail: "the broker did not say in time whether it has the service"}
	case overBudget:
		return gateway.Refused(gateway.ReasonLookup, "too many services that the broker does not know are asked for")
	default:
		return notFound("the broker has no such service")
	}
}

func notFound(detail string) error {
	return &gateway.Error{Kind: gateway.ServiceNotFound, Detail: detail}
}

// pause waits before a broker is asked again.
func pause(ctx context.Context, giveUp time.Time) error {
	if !time.Now().Before(giveUp) {
		return &gateway.Error{Kind: gateway.NoWorkers, Detail: "the service has no workers at the moment"}
	}
	timer := time.NewTimer(retryEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return gateway.Ended(ctx, false)
	}
}
