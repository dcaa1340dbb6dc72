package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/mdp"
)

func TestServicesAreListedWithWhatBecameOfTheirCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := false
		p := &pool{call: func(_ context.Context, req mdp.Request) (mdp.Reply, error) {
			if fails {
				return mdp.Reply{}, &mdp.Error{Kind: mdp.BrokerLost}
			}
			return mdp.Reply{Frames: req.Frames}, nil
		}}
		d := newDispatcher(t, p, dispatch.Config{}, `lora: {description: a demodulator, timeout: 40s, max_timeout: 50s, vars: json, max_in_flight: 3, reply: base64, vars_schema: {type: object}}`)
		for _, fails = range []bool{false, false, true} {
			d.Call(t.Context(), call("echo", "x"))
		}
		time.Sleep(2 * time.Second)
		all := d.Services()
		if len(all) != 2 || all[0].Name != "echo" || all[1].Name != "lora" {
			t.Fatalf("got %+v, want echo and lora", all)
		}
		echo, lora := all[0], all[1]
		if echo.Calls != 3 || echo.Failed != 1 || echo.InFlight != 0 || echo.LastOK == nil || *echo.LastOK != 2000 || echo.Availability != mdp.ServiceUp {
			t.Errorf("echo: got %+v, want three calls, one failed, up, the last reply 2 s ago", echo)
		}
		got, _ := json.Marshal(lora)
		const want = `{"name":"lora","description":"a demodulator","catalogued":true,"availability":"unknown","in_flight":0,"calls":0,"failed":0,` +
			`"timeout_ms":40000,"max_timeout_ms":50000,"vars":"json","vars_schema":{"type":"object"},"max_frames":100,"max_in_flight":3,"reply":"base64"}`
		if string(got) != want {
			t.Errorf("lora:\ngot  %s\nwant %s", got, want)
		}
		if _, ok := d.Service("nobody"); ok {
			t.Error("a service that nobody knows is listed")
		}
	})
}

func TestAvailabilityIsTheBestOfWhatTheBrokersMean(t *testing.T) {
	for _, c := range []struct {
		name   string
		states []mdp.EndpointState
		said   string        // by MMI at a call
		later  time.Duration // after it
		want   mdp.Availability
	}{
		{"never asked", nil, "", 0, mdp.ServiceUnknown},
		{"a moment ago", nil, mdp.StatusFound, time.Second, mdp.ServiceUp},
		{"long ago", nil, mdp.StatusFound, time.Minute, mdp.ServiceUnknown},
		{"the broker is down", []mdp.EndpointState{mdp.Down}, "", 0, mdp.ServiceDown},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{states: c.states, lookup: answers(c.said)}
				d := newDispatcher(t, p, dispatch.Config{}, `svc: {}`)
				if c.said != "" {
					d.Call(t.Context(), call("svc", "x"))
				}
				time.Sleep(c.later)
				if got, _ := d.Service("svc"); got.Availability != c.want {
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
		d.Call(t.Context(), call("svc", "x"))
		time.Sleep(time.Minute)
		p.lookup = answers(mdp.StatusNotFound)
		d.Call(t.Context(), call("svc", "x"))
		if got, _ := d.Service("svc"); got.Availability != mdp.ServiceDown || got.Failed != 1 {
			t.Errorf("got %+v, want it down, with one failed call", got)
		}
	})
}

func TestAPlanIsWhatWouldBeSent(t *testing.T) {
	p := new(pool)
	d := newDispatcher(t, p, dispatch.Config{}, `{second: {brokers: [b1]}}`, mdp.V01, mdp.V02)
	for _, c := range []struct {
		call mdp.Call
		want string
	}{
		{withVars(call("any", "data"), `{"sf":7}`), "mdp/0.1 25s [ MDPC01 any data {'sf': 7}]"},
		{call("second", "data"), "mdp/0.2 25s [MDPC02 \x01 second data {}]"},
	} {
		plan, err := d.Plan(c.call)
		if got := fmt.Sprintf("%v %v %s", plan.Dialect, plan.Timeout, plan.Frames); err != nil || got != c.want {
			t.Errorf("got %q, %v, want %q", got, err, c.want)
		}
	}
	_, err := d.Plan(withVars(call("any", "data"), `{"sf":1e999}`))
	failure(t, err, mdp.InvalidVars, "")
	_, err = newDispatcher(t, p, dispatch.Config{Exclusive: dispatch.Only, Vars: flowgraph.JSON}, "").Plan(call("any", "data"))
	failure(t, err, mdp.ServiceNotFound, "")
	if p.calls()+p.lookups() != 0 {
		t.Error("something was sent")
	}
}
