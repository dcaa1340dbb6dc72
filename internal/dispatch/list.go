package dispatch

import (
	"maps"
	"slices"
	"time"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/mdp"
)

// Services lists the catalogue's services and those that a broker confirmed, by
// name.
func (d *Dispatcher) Services() []mdp.ServiceInfo {
	names := map[string]bool{}
	for _, name := range d.cfg.Catalogue.Names() {
		names[name] = true
	}
	for _, name := range d.services.names() {
		names[name] = true
	}
	var all []mdp.ServiceInfo
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if info, ok := d.Service(name); ok {
			all = append(all, info)
		}
	}
	return all
}

// Service returns what is known of one service; false means nothing.
func (d *Dispatcher) Service(name string) (mdp.ServiceInfo, bool) {
	spec, catalogued := d.cfg.Catalogue.Get(name)
	svc := d.services.get(name)
	if !catalogued && svc == nil {
		return mdp.ServiceInfo{}, false
	}
	limit, _ := d.limit(&mdp.Call{Request: mdp.Request{Service: name}}, spec)
	info := mdp.ServiceInfo{
		Name: name, Catalogued: catalogued, Timeout: limit.Milliseconds(), MaxTimeout: d.cfg.MaxTimeout.Milliseconds(),
		Vars: d.cfg.Vars.String(), Reply: catalogue.Auto.String(), MaxFrames: maxFrames(spec, d.speaksLoudify(spec)),
		Availability: d.availability(spec, svc, time.Now()),
	}
	if catalogued {
		describe(&info, spec)
	}
	if svc != nil {
		svc.count(&info, time.Now())
	}
	return info, true
}

// describe adds what the catalogue says.
func describe(info *mdp.ServiceInfo, spec *catalogue.Service) {
	info.Description, info.Brokers = spec.Description, spec.Brokers
	info.Vars, info.Reply, info.ContentType = spec.Vars.String(), spec.Reply.String(), spec.ContentType
	info.MaxInFlight, info.Example = spec.MaxInFlight, spec.Example
	if spec.VarsSchema != nil {
		info.VarsSchema = spec.VarsSchema.JSON()
	}
	if spec.MaxTimeout > 0 {
		info.MaxTimeout = min(info.MaxTimeout, spec.MaxTimeout.Milliseconds())
	}
}

// availability is the best of what the brokers mean for the service.
func (d *Dispatcher) availability(spec *catalogue.Service, svc *service, now time.Time) mdp.Availability {
	down := true
	for i, b := range d.cfg.Brokers {
		if !serves(spec, b) {
			continue
		}
		state, _ := d.cfg.Pool.State(i)
		switch {
		case state == mdp.Down:
		case svc.known(i, now):
			return mdp.ServiceUp
		case svc.said(i) != mdp.StatusNotFound:
			down = false
		}
	}
	if down {
		return mdp.ServiceDown
	}
	return mdp.ServiceUnknown
}
