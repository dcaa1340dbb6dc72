// Package client is the gateway's side of a Majordomo broker: a pool of DEALER
// sockets, one call at a time on each.
//
// MDP has no request id, so what keeps a reply from reaching the wrong caller is
// this, all of it: one request in flight per socket; a random routing id per
// socket; a socket that saw a time-out, a cancellation or any error is closed; a
// reply must name the service that was asked; nothing may wait in a socket
// before it is used again; idle sockets are used again oldest first, and not
// within a millisecond while another will do. It refuses to reconnect a call's
// socket, to send a request twice, and to wait in libzmq.
//
// pool.go has the way of a call, gate.go who may have a connection, lease.go
// which one, conn.go a round trip, attend.go what may end it meanwhile, memory.go
// what libzmq may hold, endpoint.go a broker's state, lookup.go MMI, close.go the end.
package client

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
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
	// sent: each of them may have broken a moment ago. Of idle ones, which a lost
	// broker breaks all at once, any number may be tried before.
	maxAttempts = 3

	// firstVerdict is how long a call waits for the outcome of the very first
	// attempt to reach any broker.
	firstVerdict = time.Second
)

// Reasons of closing a connection, beside the Kind that a call ended with.
const (
	closedIdle     = "idle"      // not needed for Config.Idle
	closedEvicted  = "evicted"   // to make room for one to another broker
	closedLost     = "lost"      // the connection broke
	closedStray    = "stray"     // a message waited in it that nobody had asked for
	closedFresh    = "no_reuse"  // it was for one call
	closedTooLarge = "too_large" // the rest of a reply over its limit is still in it
	closedMemory   = "memory"    // there was no room for the reply that arrived
	closedShutdown = "shutdown"
)

// A Pool calls services of one or more brokers. It is safe for concurrent use.
type Pool struct {
	// Set once.
	cfg       Config
	zctx      *zsock.Context
	endpoints []*endpoint
	cancel    context.CancelFunc // ends the goroutines that New started
	ended     chan struct{}      // closed when Close waits for calls no longer
	freed     chan struct{}      // closed when Close is done
	calling   chan struct{}      // there are calls to attend to
	running   sync.WaitGroup     // those goroutines
	calls     sync.WaitGroup     // calls and lookups; Add only while mu is held and closing is false
	large     atomic.Bool        // there were large messages since the last sweep

	// Guarded by mu.
	mu      sync.Mutex
	gate    gate
	sockets int               // idle, busy and being opened
	closing bool              // no more calls
	changed chan struct{}     // closed, and replaced, when an endpoint's state changes
	closed  map[string]uint64 // connections, by reason
	stray   map[string]uint64 // messages, by reason
}

// New starts a pool. It returns before any broker has been reached: calls wait a
// moment for the first verdict. Close frees it.
func New(cfg Config) (*Pool, error) {
	cfg = cfg.withDefaults()
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
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pool{
		cfg: cfg, zctx: zctx, cancel: cancel,
		ended:   make(chan struct{}),
		freed:   make(chan struct{}),
		calling: make(chan struct{}, 1),
		changed: make(chan struct{}),
		closed:  map[string]uint64{},
		stray:   map[string]uint64{},
		gate: gate{
			free: cfg.Max, reserve: int(cfg.Reserve * float64(cfg.Max)),
			queueMax: cfg.QueueMax, held: map[string]int{},
		},
	}
	for i, e := range cfg.Endpoints {
		p.endpoints = append(p.endpoints, newEndpoint(p, i, e))
	}
	for _, e := range p.endpoints {
		p.running.Go(func() { e.watch(ctx) })
	}
	p.running.Go(func() { p.sweep(ctx) })
	p.running.Go(func() { p.attend(ctx) })
	return p, nil
}

// Call sends one request and waits for its reply. The error is an *gateway.Error;
// the reply's Timing and Broker are set with it too. The call ends with ctx: if
// its cause is an *gateway.Error, with that; past a deadline, or the request's, with
// Timeout; else with Canceled.
func (p *Pool) Call(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
	start := time.Now()
	x := newExchange(ctx, &req)
	defer x.done()
	err := p.call(x)
	if x.sent.IsZero() {
		x.reply.Timing.Queue = time.Since(start)
	} else {
		x.reply.Timing.Queue = x.sent.Sub(start)
		x.reply.Timing.Broker = time.Since(x.sent)
	}
	if err != nil {
		e := gateway.AsError(err)
		e.Service = x.req.Service
		err = e
	}
	return x.reply, err
}

func (p *Pool) call(x *exchange) error {
	if err := mdp.CheckService(x.req.Service); err != nil {
		return &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	if err := p.begin(); err != nil {
		return err
	}
	defer p.calls.Done()
	if err := p.awaitVerdict(x); err != nil {
		return err
	}
	if err := p.enter(x); err != nil {
		return err
	}
	defer p.exit(x.req.Service)
	if err := p.admit(x); err != nil {
		return err
	}
	defer p.forget(x)
	p.noteCall()
	for opened := 0; ; {
		again, err := p.attempt(x)
		if x.fresh {
			opened++
		}
		if !again || opened == maxAttempts {
			return err
		}
	}
}

// begin counts a call or lookup, unless the pool is being closed. Each success
// needs one calls.Done.
func (p *Pool) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return draining()
	}
	p.calls.Add(1)
	return nil
}

// allowed yields the endpoints that a request may go to.
func (p *Pool) allowed(brokers []int) func(yield func(*endpoint) bool) {
	return func(yield func(*endpoint) bool) {
		if brokers == nil {
			for _, e := range p.endpoints {
				if !yield(e) {
					return
				}
			}
			return
		}
		for _, i := range brokers {
			if !yield(p.endpoints[i]) {
				return
			}
		}
	}
}

// awaitVerdict waits until a broker is up or all are known to be down.
func (p *Pool) awaitVerdict(x *exchange) error {
	var timeout <-chan time.Time
	for {
		p.mu.Lock()
		up, pending, changed := false, false, p.changed
		for e := range p.allowed(x.req.Brokers) {
			up = up || e.state == gateway.Up
			pending = pending || e.state == gateway.Pending
		}
		p.mu.Unlock()
		switch {
		case up:
			return nil
		case !pending:
			return unavailable(nil)
		case timeout == nil:
			timer := time.NewTimer(firstVerdict)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-timeout:
			return unavailable(nil)
		case <-x.waiting().Done():
			return gateway.Ended(x.waiting(), false)
		}
	}
}

// announce wakes those that wait for an endpoint. The mutex must be held.
func (p *Pool) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// sweep closes connections that were not needed for a while, and settles what the
// others hold, until ctx ends.
func (p *Pool) sweep(ctx context.Context) {
	tick := time.NewTicker(max(p.cfg.Idle/quarters, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, c := range p.surplus() {
			c.close()
		}
		p.settle()
	}
}

// surplus takes out the connections that were not needed for Config.Idle. After a
// burst these are most: all take turns, and each is colder in the CPU's caches then.
func (p *Pool) surplus() (all []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endpoints {
		all = append(all, e.idle.takeSurplus()...)
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
		Max: p.cfg.Max, Waiting: len(p.gate.waiting), QueueMax: p.gate.queueMax,
		Closed: maps.Clone(p.closed), Stray: maps.Clone(p.stray),
	}
	now := time.Now()
	for _, e := range p.endpoints {
		s.Idle += e.idle.len
		s.Busy += len(e.busy)
		s.Connecting += e.opening
		s.Endpoints = append(s.Endpoints, gateway.EndpointStats{
			Name: e.Name, Endpoint: e.Address, Dialect: e.Dialect, State: e.state, Since: e.upSince, Reconnects: e.reconnects,
			Silent: e.silent(now), LastReply: e.lastReply, InFlight: e.inFlight(),
		})
	}
	return s
}
