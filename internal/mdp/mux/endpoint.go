package mux

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/internal/zsock"
)

const (
	minBackoff = 100 * time.Millisecond // from one attempt to the next
	maxBackoff = time.Second

	// lostGrace is how long a broker that was lost may take to come back before the calls in
	// flight are ended. Their own connections mostly see it earlier.
	lostGrace = time.Second

	// greeting is how long a broker may take for its first word until it is taken for one of another dialect.
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
// which it says what services it has; keep (keep.go) keeps the connections of calls.
type endpoint struct {
	// Set once.
	client.Endpoint
	client *Client
	index  int
	log    *zap.Logger
	table  *Table

	renewed   chan *session // by other keys; from renew to last
	firstWord time.Duration // how long a broker may take for it before another address is tried; owned by watch

	lastReply atomic.Int64 // in Unix nanoseconds; 0 if there was none

	// Guarded by client.mu.
	state      gateway.EndpointState // Down, too, if it is present and no connection for calls can be opened
	present    bool                  // it says what services it has
	address    string                // with the host's name resolved
	reconnects uint64
	upSince    time.Time
	refusals   client.Refusals
	mute       bool          // it takes connections, and does not speak MDPX/1
	faults     client.Outage // of connections for calls
	outage     client.Outage // of the broker, unless it is mute
	turn       uint64        // of the last call that was given a connection
	next       int           // of a lane's links, for the next call
	inFlight   int
	keys       *curve.Client // of CURVE, of new connections
	given      *curve.Client // by Rekey, and not in force; nil if there are none
	tried      *curve.Client // of those that were given, since it came up
	renewing   bool          // calls may still be sent over connections of the keys before
	rekeyed    chan struct{} // closed, and replaced, when other keys are in force
	retired    []*link       // that get no more calls and have some
	links      []*link       // of small calls, then as many of large ones; nil where there is none
}

func newEndpoint(c *Client, index int, e client.Endpoint) *endpoint {
	return &endpoint{
		Endpoint: e, client: c, index: index, table: new(Table), refusals: client.NewRefusals(e.Curve != nil),
		log:   c.cfg.Log.With(zap.String("endpoint", e.Name), zap.Stringer("dialect", e.Dialect)),
		links: make([]*link, 2*c.cfg.Connections), firstWord: greeting,
		keys: e.Curve, rekeyed: make(chan struct{}), renewed: make(chan *session),
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

// hasLink reports whether a call can be sent now. The mutex must be held.
func (e *endpoint) hasLink() bool {
	return slices.ContainsFunc(e.links, func(l *link) bool { return l != nil })
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
				l.hold()
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
		e.setMute(false)
		return false
	}
	anyMute := false
	for _, address := range addresses {
		up, mute := e.stay(ctx, address)
		if up {
			e.firstWord = greeting
			return true
		}
		anyMute = anyMute || mute
	}
	e.setMute(anyMute)
	// One that is slow has more time when it is tried again.
	e.firstWord = deafness
	return false
}

// setMute says whether the broker takes connections and does not speak MDPX/1.
func (e *endpoint) setMute(mute bool) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	e.mute = mute
}

// abandonIfDown ends the calls in flight of an endpoint that did not come back.
func (e *endpoint) abandonIfDown() {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	if e.present {
		return
	}
	for _, l := range slices.Concat(e.links, e.retired) {
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
	e.state, e.present, e.address, e.upSince, e.mute = gateway.Up, true, address, time.Now(), false
	e.tried, e.outage = nil, client.Outage{}
	c.announce()
	c.mu.Unlock()
	e.log.Info("broker connected", zap.Uint64("reconnects", reconnects))
}

// down keeps new calls from the endpoint. Those in flight go on: their connections may still
// be alive. An address that is mute is told of until the broker is up, or no address is mute any more. That the broker is
// lost is logged at once and then every minute.
func (e *endpoint) down(reason string, cause error, mute bool) {
	c := e.client
	c.mu.Lock()
	tell, attempts, lasts := mute && !e.mute, 0, time.Duration(0)
	if !mute {
		tell, attempts, lasts = e.outage.Note(time.Now())
	}
	e.state, e.present, e.mute = gateway.Down, false, e.mute || mute
	c.announce()
	c.mu.Unlock()
	switch {
	case !tell || zsock.IsInterrupted(cause) || errors.Is(cause, context.Canceled):
	case mute:
		e.log.Warn(gateway.Unspoken)
	default:
		e.log.Warn("broker unavailable", zap.String("reason", reason), zap.Int("attempts", attempts), zap.Duration("took", lasts), zap.Error(cause))
	}
}
