// Package dispatch is the policy of a call between HTTP and the pool: may this
// service be asked, with which vars frame, of which broker and for how long; and
// is what came back a failure.
//
// It does no I/O of its own. handle.go is what callers hold of a service, dispatch.go
// has the way of a call, deadline.go its time, vars.go its frames, route.go and lookup.go what the brokers say of a
// service, services.go what is remembered of services, orphans.go the work that
// was given up and goes on.
package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// A Pool sends requests to brokers, which it numbers from 0.
type Pool interface {
	// Call sends one request and waits for its reply. The reply's Timing and
	// Broker are set with an error too.
	Call(ctx context.Context, req gateway.Request) (gateway.Reply, error)
	// Lookup asks one broker whether a service has workers.
	Lookup(ctx context.Context, broker int, service string) (status string, err error)
	// State says whether a broker can be reached, and how often it came back.
	State(broker int) (state gateway.EndpointState, epoch uint64)
	// Repeats reports whether a service was seen to repeat replies lately.
	Repeats(service string) bool
}

// An Observer is told of every call. It must not block.
type Observer interface {
	Started(service string, known bool)
	Ended(outcome gateway.Outcome)
	LookedUp(result string)
}

// A Broker is what the policy needs to know of one of the pool's endpoints.
type Broker struct {
	Name    string       // as services name it in the catalogue
	Dialect *mdp.Dialect // default mdp/0.1
	Live    Registry     // of a broker in this process, or that tells its services of its own accord; nil for any other
}

// A Registry says which services a broker has workers of, without being asked
// over a socket.
type Registry interface {
	// Services returns those that have workers, or requests that wait for one.
	Services() []gateway.LiveService
	// Service returns one of them; without workers and requests if there is none.
	Service(name string) gateway.LiveService
}

// The defaults of a Config's fields.
const (
	DefaultTimeout    = 25 * time.Second
	DefaultMaxTimeout = 5 * time.Minute
	DefaultMaxVars    = 64 << 10
)

// Config configures a Dispatcher. The zero value of a field means its default.
type Config struct {
	Pool          Pool
	Brokers       []Broker           // of the pool, in its order
	Catalogue     *catalogue.Store   // nil means an empty one
	Observer      Observer           // nil means none
	Log           *zap.Logger        // nil means none
	Timeout       time.Duration      // of a call that sets none
	MaxTimeout    time.Duration      // the most a caller may ask for
	Vars          flowgraph.Encoding // of services that are not in the catalogue
	MaxVars       int                // bytes of a vars frame
	CatalogueMode CatalogueMode
	LookupWait    time.Duration // for a broker's word about a service, in all; default 2s
	NoWorkersWait time.Duration // how long a known service may be without workers
}

func (c Config) withDefaults() Config {
	c.Catalogue = cmp.Or(c.Catalogue, new(catalogue.Store))
	c.Observer = cmp.Or(c.Observer, Observer(noObserver{}))
	c.Log = cmp.Or(c.Log, zap.NewNop())
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxTimeout = cmp.Or(c.MaxTimeout, DefaultMaxTimeout)
	c.LookupWait = cmp.Or(c.LookupWait, 2*time.Second)
	c.MaxVars = cmp.Or(c.MaxVars, DefaultMaxVars)
	c.Brokers = slices.Clone(c.Brokers)
	for i := range c.Brokers {
		c.Brokers[i].Dialect = cmp.Or(c.Brokers[i].Dialect, mdp.V01)
	}
	return c
}

// A Dispatcher calls services. It is safe for concurrent use.
type Dispatcher struct {
	// Set once.
	cfg      Config
	services *services
	orphans  orphans
	lookups  singleflight.Group
	absent   *absent // names that a broker denied a moment ago
	brokers  []brokerState

	unanswered unanswered
}

// New returns a Dispatcher. It starts no goroutine of its own.
func New(cfg Config) (*Dispatcher, error) {
	cfg = cfg.withDefaults()
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("dispatch: no pool")
	case len(cfg.Brokers) == 0:
		return nil, errors.New("dispatch: no broker")
	case cfg.Timeout > cfg.MaxTimeout:
		return nil, fmt.Errorf("timeout is %v, want at most the largest one, %v", cfg.Timeout, cfg.MaxTimeout)
	}
	d := &Dispatcher{
		cfg:      cfg,
		services: newServices(len(cfg.Brokers)),
		absent:   newAbsent(),
		brokers:  make([]brokerState, len(cfg.Brokers)),
	}
	for i := range d.brokers {
		d.brokers[i].budget = newLookupBudget()
	}
	return d, nil
}

// errPanicked is how a call ends that never returned.
var errPanicked = errors.New("the call panicked")

// began counts a call, which ends with ended, and returns what is remembered of its
// service, if anything, and whether it is known.
func (d *Dispatcher) began(name string, spec *catalogue.Service) (svc *service, known bool) {
	svc = d.services.get(name)
	known = spec != nil || svc != nil
	d.cfg.Observer.Started(name, known)
	svc.begin()
	return svc, known
}

// ended counts the end of a call, tells the Observer of it, and returns its error as
// one of its service. It is apart because what it needs should not lie on the stacks
// of calls that wait.
func (d *Dispatcher) ended(call *gateway.Call, reply *gateway.Reply, known bool, svc *service, err error) error {
	if svc == nil { // a broker may have confirmed it meanwhile, by a reply or by MMI
		svc = d.services.get(call.Service)
		svc.begin()
	}
	svc.end(err != nil && !ofCaller(err))
	outcome := gateway.Outcome{
		Service: call.Service, Known: known || svc != nil, KnownBefore: known, Timing: reply.Timing,
		Sent: reply.Timing.Broker > 0, RequestBytes: mdp.Size(call.Frames), ReplyBytes: mdp.Size(reply.Frames),
		RequestID: call.RequestID, TraceID: call.TraceID,
	}
	if err != nil {
		e := gateway.AsError(err)
		e.Service = call.Service
		outcome.Kind, outcome.Reason, outcome.Was = e.Kind, e.Reason, e.Was
		if e.Timeout != nil {
			outcome.Stage = e.Timeout.Stage
		}
		err = e
	}
	d.cfg.Observer.Ended(outcome)
	return err
}

// ofCaller reports whether a call failed for what its caller sent, which says nothing
// of the service.
func ofCaller(err error) bool {
	kind := gateway.AsError(err).Kind
	return kind == gateway.InvalidVars || kind == gateway.BadRequest
}

// call fills reply: its Timing is set with an error, too.
func (d *Dispatcher) call(ctx context.Context, call *gateway.Call, spec *catalogue.Service, reply *gateway.Reply) error {
	if err := d.complete(call, spec); err != nil {
		return err
	}
	return d.send(ctx, call, spec, reply)
}

// send is call for what complete has checked.
func (d *Dispatcher) send(ctx context.Context, call *gateway.Call, spec *catalogue.Service, reply *gateway.Reply) error {
	leave, err := d.services.enter(call.Service, call.Caller, spec)
	if err != nil {
		return err
	}
	call.Leave = both(leave, call.Leave)
	clock := d.start(ctx, call, spec)
	defer clock.end()

	start := time.Now()
	svc, release, err := d.route(clock, call, spec)
	routed := time.Since(start)
	if err != nil {
		reply.Timing.Queue = routed
		return err
	}
	defer release()
	call.Expect = svc.expected()
	if spec != nil {
		call.Reuse = spec.Reuse
		if call.MaxReply = spec.MaxReply; call.MaxReply > 0 {
			call.Expect = call.MaxReply
		}
	}
	if call.Late != nil {
		call.Late = d.late(call, spec)
	}
	*reply, err = d.cfg.Pool.Call(clock.ctx, call.Request)
	reply.Timing.Queue += routed
	if err != nil {
		e := d.failed(clock, call, spec, reply, err)
		if e.Kind == gateway.ReplyTooLarge && e.Reason == gateway.ReasonMemory {
			d.services.add(call.Service).largest.note(reply.Bytes) // so that the next is not sent in vain
		}
		return e
	}
	if svc == nil {
		svc = d.services.add(call.Service)
	}
	svc.replied(reply.Broker, time.Now())
	svc.largest.note(reply.Bytes)
	svc.slowest.note(int64(reply.Timing.Broker))
	return d.judge(spec, reply)
}

// failed completes the error of a call that the pool could not answer.
func (d *Dispatcher) failed(clock *clock, call *gateway.Call, spec *catalogue.Service, reply *gateway.Reply, err error) *gateway.Error {
	e := gateway.AsError(err)
	if d.goesOn(e, reply) {
		d.orphaned(call, reply, e.Kind)
	}
	if e.Kind == gateway.Timeout {
		e.Timeout = clock.detail()
		e.Timeout.LastOK, e.Timeout.MMI = d.services.last(call.Service, reply.Broker)
		known := spec != nil || d.services.get(call.Service) != nil
		if e.Detail == "" && known && e.Was != gateway.WasQueued && reply.Broker >= 0 && clock.parts == 0 {
			e.Detail = d.neverAnswered(call.Service, e.Timeout.Elapsed)
		}
		if e.Detail == "" && e.Was == gateway.WasQueued {
			e.Detail = fmt.Sprintf("no worker was free within %v; the request was taken back and will not run", e.Timeout.Limit)
		}
		if e.Detail == "" {
			e.Detail = fmt.Sprintf("no reply within %v; the service may still be at work", e.Timeout.Limit)
		}
	}
	return e
}

// both returns a function that calls a and b, of which either may be nil.
func both(a, b func()) func() {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func() { a(); b() }
}

// goesOn reports whether a call that failed was sent and how it ended at the worker
// is unknown, so that it may still run. A reply that is too large is one that came,
// unless it may have been a part of one; a broker that is lost takes its requests along, as
// far as can be known.
func (d *Dispatcher) goesOn(e *gateway.Error, reply *gateway.Reply) bool {
	if e.Was == gateway.WasQueued {
		return false
	}
	switch e.Kind {
	case gateway.Timeout, gateway.Interrupted, gateway.BadReply:
		return true
	case gateway.Canceled:
		return e.Sent
	case gateway.ReplyTooLarge:
		return e.Reason != "" || reply.Broker >= 0 && d.cfg.Brokers[reply.Broker].Dialect.HasPartials()
	}
	return false
}

// judge says whether a reply means that the worker failed.
func (d *Dispatcher) judge(spec *catalogue.Service, reply *gateway.Reply) error {
	if spec != nil {
		if rule := spec.Match(reply.Frames); rule != nil {
			return &gateway.Error{
				Kind: gateway.WorkerError, Reason: rule.Reason, Detail: rule.Detail, Status: rule.Status,
				Frames: reply.Frames, Worker: gateway.WorkerDetail(reply.Frames),
			}
		}
	}
	if d.cfg.Brokers[reply.Broker].Dialect.HasFailed(reply.Frames) {
		return gateway.FlowgraphFailed(reply.Frames)
	}
	return nil
}

type noObserver struct{}

func (noObserver) Started(string, bool)  {}
func (noObserver) Ended(gateway.Outcome) {}
func (noObserver) LookedUp(string)       {}
