// Package client is the gateway's side of a Majordomo broker: a pool of DEALER
// sockets, one call at a time on each.
//
// MDP has no request id, so what keeps a reply from reaching the wrong caller is
// this, all of it: one request in flight per socket; a random routing id per
// socket; a socket that saw a timeout, a cancellation or any error is closed; a
// reply must name the service that was asked; nothing may wait in a socket
// before it is used again; idle sockets are used again oldest first, and not
// within a millisecond while another will do. It refuses to reconnect a call's
// socket, to send a request twice, and to wait in libzmq.
//
// pool.go has the way of a call, queue.go who gets which connection, lease.go how it is given back, open.go how
// connections come about, conn.go a round trip, memory.go
// what libzmq may hold, late.go replies that are awaited after their call, adopt.go those that
// another process asked for, endpoint.go a broker's state, lookup.go MMI, repeaters.go
// services whose replies come twice, close.go the end.
package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

const (
	// rest is how long a connection must have been idle before it is used again
	// while another will do: a duplicate of its last reply, which most brokers
	// forward, is then there and is seen.
	rest = time.Millisecond

	// maxAttempts bounds the connections that are opened for a call that was not
	// sent: each of them may have broken a moment ago. Of those that were there before,
	// which a lost broker breaks all at once, any number may be tried.
	maxAttempts = 3
)

// Reasons of closing a connection, beside the Kind that a call ended with.
const (
	closedIdle     = "idle"      // not needed for Config.Idle
	closedEvicted  = "evicted"   // to make room for one to another broker
	closedLost     = "lost"      // the connection broke
	closedKeys     = "keys"      // the keys by which it was opened were replaced
	closedStray    = "stray"     // a message waited in it that nobody had asked for
	closedFresh    = "no_reuse"  // it was for one call
	closedTooLarge = "too_large" // the rest of a reply over its limit is still in it
	closedShutdown = "shutdown"
)

// strayLate is what was wrong with a message that waited in a connection, beside mdp's reasons.
const strayLate = "late"

// A Pool calls services of one or more brokers. It is safe for concurrent use.
type Pool struct {
	// Set once.
	cfg       Config
	zctx      *zsock.Context
	endpoints []*endpoint
	cancel    context.CancelFunc // ends the goroutines that New started
	ended     chan struct{}      // closed when Close waits for calls no longer
	freed     chan struct{}      // closed when Close is done
	running   sync.WaitGroup     // those goroutines
	opening   sync.WaitGroup     // connections that are being opened; Add only while mu is held and over is false
	alarm     *time.Timer        // calls onAlarm
	calls     sync.WaitGroup     // calls and lookups; Add only while mu is held and closing is false
	heap      zsock.Heap

	// Guarded by mu.
	mu      sync.Mutex
	gate    gate
	waiting []*call           // in order of arrival; none of them can be served as things are
	alarmAt time.Time         // when alarm is due; zero if it is not set
	late    []*conn           // whose call's time has passed and whose reply is awaited, the oldest first
	turns   uint64            // calls that were given a connection
	sockets int               // idle, busy and being opened
	closing bool              // no more calls
	over    bool              // no more connections
	changed chan struct{}     // closed, and replaced, when an endpoint's state changes
	closed  map[string]uint64 // connections, by reason
	stray   map[string]uint64 // messages, by reason

	repeaters repeaters
}

// New starts a pool. It returns before any broker has been reached: calls wait a
// moment for the first verdict. Close frees it.
func New(cfg Config) (*Pool, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	// Beside the calls' sockets: per endpoint a sentinel, its monitor and that
	// one's other end, a lookup, and many that are being closed: a socket counts
	// until libzmq's own thread has seen to it, and a place costs 8 bytes.
	zctx, err := zsock.NewContext(4*cfg.Max + 8*len(cfg.Endpoints) + 1024)
	if err != nil {
		return nil, err
	}
	if cfg.Encrypted() {
		if err := zctx.UseTwoThreads(); err != nil {
			return nil, errors.Join(err, zctx.Close())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pool{
		cfg: cfg, zctx: zctx, cancel: cancel,
		ended:   make(chan struct{}),
		freed:   make(chan struct{}),
		changed: make(chan struct{}),
		closed: zeros(closedIdle, closedEvicted, closedLost, closedKeys, closedStray, closedFresh, closedTooLarge, closedShutdown,
			string(gateway.Timeout), string(gateway.Canceled), string(gateway.BadReply), string(gateway.Interrupted)),
		stray:     zeros(strayLate, mdp.ReasonHeader, mdp.ReasonAsked, mdp.ReasonMalformed, mdp.ReasonRefused),
		repeaters: repeaters{},
		gate: gate{
			free: cfg.Max, reserve: int(cfg.Reserve * float64(cfg.Max)), held: map[string]int{},
		},
	}
	p.alarm = time.AfterFunc(time.Hour, p.onAlarm)
	p.alarm.Stop()
	for i, e := range cfg.Endpoints {
		p.endpoints = append(p.endpoints, newEndpoint(p, i, e))
	}
	for _, e := range p.endpoints {
		p.running.Go(func() { e.watch(ctx) })
	}
	p.running.Go(func() { p.sweep(ctx) })
	p.running.Go(func() { p.heap.Sweep(ctx) })
	return p, nil
}

// zeros returns counts of what has not happened yet.
func zeros(reasons ...string) map[string]uint64 {
	counts := make(map[string]uint64, len(reasons))
	for _, reason := range reasons {
		counts[reason] = 0
	}
	return counts
}

// Call sends one request and waits for its reply. The error is an *gateway.Error;
// the reply's Timing and Broker are set with it too. The call ends with ctx: if
// its cause is an *gateway.Error, with that; past a deadline, or the request's, with
// Timeout; else with Canceled.
func (p *Pool) Call(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
	x := newCall(ctx, &req)
	err := p.run(x)
	x.reply.Timing = gateway.TimingOf(x.start, x.sent)
	if err != nil {
		x.giveUp()
		e := gateway.AsError(err)
		e.Service = x.req.Service
		err = e
	}
	return x.reply, err
}

func (p *Pool) run(x *call) error {
	if err := mdp.CheckService(x.req.Service); err != nil {
		return &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	x.maxReply = p.cfg.MaxReply
	if own := x.req.MaxReply; own > 0 {
		x.maxReply = min(own, x.maxReply)
	}
	if err := p.reserve(x); err != nil {
		return err
	}
	defer p.end(x)
	for opened := 0; ; {
		c, err := p.acquire(x)
		if err != nil {
			return err
		}
		if c.opened.After(x.start) {
			opened++
		}
		again, err := p.attempt(c, x)
		if !again || opened == maxAttempts {
			return err
		}
	}
}

// begin counts a call or a look-up, unless the pool is being closed. Each success needs
// one calls.Done. The mutex must be held.
func (p *Pool) begin() error {
	if p.closing {
		return gateway.ShuttingDown()
	}
	p.calls.Add(1)
	return nil
}

func (p *Pool) end(x *call) {
	if x.counted {
		p.calls.Done()
	}
}

// attempt makes a call on the connection that it was given. It may be made again if the
// connection broke before anything was sent.
func (p *Pool) attempt(c *conn, x *call) (again bool, err error) {
	if x.ready != nil { // it waited
		if err := p.tooLate(x); err != nil {
			p.putBack(c, x)
			return false, err
		}
	}
	if x.req.Route != nil {
		*x.req.Route = c.route(x)
	}
	if err := x.sending(); err != nil {
		p.putBack(c, x)
		return false, err
	}
	x.reply.Broker = c.endpoint.index
	err = p.carry(c, x)
	e, failed := err.(*gateway.Error)
	if failed && e.Kind == gateway.Timeout && c.endpoint.noteSilence() {
		e.Detail = fmt.Sprintf("this broker has never answered: %s (now %s)", gateway.SilentHint, c.endpoint.Dialect)
	}
	return failed && e.Kind == gateway.BrokerUnavailable, err
}

// sending asks the caller, once, whether the request may go out, and starts the time that it has from then on.
func (x *call) sending() error {
	if ask := x.req.Sending; ask != nil {
		if err := ask(); err != nil {
			var told *gateway.Error
			if !errors.As(err, &told) {
				told = &gateway.Error{Kind: gateway.Canceled, Err: err}
			}
			return told
		}
		x.req.Sending = nil
	}
	if x.req.Within > 0 {
		x.req.Deadline = time.Now().Add(x.req.Within)
	}
	return nil
}

// carry makes a call on the connection that it leased, and takes that back. A panic
// of those who are shown what is sent and received passes, and costs the connection.
func (p *Pool) carry(c *conn, x *call) (err error) {
	x.reason = string(gateway.Internal) // until the round trip has come to its end
	kept := false
	defer func() {
		if !kept {
			p.release(c, x, err)
		}
	}()
	err = c.roundTrip(x)
	kept = p.keep(c, x)
	return err
}

// tooLate says why a call that has not been sent must not be any more: its time has
// passed, or its caller left.
func (p *Pool) tooLate(x *call) error {
	select {
	case <-p.ended:
		return gateway.ShuttingDown()
	default:
	}
	switch {
	case x.ctx.Err() != nil: // to ask for Done would make a channel
		return gateway.Ended(x.ctx, false)
	case x.late():
		return gateway.Overdue(false)
	}
	return nil
}

// announce wakes look-ups that wait for an endpoint. The mutex must be held.
func (p *Pool) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// sweep closes connections that were not needed for a while, until ctx ends.
func (p *Pool) sweep(ctx context.Context) {
	idle := time.NewTicker(p.cfg.Idle)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			closeAll(p.surplus())
		}
	}
}

// surplus takes out the connections that were not needed for Config.Idle. After a
// burst these are most: all take turns, and each is colder in the CPU's caches then.
func (p *Pool) surplus() (all []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endpoints {
		all = append(append(all, e.idle.takeSurplus()...), e.fresh.takeSurplus()...)
	}
	p.sockets -= len(all)
	p.closed[closedIdle] += uint64(len(all))
	return all
}

// Stats returns a snapshot.
func (p *Pool) Stats() gateway.PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := gateway.PoolStats{
		Max: p.cfg.Max, Waiting: len(p.waiting), QueueMax: p.cfg.QueueMax,
		Closed: maps.Clone(p.closed), Stray: maps.Clone(p.stray),
	}
	now := time.Now()
	s.Repeating = p.repeaters.count(now)
	for _, e := range p.endpoints {
		s.Idle += e.idle.len + e.fresh.len
		s.Busy += len(e.busy)
		s.Connecting += e.opening
		s.Endpoints = append(s.Endpoints, e.refusals.In(gateway.EndpointStats{
			Name: e.Name, Endpoint: e.Address, Dialect: e.Dialect, State: e.state, Since: e.upSince, Reconnects: e.reconnects,
			Silent: e.silent(now), LastReply: e.lastReply, InFlight: len(e.busy),
		}))
	}
	return s
}
