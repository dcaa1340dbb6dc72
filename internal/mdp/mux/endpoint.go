package mux

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/internal/zsock"
	"mdpgateway/internal/mdp/mdpx"
)

const (
	minBackoff = 100 * time.Millisecond // from one attempt to the next
	maxBackoff = time.Second

	// lostGrace is how long a broker that was lost may take to come back before the calls in
	// flight are ended. Their own connections mostly see it earlier.
	lostGrace = time.Second

	// greeting is how long a broker may take for its first word.
	greeting = 2 * time.Second

	// A broker is sent heartbeats that often. It is lost if its ZeroMQ answers none for silence,
	// or the broker itself none for deafness: one that copies large messages on a busy
	// machine answers late.
	beat     = 500 * time.Millisecond
	silence  = 3 * time.Second
	deafness = 10 * time.Second
)

var (
	errUnspoken = errors.New(gateway.Unspoken)
	errSilent   = errors.New("no heartbeat")
)

// An endpoint is one broker. watch keeps its state, by a sentinel and by a connection over
// which it says what services it has; keep keeps the connections of calls.
type endpoint struct {
	// Set once.
	client.Endpoint
	client *Client
	index  int
	log    *zap.Logger
	table  *Table

	lastReply atomic.Int64 // in Unix nanoseconds; 0 if there was none

	// Guarded by client.mu.
	state      gateway.EndpointState
	address    string // with the host's name resolved
	reconnects uint64
	upSince    time.Time
	refusals   client.Refusals
	mute       bool   // it takes connections, and does not speak MDPX/1
	turn       uint64 // of the last call that was given a connection
	next       int    // of a lane's links, for the next call
	inFlight   int
	links      []*link // of small calls, then as many of large ones; nil where there is none
}

func newEndpoint(c *Client, index int, e client.Endpoint) *endpoint {
	return &endpoint{
		Endpoint: e, client: c, index: index, table: new(Table), refusals: client.NewRefusals(e.Curve != nil),
		log:   c.cfg.Log.With(zap.String("endpoint", e.Name), zap.Stringer("dialect", e.Dialect)),
		links: make([]*link, 2*c.cfg.Connections),
	}
}

// before reports whether calls go to e rather than to another endpoint: the one with fewer
// calls in flight, then the one whose last call is longer ago.
func (e *endpoint) before(other *endpoint) bool {
	if e.inFlight != other.inFlight {
		return e.inFlight < other.inFlight
	}
	return e.turn < other.turn
}

// lease returns the connections' next one for a call, which Client.release gives back, or nil
// if there is none now. The mutex must be held.
func (e *endpoint) lease(large bool) *link {
	half := len(e.links) / 2
	first, second := e.links[:half], e.links[half:]
	if large {
		first, second = second, first
	}
	for _, lane := range [][]*link{first, second} {
		for i := range lane {
			if l := lane[(e.next+i)%half]; l != nil {
				e.client.turns++
				e.turn = e.client.turns
				e.next = (e.next + i + 1) % half
				e.inFlight++
				return l
			}
		}
	}
	return nil
}

func (e *endpoint) noteReply() { e.lastReply.Store(time.Now().UnixNano()) }

// replied returns when the broker last replied, zero if it never did.
func (e *endpoint) replied() time.Time {
	if at := e.lastReply.Load(); at > 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// watch keeps the endpoint's state until ctx ends.
func (e *endpoint) watch(ctx context.Context) {
	grace := time.AfterFunc(time.Hour, e.abandonIfDown)
	defer grace.Stop()
	grace.Stop()
	backoff := minBackoff
	for ctx.Err() == nil {
		begun := time.Now()
		if e.attempt(ctx) {
			grace.Reset(lostGrace)
			backoff, begun = minBackoff, time.Now()
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(begun.Add(backoff))):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// attempt connects once and stays while the broker is there. It reports whether it was.
func (e *endpoint) attempt(ctx context.Context) (up bool) {
	addresses, err := client.Resolve(ctx, e.client.cfg.Resolver, e.Address)
	if err != nil {
		e.down("name not resolved", err, false)
		return false
	}
	for _, address := range addresses {
		if up = e.stay(ctx, address); up {
			break
		}
	}
	return up
}

// abandonIfDown ends the calls in flight of an endpoint that did not come back.
func (e *endpoint) abandonIfDown() {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	if e.state != gateway.Down {
		return
	}
	for _, l := range e.links {
		if l != nil {
			l.socket.Interrupt()
		}
	}
}

// handshake takes what came of the sentinel's.
func (e *endpoint) handshake(event zsock.Event) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	e.refusals.Note(event)
}

// up lets calls use the endpoint.
func (e *endpoint) up(address string) {
	c := e.client
	c.mu.Lock()
	if !e.upSince.IsZero() {
		e.reconnects++
	}
	reconnects := e.reconnects
	e.state, e.address, e.upSince, e.mute = gateway.Up, address, time.Now(), false
	c.announce()
	c.mu.Unlock()
	e.log.Info("broker connected", zap.Uint64("reconnects", reconnects))
}

// down keeps new calls from the endpoint. Those in flight go on: their connections may still
// be alive.
func (e *endpoint) down(reason string, cause error, mute bool) {
	c := e.client
	c.mu.Lock()
	changed := e.state != gateway.Down || mute && !e.mute
	e.state, e.mute = gateway.Down, mute
	c.announce()
	c.mu.Unlock()
	switch {
	case !changed || zsock.IsInterrupted(cause):
	case mute:
		e.log.Warn(gateway.Unspoken)
	default:
		e.log.Warn("broker unavailable", zap.String("reason", reason), zap.Error(cause))
	}
}

// keep keeps one of the connections for calls until ctx ends.
func (e *endpoint) keep(ctx context.Context, slot int) {
	for ctx.Err() == nil {
		address, changed := e.reachable()
		if address == "" {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		begun := time.Now()
		if err := e.carry(ctx, address, slot); err != nil && ctx.Err() == nil {
			select { // one that breaks at once is not opened again at once
			case <-ctx.Done():
			case <-time.After(time.Until(begun.Add(minBackoff))):
			}
		}
	}
}

// reachable returns the address of a broker that is up; else what tells of a change.
func (e *endpoint) reachable() (address string, changed <-chan struct{}) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	if e.state == gateway.Up {
		return e.address, nil
	}
	return "", e.client.changed
}

// carry opens a connection, lets calls use it until it is lost, and ends them.
func (e *endpoint) carry(ctx context.Context, address string, slot int) error {
	l, err := e.dial(ctx, address, nil)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, l.socket.Interrupt)()
	e.place(slot, l, "")
	if ctx.Err() == nil {
		err = l.socket.Run()
	}
	reason := closedLost
	if ctx.Err() != nil {
		reason = closedShutdown
	}
	e.place(slot, nil, reason)
	l.end()
	return errors.Join(err, l.socket.Close())
}

// place gives calls a connection, or takes it from them for a reason.
func (e *endpoint) place(slot int, l *link, closed string) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	e.links[slot] = l
	if closed != "" {
		e.client.closed[closed]++
	}
	e.client.announce()
}

// dial opens a connection. services, if set, is told what the broker tells of its services.
func (e *endpoint) dial(ctx context.Context, address string, services func([]mdpx.Service)) (*link, error) {
	l := &link{endpoint: e, services: services, calls: map[mdpx.ID]*call{}}
	var err error
	if l.socket, err = e.client.zctx.Share(zsock.DealerOptions{MaxMessage: e.client.cfg.MaxReply + replyHeadroom, Curve: e.Curve}, l.take); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, l.socket.Interrupt)
	err = l.socket.Connect(address, time.Now().Add(e.client.cfg.ConnectTimeout))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, l.socket.Close())
	}
	return l, nil
}

// replyHeadroom is for what a message has beside a reply's body.
const replyHeadroom = 64 << 10
