// Every sleep in this file is in a bubble of testing/synctest: its clock is virtual, and
// moves on when all goroutines of the bubble wait.

package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

func TestServicesAreListedWithWhatBecameOfTheirCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := false
		p := &pool{repeats: "lora", call: func(_ context.Context, req gateway.Request) (gateway.Reply, error) {
			if fails {
				return gateway.Reply{}, &gateway.Error{Kind: gateway.BrokerLost}
			}
			return gateway.Reply{Frames: req.Frames}, nil
		}}
		d := newDispatcher(t, p, dispatch.Config{}, `lora: {description: a demodulator, timeout: 40s, max_timeout: 50s, vars: json, max_in_flight: 3, reply: base64, vars_schema: {type: object}}`)
		for _, fails = range []bool{false, false, true} {
			send(t.Context(), d, call("echo", "x"))
		}
		send(t.Context(), d, withVars(call("echo", "x"), `{"a":1e999}`)) // no failure of the service's
		send(t.Context(), d, withVars(call("echo", "x"), `{"a":-1e999}`))
		time.Sleep(2 * time.Second)
		all := d.Services()
		if len(all) != 2 || all[0].Name != "echo" || all[1].Name != "lora" {
			t.Fatalf("got %+v, want echo and lora", all)
		}
		echo, lora := all[0], all[1]
		if echo.Calls != 5 || echo.Failed != 1 || echo.InFlight != 0 || echo.LastOK == nil || *echo.LastOK != 2000 || echo.Availability != gateway.ServiceUp {
			t.Errorf("echo: got %+v, want five calls, one failed, up, the last reply 2 s ago", echo)
		}
		got, _ := json.Marshal(lora)
		const want = `{"name":"lora","description":"a demodulator","catalogued":true,"availability":"unknown","in_flight":0,"calls":0,"failed":0,` +
			`"timeout_ms":40000,"max_timeout_ms":50000,"vars":"json","vars_schema":{"type":"object"},"max_frames":100,"max_in_flight":3,"reply":"base64","repeats":true}`
		if string(got) != want {
			t.Errorf("lora:\ngot  %s\nwant %s", got, want)
		}
		if _, ok := d.Service("nobody").Info(); ok {
			t.Error("a service that nobody knows is listed")
		}
	})
}

func TestAvailabilityIsTheBestOfWhatTheBrokersMean(t *testing.T) {
	for _, c := range []struct {
		name   string
		states []gateway.EndpointState
		said   string        // by MMI at a call
		later  time.Duration // after it
		want   gateway.Availability
	}{
		{"never asked", nil, "", 0, gateway.ServiceUnknown},
		{"a moment ago", nil, mdp.StatusFound, time.Second, gateway.ServiceUp},
		{"long ago", nil, mdp.StatusFound, time.Minute, gateway.ServiceUnknown},
		{"the broker is down", []gateway.EndpointState{gateway.Down}, "", 0, gateway.ServiceDown},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{states: c.states, lookup: answers(c.said)}
				d := newDispatcher(t, p, dispatch.Config{}, `svc: {}`)
				if c.said != "" {
					send(t.Context(), d, call("svc", "x"))
				}
				time.Sleep(c.later)
				if got, _ := d.Service("svc").Info(); got.Availability != c.want {
					t.Errorf("got %s, want %s", got.Availability, c.want)
				}
			})
		})
	}
}

func TestAServiceThatLostItsWorkersIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pool)
		d := newDispatcher(t, p, dispatch.Config{}, "")
		send(t.Context(), d, call("svc", "x"))
		time.Sleep(time.Minute)
		p.lookup = answers(mdp.StatusNotFound)
		send(t.Context(), d, call("svc", "x"))
		if got, _ := d.Service("svc").Info(); got.Availability != gateway.ServiceDown || got.Failed != 1 {
			t.Errorf("got %+v, want it down, with one failed call", got)
		}
	})
}

// A registry is a broker in this process, by the names of its services.
type registry map[string]gateway.LiveService

func (r registry) Services() (all []gateway.LiveService) {
	for name, live := range r {
		live.Name = name
		all = append(all, live)
	}
	return all
}

func (r registry) Service(name string) gateway.LiveService { return r[name] }

func TestLiveServicesAreListedWhereTheyMayBeCalled(t *testing.T) {
	for _, c := range []struct {
		name      string
		cfg       dispatch.Config
		catalogue string
		want      string
	}{
		{"open to any", dispatch.Config{CatalogueMode: dispatch.CatalogueOpen}, "", "fresh up 2/1/0"},
		{"while the broker answers MMI", dispatch.Config{CatalogueMode: dispatch.CatalogueAuto}, "", "fresh up 2/1/0"},
		{"without MMI", dispatch.Config{CatalogueMode: dispatch.CatalogueAuto}, "", ""},
		{"open, without MMI", dispatch.Config{CatalogueMode: dispatch.CatalogueOpen}, "", "fresh up 2/1/0"},
		{"the catalogue alone", dispatch.Config{CatalogueMode: dispatch.CatalogueOnly}, "{other: {}}", "other unknown"},
		{"catalogued", dispatch.Config{CatalogueMode: dispatch.CatalogueOnly}, "{fresh: {}, waiting: {}}", "fresh up 2/1/0, waiting unknown 0/0/3"},
		{"catalogued for another broker", dispatch.Config{CatalogueMode: dispatch.CatalogueOnly}, "{fresh: {brokers: [b0]}}", "fresh unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mmi := mdp.MMIOn
			if strings.Contains(c.name, "without MMI") {
				mmi = mdp.MMIOff
			}
			c.cfg.Brokers = []dispatch.Broker{{Name: "embedded", Dialect: mdp.V02.WithMMI(mmi), Live: registry{
				"fresh": {Workers: 2, Busy: 1}, "waiting": {Queued: 3},
			}}}
			d := newDispatcher(t, new(pool), c.cfg, c.catalogue, mdp.V01.WithMMI(mmi))
			var got []string
			for _, info := range d.Services() {
				text := fmt.Sprint(info.Name, " ", info.Availability)
				if l := info.Live; l != nil {
					text += fmt.Sprintf(" %d/%d/%d", l.Workers, l.Busy, l.Queued)
				}
				got = append(got, text)
			}
			if got := strings.Join(got, ", "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if _, ok := d.Service("fresh").Info(); ok != strings.Contains(c.want, "fresh") {
				t.Errorf("fresh by its name: got %v", ok)
			}
		})
	}
}

func TestABrokerInThisProcessKnowsThatAServiceLostItsWorkers(t *testing.T) {
	live := registry{"svc": {Workers: 1}}
	cfg := dispatch.Config{Brokers: []dispatch.Broker{{Name: "embedded", Dialect: mdp.V02, Live: live}}}
	p := &pool{states: []gateway.EndpointState{gateway.Up, gateway.Down}}
	d := newDispatcher(t, p, cfg, "")
	if _, err := send(t.Context(), d, call("svc", "x")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []gateway.Availability{gateway.ServiceUp, gateway.ServiceDown} {
		if got, ok := d.Service("svc").Info(); !ok || got.Availability != want || got.Calls != 1 {
			t.Errorf("got %+v, want it %s with one call", got, want)
		}
		delete(live, "svc")
	}
	p.states[0] = gateway.Down
	live["svc"] = gateway.LiveService{Workers: 1}
	if got, _ := d.Service("svc").Info(); got.Availability != gateway.ServiceDown {
		t.Errorf("got %s of a broker that cannot be reached, want down", got.Availability)
	}
}

func TestAPlanIsWhatWouldBeSent(t *testing.T) {
	p := new(pool)
	d := newDispatcher(t, p, dispatch.Config{}, `{second: {brokers: [b1]}}`, mdp.V01, mdp.V02)
	for _, c := range []struct {
		call gateway.Call
		want string
	}{
		{withVars(call("any", "data"), `{"sf":7}`), "mdp/0.1 25s [ MDPC01 any data {'sf': 7}]"},
		{call("second", "data"), "mdp/0.2 25s [MDPC02 \x01 second data {}]"},
	} {
		plan, err := d.Service(c.call.Service).Plan(c.call)
		if got := fmt.Sprintf("%v %v %s", plan.Dialect, plan.Timeout, plan.Frames); err != nil || got != c.want {
			t.Errorf("got %q, %v, want %q", got, err, c.want)
		}
	}
	_, err := d.Service("any").Plan(withVars(call("any", "data"), `{"sf":1e999}`))
	failure(t, err, gateway.InvalidVars, "")
	if p.calls()+p.lookups() != 0 {
		t.Error("something was sent")
	}
}

// A dry run must not promise what the call then refuses.
func TestAPlanIsRefusedWhereTheCallIs(t *testing.T) {
	unasked := []*mdp.Dialect{mdp.V01.WithMMI(mdp.MMIOff)}
	for _, c := range []struct {
		name     string
		cfg      dispatch.Config
		dialects []*mdp.Dialect
		service  string
		ok       bool
	}{
		{"only the catalogue, and it is in it", dispatch.Config{CatalogueMode: dispatch.CatalogueOnly}, nil, "svc", true},
		{"only the catalogue, and it is not", dispatch.Config{CatalogueMode: dispatch.CatalogueOnly}, nil, "any", false},
		{"auto, and the broker says what it has", dispatch.Config{}, nil, "any", true},
		{"auto without MMI", dispatch.Config{}, unasked, "any", false},
		{"auto without MMI, catalogued", dispatch.Config{}, unasked, "svc", true},
		{"auto, and the dialect has no MMI", dispatch.Config{}, []*mdp.Dialect{mdp.Majortomo}, "any", false},
		{"auto, and one of the dialects has MMI", dispatch.Config{}, []*mdp.Dialect{mdp.Majortomo, mdp.V01}, "any", true},
		{"open without MMI", dispatch.Config{CatalogueMode: dispatch.CatalogueOpen}, unasked, "any", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := new(pool)
			d := newDispatcher(t, p, c.cfg, `{svc: {}}`, c.dialects...)
			_, planned := d.Service(c.service).Plan(call(c.service, "x"))
			if p.calls()+p.lookups() != 0 {
				t.Error("something was sent")
			}
			_, called := send(t.Context(), d, call(c.service, "x"))
			if (planned == nil) != c.ok || (called == nil) != c.ok {
				t.Fatalf("planned: %v, called: %v, want success: %v", planned, called, c.ok)
			}
			if !c.ok {
				failure(t, planned, gateway.ServiceNotFound, "")
				failure(t, called, gateway.ServiceNotFound, "")
			}
		})
	}
}

// A broker that has stopped answering MMI denies the plan of a name that nobody
// confirmed, like its call.
func TestAPlanKnowsThatTheBrokerDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{lookup: noAnswer}
		d := newDispatcher(t, p, dispatch.Config{}, "")
		if _, err := d.Service("any").Plan(call("any", "x")); err != nil {
			t.Errorf("before it was asked: %v", err)
		}
		_, err := send(t.Context(), d, call("any", "x"))
		failure(t, err, gateway.ServiceNotFound, "")
		_, err = d.Service("any").Plan(call("any", "x"))
		failure(t, err, gateway.ServiceNotFound, "")
	})
}
