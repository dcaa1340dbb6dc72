package dispatch

import (
	"context"
	"time"

	"mdpgateway/internal/gateway"
)

// PrepareJob checks a call that is to be made later, and completes its frames. A service is refused if it may not be
// called or if no broker knows it; one that is known is taken, whether or not it has workers now.
func (d *Dispatcher) PrepareJob(ctx context.Context, call *gateway.Call) error {
	spec, _ := d.cfg.Catalogue.Get(call.Service)
	if err := d.complete(call, spec); err != nil {
		return err
	}
	if err := d.excluded(spec); err != nil || spec != nil {
		return err
	}
	q := query{name: call.Service, svc: d.services.get(call.Service)}
	if q.svc.remembered(time.Now()) {
		return nil
	}
	question := gateway.Call{Request: gateway.Request{Service: call.Service}}
	clock := d.start(ctx, &question, nil)
	defer clock.end()
	best, err := d.survey(clock, &q, &question)
	if err == nil && best != allowed {
		err = refusal(best)
	}
	return err
}

// RunJob makes a call that PrepareJob has completed. It does not wait for a worker: the queue does. Unless the call
// was about to be sent, which Sending tells, nothing is counted.
func (d *Dispatcher) RunJob(ctx context.Context, call gateway.Call) (reply gateway.Reply, err error) {
	d.settle()
	spec, _ := d.cfg.Catalogue.Get(call.Service)
	var svc *service
	known, counted := false, false
	sending := call.Sending
	call.Sending = func() error {
		if err := sending(); err != nil {
			return err
		}
		counted = true
		svc, known = d.began(call.Service, spec)
		return nil
	}
	reply.Broker, err = -1, errPanicked
	defer func() {
		if counted {
			err = d.ended(&call, &reply, known, svc, err)
		}
		if call.Leave != nil { // no orphan holds the places
			call.Leave()
		}
	}()
	err = d.send(ctx, &call, spec, &reply)
	return reply, err
}

// An adopter is a Pool that can wait for replies to what other processes have sent.
type adopter interface {
	CanAdopt(route gateway.Route) (can, known bool)
	Adopt(ctx context.Context, route gateway.Route, req gateway.Request) (gateway.Reply, error)
}

// CanAdoptJob reports whether AdoptJob can connect to the broker of a route now. Known is false if it never will.
func (d *Dispatcher) CanAdoptJob(route gateway.Route) (can, known bool) {
	pool, ok := d.cfg.Pool.(adopter)
	if !ok {
		return false, false
	}
	return pool.CanAdopt(route)
}

// AdoptJob waits for the reply to a job's call that a gateway has sent which is gone, and judges it as RunJob does. It
// counts as no call.
func (d *Dispatcher) AdoptJob(ctx context.Context, route gateway.Route, req gateway.Request) (reply gateway.Reply, err error) {
	reply, err = d.cfg.Pool.(adopter).Adopt(ctx, route, req)
	if err == nil {
		spec, _ := d.cfg.Catalogue.Get(req.Service)
		err = d.judge(spec, &reply)
	}
	if err != nil {
		e := gateway.AsError(err)
		e.Service = req.Service
		err = e
	}
	return reply, err
}

// JobRules is what the catalogue says of a service's jobs.
func (d *Dispatcher) JobRules(service string) gateway.JobRules {
	spec, _ := d.cfg.Catalogue.Get(service)
	if spec == nil {
		return gateway.JobRules{}
	}
	return spec.Jobs
}
