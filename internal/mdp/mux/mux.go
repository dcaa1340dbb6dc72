// Package mux is the gateway's side of brokers that speak MDPX/1: a few connections to each,
// which all calls share.
//
// A request has an id on its connection, which is never used again, and so has a connection.
// What is no answer to a call in flight on the connection that it comes over is counted and
// dropped. A call that is given up is canceled at the broker, whose word says whether a worker
// had it. Calls of a connection that breaks end with BrokerLost; none is sent twice, unless the
// broker says that no worker had it.
//
// mux.go has the way of a call up to its connection, places.go who may be in flight, call.go
// a call from its request to its end, memory.go what it holds of the memory, late.go replies that are awaited after their call, link.go
// a connection, endpoint.go a broker's state, keep.go its connections for calls, session.go its
// word, curve.go how its keys are replaced, table.go what it says of its services, word.go what
// it says of a request, and other errors, state.go what is told of all.
package mux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/internal/zsock"
)

// The defaults of Config's fields.
const (
	DefaultConnections   = 2
	DefaultNoWorkersWait = 2 * time.Second
)

// large is the size of a request, or expected reply, from which on a call takes a connection
// on which it does not delay small ones.
const large = 256 << 10

// Config configures a Client. Of client.Config, Idle has no meaning here, and Max is how many
// calls may be in flight.
type Config struct {
	client.Config
	Connections   int           // to each broker for small calls, and as many for large ones
	NoWorkersWait time.Duration // how long a call waits, at the broker, for workers of a service that has none
}

// Sockets returns how many connections a broker has: the sentinel's, the one for the broker's
// word, and those of calls. Each may be there twice: while its predecessor is freed or, after
// the broker's keys were replaced, until that has no calls any more.
func Sockets(connections int) int { return 2 + 2*connections }

// A Client calls services of one or more brokers. It is safe for concurrent use.
type Client struct {
	// Set once.
	cfg       Config
	zctx      *zsock.Context
	endpoints []*endpoint
	cancel    context.CancelFunc // ends the goroutines that New started
	ended     chan struct{}      // closed when Close waits for calls no longer
	freed     chan struct{}      // closed when Close is done
	running   sync.WaitGroup     // those goroutines
	heap      zsock.Heap
	calls     sync.WaitGroup // Add only while mu is held and closing is false

	// Guarded by mu.
	mu      sync.Mutex
	places  places
	turns   uint64      // calls that were given a connection
	late    []*lateCall // the oldest first
	closing bool
	changed chan struct{}     // closed, and replaced, when a connection or an endpoint's state changes
	closed  map[string]uint64 // connections, by reason
	stray   map[string]uint64 // messages, by reason
}

// Reasons of Stats.Closed and Stats.Stray.
const (
	closedLost     = "lost"
	closedKeys     = "keys" // the keys by which it was opened were replaced
	closedShutdown = "shutdown"
	strayLate      = "late" // of no call in flight
)

// New starts a client. It returns before any broker has been reached. Close frees it.
func New(cfg Config) (*Client, error) {
	cfg.Config = cfg.WithDefaults()
	cfg.Connections = cmp.Or(cfg.Connections, DefaultConnections)
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Connections < 1 || cfg.Connections > 64 {
		return nil, fmt.Errorf("mux-connections is %d, want 1 to 64", cfg.Connections)
	}
	// Per endpoint: a sentinel, its monitor and that one's other end, one for the broker's word, and the calls' own;
	// all twice while its keys are replaced, and each maybe while its predecessor is freed.
	zctx, err := zsock.NewContext(len(cfg.Endpoints)*4*(4+2*cfg.Connections) + 64)
	if err != nil {
		return nil, err
	}
	if cfg.Encrypted() {
		if err := zctx.UseTwoThreads(); err != nil {
			return nil, errors.Join(err, zctx.Close())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		cfg: cfg, zctx: zctx, cancel: cancel,
		ended: make(chan struct{}), freed: make(chan struct{}), changed: make(chan struct{}),
		places: newPlaces(cfg.Max, cfg.Reserve),
		closed: map[string]uint64{closedLost: 0, closedKeys: 0, closedShutdown: 0},
		stray:  map[string]uint64{strayLate: 0, mdp.ReasonHeader: 0, mdp.ReasonMalformed: 0},
	}
	for i, e := range cfg.Endpoints {
		c.endpoints = append(c.endpoints, newEndpoint(c, i, e))
	}
	c.running.Go(func() { c.heap.Sweep(ctx) })
	for _, e := range c.endpoints {
		c.running.Go(func() { e.watch(ctx) })
		if e.Curve != nil {
			c.running.Go(func() { e.renew(ctx) })
		}
		for i := range e.links {
			c.running.Go(func() { e.keep(ctx, i) })
		}
	}
	return c, nil
}

// Call sends one request and waits for its reply, as client.Pool's does.
func (c *Client) Call(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
	x := &call{ctx: ctx, req: &req, reply: gateway.Reply{Broker: -1}, start: time.Now()}
	err := c.run(x)
	x.reply.Timing = gateway.TimingOf(x.start, x.sent)
	if err != nil {
		x.giveBack()
		e := gateway.AsError(err)
		e.Service = req.Service
		err = e
	}
	return x.reply, err
}

func (c *Client) run(x *call) error {
	if err := mdp.CheckService(x.req.Service); err != nil {
		return &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	x.maxReply = c.cfg.MaxReply
	if own := x.req.MaxReply; own > 0 {
		x.maxReply = min(own, x.maxReply)
	}
	if err := x.reserve(); err != nil {
		return err
	}
	c.heap.Note(mdp.Size(x.req.Frames))
	defer func() { c.heap.Note(x.reply.Bytes) }()
	if err := c.enter(x); err != nil {
		return err
	}
	defer c.leave(x)
	return c.carry(x)
}

// carry sends a call that has its place, and again for as long as that sent nothing or the
// broker had no workers for it and has some now.
func (c *Client) carry(x *call) error {
	for {
		l, err := c.lease(x)
		if err != nil {
			return err
		}
		again, err := c.once(l, x)
		switch {
		case !again:
			return err
		case x.ctx.Err() != nil:
			return gateway.Ended(x.ctx, false)
		case x.late():
			return gateway.Overdue(false)
		}
	}
}

// once makes one attempt over a leased connection, and takes that back. A panic of those who are shown what is sent and
// received passes.
func (c *Client) once(l *link, x *call) (again bool, err error) {
	defer c.release(l)
	if err := x.sending(); err != nil {
		return false, err
	}
	return x.attempt(l)
}

// lease chooses a connection for a call. It waits until there is one, no broker is left
// that may have one, or the call's time to wait is over.
func (c *Client) lease(x *call) (*link, error) {
	for {
		c.mu.Lock()
		l, up, err := c.choose(x)
		changed := c.changed
		c.mu.Unlock()
		if l != nil || err != nil {
			return l, err
		}
		if err := c.await(x, up, changed); err != nil {
			return nil, err
		}
	}
}

// choose returns a connection for a call, which release gives back; neither that nor an
// error means that there may be one soon: up says that a broker is there, to which one is being opened. The mutex must
// be held.
func (c *Client) choose(x *call) (l *link, up bool, err error) {
	var best *endpoint
	manned, hope, bare := false, false, false // of best; of any
	soon := false                             // workers have one whose connections are being opened
	for _, e := range c.endpoints {
		if x.req.Brokers != nil && !slices.Contains(x.req.Brokers, e.index) || e.state == gateway.Down {
			continue
		}
		hope = true
		if e.state != gateway.Up {
			continue
		}
		workers := e.table.has(x.req.Service)
		switch {
		case !workers && !c.mayWait(x):
			bare = true
		case !e.hasLink():
			up, soon = true, soon || workers
		case best == nil || workers && !manned || workers == manned && e.before(best):
			best, manned = e, workers
		}
	}
	switch {
	case best != nil && (manned || !soon):
		return best.lease(x.isLarge()), true, nil
	case soon:
	case bare:
		return nil, false, noWorkers()
	case !hope:
		return nil, false, unavailable(nil)
	}
	return nil, up, nil
}

// mayWait reports whether a call waits at the broker for the workers of a service that has
// none. One that is queued elsewhere goes back there.
func (c *Client) mayWait(x *call) bool {
	return c.cfg.NoWorkersWait > 0 && x.req.Within == 0 && !x.waited
}

// release ends what choose began.
func (c *Client) release(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.inFlight--
	l.endpoint.inFlight--
	l.endIfIdle()
}

// await waits for a change, and says why a call may not wait for another. up says that a broker is there.
func (c *Client) await(x *call, up bool, changed <-chan struct{}) error {
	most := c.cfg.QueueTimeout
	if !up {
		most = min(most, c.cfg.FirstVerdict())
	}
	timer := time.NewTimer(time.Until(x.patience(most)))
	defer timer.Stop()
	select {
	case <-changed:
		return nil
	case <-c.ended:
		return gateway.ShuttingDown()
	case <-x.ctx.Done():
		return gateway.Ended(x.ctx, false)
	case <-timer.C:
	}
	if x.late() {
		return gateway.Overdue(false)
	}
	return unavailable(nil)
}

// announce wakes those that wait for a change. The mutex must be held.
func (c *Client) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Close refuses new calls, lets those in flight end until ctx does, ends the rest with
// Interrupted, and frees every socket, descriptor and goroutine. Who comes second waits for
// the first, but no longer than until their own ctx ends.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	second := c.closing
	c.closing = true
	c.mu.Unlock()
	if second {
		select {
		case <-c.freed:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer close(c.freed)
	quiet := make(chan struct{})
	go func() { c.calls.Wait(); close(quiet) }()
	select {
	case <-quiet:
	case <-ctx.Done():
		close(c.ended)
		<-quiet
	}
	c.cancel()
	c.running.Wait()
	return c.zctx.Close()
}
