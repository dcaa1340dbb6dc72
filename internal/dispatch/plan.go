package dispatch

import "mdpgateway/internal/gateway"

// Plan checks a call as Call does, but asks no broker, and returns what would be
// sent: to the first broker that the service may be asked at. The error is an
// *gateway.Error.
func (d *Dispatcher) Plan(call gateway.Call) (gateway.Plan, error) {
	spec, _ := d.cfg.Catalogue.Get(call.Service)
	if spec == nil {
		if err := d.listed(d.services.get(call.Service)); err != nil {
			return gateway.Plan{}, err
		}
	}
	if err := d.complete(&call, spec); err != nil {
		return gateway.Plan{}, err
	}
	plan := gateway.Plan{Timeout: d.Limit(call)}
	for _, b := range d.cfg.Brokers {
		if spec.MayAsk(b.Name) {
			plan.Dialect = b.Dialect
			break
		}
	}
	var err error
	if plan.Frames, err = plan.Dialect.AppendRequest(nil, []byte(call.Service), call.Frames); err != nil {
		return gateway.Plan{}, &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	return plan, nil
}
