package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

func TestWhatNeedsNoBodyIsRefusedWithoutOne(t *testing.T) {
	for _, c := range []struct {
		name, service, services string
		cfg                     dispatch.Config
		mmi                     mdp.MMI
		states                  []gateway.EndpointState
		kind                    gateway.Kind // empty: a call may succeed
	}{
		{"not in the catalogue", "svc", "", dispatch.Config{CatalogueMode: dispatch.CatalogueOnly}, mdp.MMIOn, nil, gateway.ServiceNotFound},
		{"in the catalogue", "svc", "svc: {}", dispatch.Config{CatalogueMode: dispatch.CatalogueOnly}, mdp.MMIOn, nil, ""},
		{"no broker can be reached", "svc", "svc: {}", dispatch.Config{}, mdp.MMIOn, []gateway.EndpointState{gateway.Down, gateway.Down}, gateway.BrokerUnavailable},
		{"its broker can't be reached", "svc", "svc: {brokers: [b0]}", dispatch.Config{}, mdp.MMIOn, []gateway.EndpointState{gateway.Down}, gateway.BrokerUnavailable},
		{"another broker can be reached", "svc", "svc: {}", dispatch.Config{}, mdp.MMIOn, []gateway.EndpointState{gateway.Down}, ""},
		{"nobody has tried the brokers", "svc", "svc: {}", dispatch.Config{}, mdp.MMIOn, []gateway.EndpointState{gateway.Pending, gateway.Pending}, ""},
		{"the broker may know it", "svc", "", dispatch.Config{}, mdp.MMIOn, nil, ""},
		{"nobody says whether it exists", "svc", "", dispatch.Config{}, mdp.MMIOff, nil, gateway.ServiceNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pool{states: c.states}
			d := newDispatcher(t, p, c.cfg, c.services, mdp.V01.WithMMI(c.mmi), mdp.V01.WithMMI(c.mmi))
			err := d.Service(c.service).Admit()
			if c.kind != "" {
				failure(t, err, c.kind, "")
			} else if err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if p.lookups()+p.calls() != 0 {
				t.Errorf("%d look-ups and %d calls, want none", p.lookups(), p.calls())
			}
		})
	}
}

func TestADenialOfAMomentAgoIsARefusalUnlessTheServiceAnsweredLately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pool)
		d := newDispatcher(t, p, dispatch.Config{}, "")
		if _, err := send(t.Context(), d, call("answered", "x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second) // its confirmation is old
		p.lookup = answers(mdp.StatusNotFound)
		for service, kind := range map[string]gateway.Kind{"never": gateway.ServiceNotFound, "answered": ""} {
			_, _ = send(t.Context(), d, call(service, "x"))
			if err := d.Service(service).Admit(); kind != "" {
				failure(t, err, kind, "")
			} else if err != nil {
				t.Errorf("%s: got %v, want no error", service, err)
			}
		}
	})
}

func TestAServiceWithoutAFreePlaceRefusesWithoutABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := &pool{call: func(context.Context, gateway.Request) (gateway.Reply, error) {
			<-release
			return gateway.Reply{}, nil
		}}
		d := newDispatcher(t, p, dispatch.Config{}, "svc: {max_in_flight: 1}")
		svc := d.Service("svc")
		for range 2 { // to ask takes no place
			if err := svc.Admit(); err != nil {
				t.Error(err)
			}
		}
		go send(t.Context(), d, call("svc", "x"))
		synctest.Wait()
		failure(t, svc.Admit(), gateway.Busy, gateway.ReasonService)
		close(release)
		synctest.Wait()
		if err := svc.Admit(); err != nil {
			t.Error(err)
		}
	})
}
