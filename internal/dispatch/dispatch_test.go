package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
	"mdpgateway/internal/mdp"
)

// Seconds and minutes pass in these tests inside of testing/synctest: a sleep there
// moves virtual time and takes none.

// A pool stands for brokers whose word and replies a test decides. Those of the
// whole program are real.
type pool struct {
	lookup func(broker int, service string) (string, error)
	call   func(ctx context.Context, req gateway.Request) (gateway.Reply, error)

	repeats string // the service that repeats replies

	mu      sync.Mutex
	states  []gateway.EndpointState
	epoch   uint64
	asked   []string // names looked up, in order
	called  []gateway.Request
	results []string
	ended   []gateway.Outcome
	open    int // calls started and not ended
}

func (p *pool) Call(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
	p.mu.Lock()
	p.called = append(p.called, req)
	p.mu.Unlock()
	if p.call == nil {
		return gateway.Reply{Frames: req.Frames, Timing: gateway.Timing{Broker: time.Millisecond}}, nil
	}
	if !req.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, req.Deadline)
		defer cancel()
	}
	return p.call(ctx, req)
}

func (p *pool) Lookup(_ context.Context, broker int, service string) (string, error) {
	p.mu.Lock()
	p.asked = append(p.asked, service)
	p.mu.Unlock()
	if p.lookup == nil {
		return mdp.StatusFound, nil
	}
	return p.lookup(broker, service)
}

func (p *pool) State(broker int) (gateway.EndpointState, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if broker < len(p.states) {
		return p.states[broker], p.epoch
	}
	return gateway.Up, p.epoch
}

func (p *pool) Repeats(service string) bool { return service == p.repeats }

func (p *pool) Started(string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open++
}

func (p *pool) Ended(o gateway.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, o)
	p.open--
}

func (p *pool) LookedUp(result string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results = append(p.results, result)
}

func (p *pool) lookups() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func (p *pool) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.called)
}

// answers makes lookups answer a status.
func answers(status string) func(int, string) (string, error) {
	return func(int, string) (string, error) { return status, nil }
}

// newDispatcher makes a Dispatcher of brokers that speak these dialects; services
// is the catalogue in YAML.
func newDispatcher(t *testing.T, p *pool, cfg dispatch.Config, services string, dialects ...*mdp.Dialect) *dispatch.Dispatcher {
	t.Helper()
	if dialects == nil {
		dialects = []*mdp.Dialect{mdp.V01}
	}
	var names []string
	for i, d := range dialects {
		names = append(names, fmt.Sprintf("b%d", i))
		cfg.Brokers = append(cfg.Brokers, dispatch.Broker{Name: names[i], Dialect: d})
	}
	if services != "" {
		cfg.Catalogue = catalogue.NewStore(parsed(t, services, names...))
	}
	cfg.Pool, cfg.Observer = p, p
	if cfg.NoWorkersWait == 0 {
		cfg.NoWorkersWait = 2 * time.Second
	}
	d, err := dispatch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// parsed is a catalogue of services in YAML, which may name these brokers.
func parsed(t *testing.T, services string, brokers ...string) *catalogue.Catalogue {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(services), &doc); err != nil {
		t.Fatal(err)
	}
	c, err := catalogue.Parse(doc.Content[0], catalogue.Defaults{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func call(service string, body ...string) gateway.Call {
	c := gateway.Call{Request: gateway.Request{Service: service}}
	for _, b := range body {
		c.Frames = append(c.Frames, []byte(b))
	}
	return c
}

// send calls the service that the call names.
func send(ctx context.Context, d *dispatch.Dispatcher, c gateway.Call) (gateway.Reply, error) {
	return d.Service(c.Service).Call(ctx, c)
}

func withVars(c gateway.Call, vars string) gateway.Call {
	c.Vars = ijson.MustObject(vars)
	return c
}

func failure(t *testing.T, err error, kind gateway.Kind, reason string) *gateway.Error {
	t.Helper()
	var e *gateway.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Reason != reason {
		t.Errorf("got %v, want %s %s", err, kind, reason)
		return &gateway.Error{}
	}
	return e
}

const catalogued = `
plain: {}
json: {vars: json}
none: {vars: none}
many: {max_frames: 3}
checked: {vars_schema: {type: object, required: [sf], properties: {sf: {type: integer, maximum: 12}}}}
`

func TestTheVarsFrameIsWhatTheServiceExpects(t *testing.T) {
	for _, c := range []struct {
		name    string
		call    gateway.Call
		dialect *mdp.Dialect
		vars    flowgraph.Encoding
		want    string
	}{
		{"python by default", withVars(call("any", "data"), `{"sf":7,"on":true}`), mdp.V01, flowgraph.Python, `[data {'sf': 7, 'on': True}]`},
		{"json if told", withVars(call("any", "data"), `{"sf": 7}`), mdp.V01, flowgraph.JSON, `[data {"sf":7}]`},
		{"none were given", call("any", "data"), mdp.V01, flowgraph.Python, `[data]`},
		{"none were given to a catalogued service", call("plain", "data"), mdp.V01, flowgraph.Python, `[data {}]`},
		{"none were given to one that takes JSON", call("json", "data"), mdp.V01, flowgraph.Python, `[data {}]`},
		{"none were given to one that takes none", call("none", "data"), mdp.V01, flowgraph.Python, `[data]`},
		{"none were given in the loudify dialect", call("any", "data"), mdp.Loudify, flowgraph.Python, `[data {}]`},
		{"no data: the vars stay the second frame", withVars(call("any"), `{"sf":7}`), mdp.V01, flowgraph.Python, `[ {'sf': 7}]`},
		{"no data, no vars in the loudify dialect", call("any"), mdp.Loudify, flowgraph.Python, `[ {}]`},
		{"several frames", withVars(call("many", "a", "b"), `{}`), mdp.V01, flowgraph.Python, `[a b {}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := new(pool)
			d := newDispatcher(t, p, dispatch.Config{Vars: c.vars}, catalogued, c.dialect)
			if _, err := send(t.Context(), d, c.call); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s", p.called[0].Frames); got != c.want {
				t.Errorf("sent %s, want %s", got, c.want)
			}
		})
	}
}

func TestVarsThatCannotBeSentAreRefusedBeforeAnythingIs(t *testing.T) {
	for _, c := range []struct {
		name            string
		call            gateway.Call
		dialect         *mdp.Dialect
		pointer, detail string
	}{
		{"a float out of range", withVars(call("any", "x"), `{"a":{"b":1e999}}`), mdp.V01, "#/vars/a/b", ""},
		{"not what the schema wants", withVars(call("checked", "x"), `{"sf":13}`), mdp.V01, "#/vars/sf", ""},
		{"something is missing", call("checked", "x"), mdp.V01, "#/vars", ""},
		{"a service without vars", withVars(call("none", "x"), `{}`), mdp.V01, "", "this service takes no vars"},
		{"too large", withVars(call("any", "x"), `{"a":"`+strings.Repeat("x", 100)+`"}`), mdp.V01, "", "the vars take 109 bytes, want at most 100"},
		{"too large for the schema", withVars(call("checked", "x"), `{"sf":13,"a":"`+strings.Repeat("x", 100)+`"}`), mdp.V01, "", "the vars take 119 bytes, want at most 100"},
		{"far too large", withVars(call("any", "x"), `{"a":`+strings.Repeat(" ", 900)+`1}`), mdp.V01, "", "the vars have 907 bytes, want at most 800"},
		{"too many frames for one with python vars", call("plain", "a", "b"), mdp.V01, "", "the body has 2 frames, this service takes at most 1"},
		{"too many frames in the loudify dialect", call("any", "a", "b"), mdp.Loudify, "", "the body has 2 frames, this service takes at most 1"},
		{"too many frames of its own limit", call("many", "a", "b", "c", "d"), mdp.V01, "", "the body has 4 frames, this service takes at most 3"},
		{"too many frames at all", call("any", make([]string, 101)...), mdp.V01, "", "the body has 101 frames, this service takes at most 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := new(pool)
			d := newDispatcher(t, p, dispatch.Config{MaxVars: 100}, catalogued, c.dialect)
			_, err := send(t.Context(), d, c.call)
			e := failure(t, err, gateway.InvalidVars, "")
			if c.pointer != "" && (len(e.Faults) != 1 || e.Faults[0].Pointer != c.pointer) {
				t.Errorf("faults %+v, want one at %s", e.Faults, c.pointer)
			}
			if c.detail != "" && e.Detail != c.detail {
				t.Errorf("detail %q, want %q", e.Detail, c.detail)
			}
			if p.calls()+p.lookups() != 0 {
				t.Error("something was sent")
			}
		})
	}
}

func TestNamesOfTheBrokerAreForbidden(t *testing.T) {
	p := new(pool)
	_, err := send(t.Context(), newDispatcher(t, p, dispatch.Config{}, ""), call("mmi.service", "echo"))
	failure(t, err, gateway.Forbidden, "")
	if p.calls()+p.lookups() != 0 {
		t.Error("something was sent")
	}
}

func TestAReplyThatMeansFailureIsAWorkerError(t *testing.T) {
	const services = `decode: {errors: [{frame: 1, equals: decode_error, reason: no_frame, status: 422, detail: nothing was found}]}`
	for _, c := range []struct {
		name    string
		dialect *mdp.Dialect
		service string
		reply   []string
		reason  string
		status  int
		worker  string
	}{
		{"by the service's rule", mdp.V01, "decode", []string{"", "decode_error"}, "no_frame", 422, ""},
		{"by a rule, with a reason", mdp.V01, "decode", []string{"\x06", "decode_error"}, "no_frame", 422, "decode_error"},
		{"not in that frame", mdp.V01, "decode", []string{"decode_error"}, "", 0, ""},
		{"loudify's byte", mdp.Loudify, "any", []string{"\x06", "\x80pickle"}, "flowgraph_failed", 0, ""},
		{"loudify's byte and a reason", mdp.Loudify, "any", []string{"\x06", "exit status 3\n"}, "flowgraph_failed", 0, "exit status 3"},
		{"loudify's byte in another dialect", mdp.V01, "any", []string{"\x06"}, "", 0, ""},
		{"a reply without frames", mdp.Loudify, "any", nil, "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pool{call: func(context.Context, gateway.Request) (gateway.Reply, error) {
				return gateway.Reply{Frames: call("", c.reply...).Frames, Timing: gateway.Timing{Broker: 1}}, nil
			}}
			_, err := send(t.Context(), newDispatcher(t, p, dispatch.Config{}, services, c.dialect), call(c.service, "x"))
			if c.reason == "" {
				if err != nil {
					t.Errorf("got %v, want none", err)
				}
				return
			}
			e := failure(t, err, gateway.WorkerError, c.reason)
			if e.Status != c.status || len(e.Frames) != len(c.reply) || e.Executed() != gateway.Yes || e.Worker != c.worker {
				t.Errorf("got status %d, %d frames, executed %s, the worker's reason %q", e.Status, len(e.Frames), e.Executed(), e.Worker)
			}
			if o := p.ended[0]; o.Kind != gateway.WorkerError || o.Reason != c.reason || !o.Known {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestAServiceHasNoMoreCallsInFlightThanItMay(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	p := &pool{call: func(context.Context, gateway.Request) (gateway.Reply, error) {
		entered <- struct{}{}
		<-leave
		return gateway.Reply{}, nil
	}}
	d := newDispatcher(t, p, dispatch.Config{}, `one: {max_in_flight: 1}`)
	done := make(chan error, 2)
	go func() {
		_, err := send(t.Context(), d, call("one", "x"))
		done <- err
	}()
	<-entered
	_, err := send(t.Context(), d, call("one", "x"))
	failure(t, err, gateway.Busy, gateway.ReasonService)
	leave <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
	go func() {
		_, err := send(t.Context(), d, call("one", "x"))
		done <- err
	}()
	<-entered
	leave <- struct{}{}
	if err := <-done; err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestACallOfAServiceThatForbidsReuseGetsAConnectionOfItsOwn(t *testing.T) {
	p := new(pool)
	d := newDispatcher(t, p, dispatch.Config{}, `{alone: {reuse: false}, shared: {reuse: true}, auto: {reuse: auto}, other: {}}`)
	for _, service := range []string{"alone", "shared", "auto", "other", "any"} {
		if _, err := send(t.Context(), d, call(service, "x")); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []gateway.Reuse{gateway.ReuseNever, gateway.ReuseAlways, gateway.ReuseAuto, gateway.ReuseAuto, gateway.ReuseAuto} {
		if p.called[i].Reuse != want {
			t.Errorf("%s: reuse %v, want %v", p.called[i].Service, p.called[i].Reuse, want)
		}
	}
}

func TestABadConfigIsRefused(t *testing.T) {
	brokers := []dispatch.Broker{{Name: "b"}}
	for want, cfg := range map[string]dispatch.Config{
		"dispatch: no pool":   {Brokers: brokers},
		"dispatch: no broker": {Pool: new(pool)},
		"timeout is 1h0m0s, want at most the largest one, 5m0s": {Pool: new(pool), Brokers: brokers, Timeout: time.Hour},
	} {
		if _, err := dispatch.New(cfg); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTheObserverIsToldWhoseCallItWas(t *testing.T) {
	p := new(pool)
	d := newDispatcher(t, p, dispatch.Config{}, "")
	c := call("echo", "x")
	c.RequestID, c.TraceID = "r1", "4bf92f3577b34da6a3ce929d0e0e4736"
	if _, err := send(t.Context(), d, c); err != nil {
		t.Fatal(err)
	}
	if o := p.ended[0]; o.RequestID != c.RequestID || o.TraceID != c.TraceID {
		t.Errorf("got request %q in trace %q, want %q in %q", o.RequestID, o.TraceID, c.RequestID, c.TraceID)
	}
}

func TestACallThatPanicsHasEnded(t *testing.T) {
	panics := false
	p := &pool{call: func(_ context.Context, req gateway.Request) (gateway.Reply, error) {
		if panics {
			panic("a bug")
		}
		return gateway.Reply{Frames: req.Frames}, nil
	}}
	d := newDispatcher(t, p, dispatch.Config{}, "")
	for _, panics = range []bool{false, true} {
		func() {
			defer func() {
				if v := recover(); (v != nil) != panics {
					t.Errorf("recovered %v", v)
				}
			}()
			send(t.Context(), d, call("echo", "x"))
		}()
	}
	if last := p.ended[len(p.ended)-1]; len(p.ended) != 2 || p.open != 0 || last.Kind != gateway.Internal || !last.Known {
		t.Errorf("%d calls ended, %d did not, the last was %+v, want 2, 0 and an internal error", len(p.ended), p.open, last)
	}
	if echo, _ := d.Service("echo").Info(); echo.InFlight != 0 || echo.Calls != 2 || echo.Failed != 1 {
		t.Errorf("echo is %+v, want two calls, one failed, none in flight", echo)
	}
}

func TestACallThatNeverCameIsCountedAsRefused(t *testing.T) {
	p := new(pool)
	d := newDispatcher(t, p, dispatch.Config{}, "")
	for _, known := range []bool{false, true} {
		d.Service("echo").Refused(&gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonMemory})
		if o := p.ended[len(p.ended)-1]; o.Kind != gateway.Busy || o.Reason != gateway.ReasonMemory || o.Service != "echo" || o.Known != known || o.KnownBefore != known || o.Sent || p.open != 0 {
			t.Errorf("outcome %+v, %d open, want one that is busy for memory, known %v", o, p.open, known)
		}
		if _, err := send(t.Context(), d, call("echo", "x")); err != nil {
			t.Fatal(err)
		}
	}
	d.Service("echo").Refused(&gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonMemory})
	if echo, _ := d.Service("echo").Info(); echo.InFlight != 0 || echo.Failed == 0 {
		t.Errorf("echo is %+v, want failed calls and none in flight", echo)
	}
}

// A request that looks its service up, reads its body and then calls has answers of one
// catalogue: what it was read as is what is sent.
func TestARequestKeepsTheCatalogueOfItsBeginning(t *testing.T) {
	p := new(pool)
	store := catalogue.NewStore(parsed(t, `svc: {vars: json, timeout: 7s, content_type: text/plain, reply: text, max_in_flight: 2, reuse: false}`))
	d, err := dispatch.New(dispatch.Config{Pool: p, Observer: p, Brokers: []dispatch.Broker{{Name: "b0", Dialect: mdp.V01}}, Catalogue: store})
	if err != nil {
		t.Fatal(err)
	}
	before := d.Service("svc")
	store.Swap(parsed(t, `svc: {vars: none, timeout: 9s, content_type: image/png, reply: base64}`))
	for _, c := range []struct {
		name    string
		service gateway.Service
		form    string
		timeout time.Duration
		reuse   gateway.Reuse
		frames  string
	}{
		{"before the reload", before, "text/plain text", 7 * time.Second, gateway.ReuseNever, "[x {}]"},
		{"after it", d.Service("svc"), "image/png base64", 9 * time.Second, gateway.ReuseAuto, "[x]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			contentType, encoding := c.service.Form()
			if form := contentType + " " + string(encoding); form != c.form {
				t.Errorf("replies are %s, want %s", form, c.form)
			}
			if limit := c.service.Limit(call("", "x")); limit != c.timeout {
				t.Errorf("the limit is %v, want %v", limit, c.timeout)
			}
			if plan, err := c.service.Plan(call("", "x")); err != nil || plan.Timeout != c.timeout {
				t.Errorf("the plan is %+v, %v, want the timeout %v", plan, err, c.timeout)
			}
			if info, ok := c.service.Info(); !ok || info.ContentType != contentType || info.Timeout != c.timeout.Milliseconds() {
				t.Errorf("the info is %+v, %v, want that of %s", info, ok, c.form)
			}
			if _, err := c.service.Call(t.Context(), call("", "x")); err != nil {
				t.Fatal(err)
			}
			sent := p.called[len(p.called)-1]
			if got := fmt.Sprintf("%s", sent.Frames); got != c.frames || sent.Reuse != c.reuse || sent.Service != "svc" {
				t.Errorf("sent to %s %s, reuse %v, want svc %s, %v", sent.Service, got, sent.Reuse, c.frames, c.reuse)
			}
		})
	}
}

func TestNoWaitForWorkersIsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := dispatch.New(dispatch.Config{
			Pool: &pool{lookup: answers(mdp.StatusNotFound)}, Brokers: []dispatch.Broker{{Name: "b0"}}, Catalogue: catalogue.NewStore(parsed(t, `svc: {}`)),
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = send(t.Context(), d, call("svc", "x"))
		failure(t, err, gateway.NoWorkers, "")
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want no time", took)
		}
	})
}
