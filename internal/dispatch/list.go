package dispatch

import (
	"maps"
	"slices"
	"time"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// Services lists the catalogue's services and, where others may be called, those
// that a broker confirmed or that have workers at a broker in this process; by
// name.
func (d *Dispatcher) Services() []gateway.ServiceInfo {
	inForce := d.cfg.Catalogue.Catalogue()
	names := map[string]bool{}
	for _, name := range inForce.Names() {
		names[name] = true
	}
	for _, name := range d.services.names() {
		names[name] = true
	}
	for _, b := range d.cfg.Brokers {
		if b.Live != nil {
			for _, live := range b.Live.Services() {
				names[live.Name] = true
			}
		}
	}
	var all []gateway.ServiceInfo
	for _, name := range slices.Sorted(maps.Keys(names)) {
		spec, _ := inForce.Get(name)
		if info, ok := d.info(name, spec); ok {
			all = append(all, info)
		}
	}
	return all
}

// info returns what is known of one service; false means that nothing is, or that it
// may not be called.
func (d *Dispatcher) info(name string, spec *catalogue.Service) (gateway.ServiceInfo, bool) {
	svc := d.services.get(name)
	live := d.live(name, spec)
	if spec == nil && !d.discoverable(svc, live) {
		return gateway.ServiceInfo{}, false
	}
	limit, _ := d.limit(&gateway.Call{Request: gateway.Request{Service: name}}, spec)
	info := gateway.ServiceInfo{
		Name: name, Catalogued: spec != nil, Timeout: limit.Milliseconds(), MaxTimeout: d.cfg.MaxTimeout.Milliseconds(),
		Vars: d.cfg.Vars.String(), Reply: gateway.Auto, MaxFrames: spec.MostFrames(d.needsVars(spec)),
		Availability: d.availability(name, spec, svc, time.Now()), Live: live, Repeats: d.cfg.Pool.Repeats(name),
	}
	info.Silent = info.Availability != gateway.ServiceDown && !svc.everReplied() && d.unanswered.has(name)
	if spec != nil {
		describe(&info, spec)
	}
	if svc != nil {
		svc.count(&info, time.Now())
	}
	return info, true
}

// live returns what a broker in this process that the service may use has of it,
// or nil.
func (d *Dispatcher) live(name string, spec *catalogue.Service) *gateway.LiveService {
	for _, b := range d.cfg.Brokers {
		if b.Live == nil || !spec.MayAsk(b.Name) {
			continue
		}
		if live := b.Live.Service(name); live.Workers+live.Queued > 0 {
			return &live
		}
	}
	return nil
}

// discoverable reports whether a service that is not in the catalogue is there
// and may be called, although nobody may have done so yet.
func (d *Dispatcher) discoverable(svc *service, live *gateway.LiveService) bool {
	return (svc != nil || live != nil && live.Workers > 0) && d.listed(svc) == nil
}

// describe adds what the catalogue says.
func describe(info *gateway.ServiceInfo, spec *catalogue.Service) {
	info.Description, info.Brokers = spec.Description, spec.Brokers
	info.Vars, info.Reply, info.ContentType = spec.Vars.String(), spec.Reply, spec.ContentType
	info.MaxInFlight, info.Example = spec.MaxInFlight, spec.Example
	if spec.VarsSchema != nil {
		info.VarsSchema = spec.VarsSchema.JSON()
	}
	if spec.MaxTimeout > 0 {
		info.MaxTimeout = min(info.MaxTimeout, spec.MaxTimeout.Milliseconds())
	}
}

// availability is the best of what the brokers mean for the service. One in this
// process knows; what others said may have changed.
func (d *Dispatcher) availability(name string, spec *catalogue.Service, svc *service, now time.Time) gateway.Availability {
	down := true
	for i, b := range d.cfg.Brokers {
		if !spec.MayAsk(b.Name) {
			continue
		}
		state, _ := d.cfg.Pool.State(i)
		switch {
		case state == gateway.Down:
		case b.Live != nil:
			if b.Live.Service(name).Workers > 0 {
				return gateway.ServiceUp
			}
		case svc.known(i, now):
			return gateway.ServiceUp
		case svc.said(i) != mdp.StatusNotFound:
			down = false
		}
	}
	if down {
		return gateway.ServiceDown
	}
	return gateway.ServiceUnknown
}
