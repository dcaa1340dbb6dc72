package broker

import (
	"maps"
	"slices"
	"time"

	"mdpgateway/internal/mdp/mdpx"
)

// watchEvery is how often the services that have changed are told, at most.
const watchEvery = 100 * time.Millisecond

// A view is what the connections that watch the services were told of them.
type view struct {
	watchers list[mux]
	services map[string]mdpx.Service // by name
	changed  map[string]bool         // names of those that the watchers have yet to be told
	moved    bool                    // a service may differ from what is in services
	due      time.Time               // when they may be told again
}

// watch tells a connection all services, and from then on those that change. One that asks again is told all again, but
// not more often than what changes.
func (s *state) watch(now time.Time, x *mux) {
	v := &s.view
	if x.watching.list == nil {
		v.watchers.pushBack(&x.watching, x)
	}
	if next := x.told.Add(watchEvery); now.Before(next) {
		x.again, v.moved = true, true
		if v.due.Before(next) {
			v.due = next
		}
		return
	}
	s.look()
	s.tellAll(now, x)
}

func (s *state) tellAll(now time.Time, x *mux) {
	x.told, x.again = now, false
	s.tellServices(now, x, slices.Sorted(maps.Keys(s.services)))
}

// look brings the view up to date.
func (s *state) look() {
	v := &s.view
	v.moved = false
	for name, svc := range s.services {
		if is := svc.told(); v.services[name] != is {
			v.services[name] = is
			v.changed[name] = true
		}
	}
	for name := range v.services {
		if s.services[name] == nil {
			v.services[name] = mdpx.Service{Name: name}
			v.changed[name] = true
		}
	}
}

func (svc *service) told() mdpx.Service {
	l := svc.live()
	return mdpx.Service{Name: l.Name, Workers: uint32(l.Workers), Busy: uint32(l.Busy), Queued: uint32(l.Queued)} // #nosec G115 -- counts that bounds hold
}

// tellChanges tells the watchers the services that have changed.
func (s *state) tellChanges(now time.Time) {
	v := &s.view
	s.look()
	v.due = now.Add(watchEvery)
	names := slices.Sorted(maps.Keys(v.changed))
	clear(v.changed)
	for _, x := range slices.Collect(v.watchers.all) {
		switch {
		case x.watching.list == nil: // hung up since it lost what others were told
		case x.again:
			s.tellAll(now, x)
		case len(names) > 0:
			s.tellServices(now, x, names)
		}
	}
	maps.DeleteFunc(v.services, func(name string, _ mdpx.Service) bool { return s.services[name] == nil })
}

func (s *state) tellServices(now time.Time, x *mux, names []string) {
	services := make([]mdpx.Service, len(names))
	for i, name := range names {
		services[i] = s.view.services[name]
	}
	s.toClient(now, mdpx.AppendServices(s.begin(x.client), services), nil, false)
}

// news reports whether there may be something to tell, at v.due.
func (v *view) news() bool { return v.watchers.len > 0 && (v.moved || len(v.changed) > 0) }
