package dispatch

import (
	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/mdpx"
)

// plan checks and completes a call as call does, but asks no broker, and returns what
// would be sent to the first broker that the service may be asked at.
func (d *Dispatcher) plan(call *gateway.Call, spec *catalogue.Service) (gateway.Plan, error) {
	if spec == nil {
		if err := d.listed(d.services.get(call.Service)); err != nil {
			return gateway.Plan{}, err
		}
	}
	if err := d.complete(call, spec); err != nil {
		return gateway.Plan{}, err
	}
	var plan gateway.Plan
	plan.Timeout, _ = d.limit(call, spec)
	for _, b := range d.cfg.Brokers {
		if spec.MayAsk(b.Name) {
			plan.Dialect = b.Dialect
			break
		}
	}
	var err error
	if plan.Dialect.Multiplexed {
		id, ttl := mdpx.NumberID(1), mdpx.NewTTL(plan.Timeout)
		plan.Frames, err = mdpx.AppendRequest(nil, &id, &ttl, []byte(call.Service), call.Frames)
	} else {
		plan.Frames, err = plan.Dialect.AppendRequest(nil, []byte(call.Service), call.Frames)
	}
	if err != nil {
		return gateway.Plan{}, &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	return plan, nil
}
