package dispatch

import (
	"context"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// mutedFor is how long a broker that did not answer a look-up is not asked.
const mutedFor = time.Minute

// A query is the question which brokers a name may be sent to.
type query struct {
	name   string
	caller string             // who asks; may be empty
	spec   *catalogue.Service // nil if it is not in the catalogue
	svc    *service           // nil if no broker confirmed it
	again  bool               // a denial is being waited out: do not trust the cache

	assumed     bool // answer: it is allowed because the broker is at work on it
	unconfirmed bool // answer: it is allowed although no broker confirmed it
}

func (q *query) established() bool { return q.spec != nil || q.svc != nil }

// mayReturn reports whether a denial is waited out: the service is known to exist and may
// be between two workers.
func (q *query) mayReturn(v verdict) bool {
	return v == deniedByMMI && (q.spec != nil || q.svc.remembered(time.Now()))
}

// consider returns one broker's verdict, as far as it is known without asking.
// Whatever a broker said before, it can't take a call while it is down.
func (d *Dispatcher) consider(q *query, broker int) verdict {
	now := time.Now()
	state, epoch := d.cfg.Pool.State(broker)
	switch {
	case state == gateway.Down:
		return unreachable
	case q.svc.known(broker, now):
		return allowed
	case q.svc.workingAt(broker):
		q.assumed = true
		return allowed
	case !d.askable(broker, epoch, now):
		return d.unaskable(q)
	case d.cfg.Brokers[broker].Dialect.MMI == mdp.MMIHint && (q.spec != nil || q.svc.met(broker)):
		return allowed
	case state == gateway.Up && d.cfg.Brokers[broker].Live != nil:
		return d.ofRegistry(q, broker, now)
	case !q.again && d.absent.has(broker, q.name, now):
		return deniedByMMI
	case state == gateway.Pending:
		return untried
	}
	return unasked
}

// ofRegistry is the verdict of a broker in this process, which costs no question: names
// that nobody knows can't keep others from being asked for.
func (d *Dispatcher) ofRegistry(q *query, broker int, now time.Time) verdict {
	if d.cfg.Brokers[broker].Live.Service(q.name).Workers == 0 {
		if q.svc != nil {
			q.svc.status[broker].Store(mdp.StatusNotFound)
		}
		return deniedByMMI
	}
	svc := d.services.add(q.name)
	svc.status[broker].Store(mdp.StatusFound)
	svc.confirm(broker, now)
	return allowed
}

// askable reports whether a broker answers look-ups in this epoch, as far as is known.
func (d *Dispatcher) askable(broker int, epoch uint64, now time.Time) bool {
	return d.cfg.Brokers[broker].Dialect.MMI != mdp.MMIOff && !d.brokers[broker].muted(now, epoch)
}

// unaskable is the verdict of a broker that can't be asked.
func (d *Dispatcher) unaskable(q *query) verdict {
	switch {
	case q.established():
		return allowed
	case d.cfg.CatalogueMode == CatalogueOpen:
		q.unconfirmed = true
		return allowed
	}
	return unlisted
}

// ask looks a name up; callers that ask the same at the same time share the
// answer, which is a verdict.
func (d *Dispatcher) ask(ctx context.Context, q *query, broker int) <-chan singleflight.Result {
	name, caller, established := q.name, q.caller, q.established()
	return d.lookups.DoChan(strconv.Itoa(broker)+" "+name, func() (any, error) {
		// It outlives a caller that leaves: others wait for it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.LookupWait)
		defer cancel()
		return d.lookUp(ctx, broker, name, caller, established), nil
	})
}

// lookUp asks a broker, and remembers what it says. The verdict is unlisted if
// it does not answer such questions.
func (d *Dispatcher) lookUp(ctx context.Context, broker int, name, caller string, established bool) verdict {
	b := &d.brokers[broker]
	if !established && !b.budget.allow(caller) {
		d.cfg.Observer.LookedUp(gateway.LookupRefused)
		return overBudget
	}
	_, epoch := d.cfg.Pool.State(broker)
	status, err := d.cfg.Pool.Lookup(ctx, broker, name)
	now := time.Now()
	if err != nil {
		kind := gateway.AsError(err).Kind
		d.cfg.Observer.LookedUp(string(kind))
		switch kind {
		case gateway.Timeout, gateway.BadReply:
			if !b.missed(epoch) {
				return unheard(established)
			}
			d.mute(broker, now, epoch, err)
			return unlisted
		case gateway.Busy:
			return unheard(established)
		}
		return unreachable
	}
	d.cfg.Observer.LookedUp(status)
	b.answered(epoch)
	switch status {
	case mdp.StatusFound:
		svc := d.services.add(name)
		svc.status[broker].Store(status)
		svc.confirm(broker, now)
		return allowed
	case mdp.StatusNotFound:
		if svc := d.services.get(name); svc != nil {
			svc.status[broker].Store(status)
		}
		d.absent.add(broker, name, now)
		return deniedByMMI
	}
	d.mute(broker, now, epoch, nil)
	return unlisted
}

// unheard is the verdict on a name whose question could not be put: that the
// machine is busy says nothing about the broker, so it must not become a 404.
func unheard(established bool) verdict {
	if established {
		return unlisted
	}
	return unheardOf
}

// mute keeps a broker from being asked for a while, or until it comes back.
func (d *Dispatcher) mute(broker int, now time.Time, epoch uint64, err error) {
	d.brokers[broker].mute(now.Add(mutedFor), epoch)
	d.cfg.Log.Info("broker does not answer mmi.service, not asked for a minute",
		zap.String("endpoint", d.cfg.Brokers[broker].Name), zap.Error(err))
}
