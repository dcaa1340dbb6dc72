package client

import (
	"context"
	"encoding/hex"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/internal/zsock"
)

const (
	minBackoff = 100 * time.Millisecond // from one of the sentinel's attempts to the next
	maxBackoff = time.Second

	// lostGrace is how long a lost sentinel may take to come back before the
	// calls in flight are ended. Their own connections mostly see it earlier;
	// only a broker that was stopped, or a link that went dark, comes to this.
	lostGrace = time.Second

	// replyHeadroom lets a message be that much larger than the largest reply.
	// Within it an error can tell that a reply is too large; beyond it libzmq
	// drops the connection, as if the broker were lost.
	replyHeadroom = 1 << 20

	// retryDoubtful is after how long a broker that does not seem to answer gets another
	// call although others are there.
	retryDoubtful = 5 * time.Second

	silentAfter    = 30 * time.Second // connected for so long,
	silentRequests = 3                // with so many requests, and no answer at all
)

// A broker that is stopped is noticed within Interval + Timeout, and its calls
// end after lostGrace more: 4.5 s in all, so that the 5 s that are promised hold
// on a busy machine too. A shorter Timeout would take a crowded link for a dark
// one.
//
// A handshake takes two to three round trips, so it has the time that any connection has.
func (e *endpoint) sentinelOptions() zsock.WatchOptions {
	return zsock.WatchOptions{
		Handshake: e.pool.cfg.ConnectTimeout, Interval: 500 * time.Millisecond, Timeout: 3 * time.Second, Curve: e.inForce(),
	}
}

// An endpoint is one broker: whether it can be reached, and the connections to
// it. Its sentinel is a connection of its own that carries no calls; it alone
// reconnects.
type endpoint struct {
	// Set once.
	Endpoint
	pool  *Pool
	index int
	log   *zap.Logger
	asker chan *conn // holds the connection for lookups, nil if it is not open

	// Owned by watch.
	grace     *time.Timer
	graceEnds time.Time
	outage    Outage

	// Guarded by pool.mu.
	state      gateway.EndpointState
	address    string        // with the host's name resolved
	handshake  time.Duration // how long the sentinel's took
	reconnects uint64
	upSince    time.Time
	refusals   Refusals
	keys       *curve.Client // of CURVE, of new connections
	given      *curve.Client // by Rekey, to be tried; nil if there are none
	sentinel   *zsock.Watch  // nil between two attempts
	asked      uint64        // requests since it came up
	missed     uint64        // look-ups since then that were not answered
	answered   bool          // it ever replied, in this dialect
	warned     bool          // silence was logged
	lastReply  time.Time
	unanswered int       // timeouts since then
	turn       uint64    // of the last call that was given a connection
	tried      time.Time // when that was
	busy       map[*conn]*call
	idle       list                   // connections that calls had
	fresh      list                   // connections that no call had
	opening    int                    // connections that will be fresh
	dialing    map[*conn]struct{}     // connections whose handshake is awaited
	dials      uint                   // begun, for calls
	begun      [dialsAtOnce]time.Time // when the last of them were
}

func newEndpoint(p *Pool, index int, e Endpoint) *endpoint {
	ep := &endpoint{
		Endpoint: e,
		pool:     p,
		index:    index,
		log:      p.cfg.Log.With(zap.String("endpoint", e.Name), zap.Stringer("dialect", e.Dialect)),
		asker:    make(chan *conn, 1),
		busy:     map[*conn]*call{},
		dialing:  map[*conn]struct{}{},
		refusals: NewRefusals(e.Curve != nil),
		keys:     e.Curve,
	}
	ep.asker <- nil
	return ep
}

// watch is the sentinel: it keeps a connection to the broker until ctx ends. An
// attempt that led nowhere for a second counts as time waited, so that a link
// that comes back is found within little more than that.
func (e *endpoint) watch(ctx context.Context) {
	e.grace = time.AfterFunc(lostGrace, e.abandonIfDown)
	defer e.grace.Stop()
	backoff := minBackoff
	for ctx.Err() == nil {
		begun := time.Now()
		if e.attempt(ctx) {
			backoff, begun = minBackoff, time.Now()
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(begun.Add(backoff))):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// attempt connects once and stays while the connection lives. It reports whether
// there was one.
func (e *endpoint) attempt(ctx context.Context) (connected bool) {
	addresses, err := Resolve(ctx, e.pool.cfg.Resolver, e.Address)
	if err != nil {
		e.down(zsock.WatchFailed, "name not resolved", err)
		return false
	}
	for _, address := range addresses {
		if e.stay(ctx, address) {
			return true
		}
	}
	return false
}

// stay connects to one address, and is attempt for it.
func (e *endpoint) stay(ctx context.Context, address string) (connected bool) {
	begun := time.Now()
	w, err := e.pool.zctx.Watch(address, e.sentinelOptions())
	if err != nil {
		e.down(zsock.WatchFailed, "sentinel not opened", err)
		return false
	}
	defer func() { e.watchBy(nil); _ = w.Close() }()
	e.watchBy(w)
	defer context.AfterFunc(ctx, e.interrupt)()
	event, err := w.Next()
	if event != zsock.WatchUp {
		e.down(event, event.String(), err)
		if event.IsRefusal() {
			e.adoptGiven()
		}
		return false
	}
	up := time.Now()
	e.up(address, up.Sub(begun))
	e.tryGiven(nil)
	for event, err = w.Next(); zsock.IsInterrupted(err) && ctx.Err() == nil; event, err = w.Next() {
		w = e.renew(ctx, w, address)
	}
	e.down(event, event.String(), err)
	e.startGrace(up, time.Now())
	return true
}

// startGrace gives the calls in flight their time, after a connection that was up
// since then is lost. One that flaps is lost once: it must not put their end off.
func (e *endpoint) startGrace(up, now time.Time) {
	if now.Sub(up) >= lostGrace || now.Sub(e.graceEnds) >= lostGrace {
		e.graceEnds = now.Add(lostGrace)
	}
	e.grace.Reset(e.graceEnds.Sub(now))
}

// up lets calls use the endpoint.
func (e *endpoint) up(address string, handshake time.Duration) {
	p := e.pool
	e.outage = Outage{}
	p.mu.Lock()
	if !e.upSince.IsZero() {
		e.reconnects++
	}
	reconnects := e.reconnects
	e.refusals.Note(zsock.WatchUp)
	e.state, e.address, e.handshake, e.upSince, e.asked = gateway.Up, address, handshake, time.Now(), 0
	e.missed = 0
	p.announce()
	p.serve()
	p.mu.Unlock()
	e.log.Info("broker connected", zap.Uint64("reconnects", reconnects))
}

// down keeps new calls from the endpoint, gives up connections that are being
// opened, and closes the idle ones. Calls in flight go on: theirs may still be
// alive.
func (e *endpoint) down(event zsock.Event, reason string, cause error) {
	p := e.pool
	p.mu.Lock()
	e.refusals.Note(event)
	e.state = gateway.Down
	e.abandonDialing()
	idle := e.takeIdle(closedLost)
	p.announce()
	p.refuseAllHopeless()
	p.serve()
	p.mu.Unlock()
	closeAll(idle)
	if tell, attempts, lasts := e.outage.Note(time.Now()); tell && !zsock.IsInterrupted(cause) {
		e.log.Warn("broker unavailable", zap.String("reason", reason), zap.Int("attempts", attempts), zap.Duration("took", lasts), zap.Error(cause))
	}
}

// takeIdle takes out all connections that rest, which will be closed. The pool's mutex
// must be held.
func (e *endpoint) takeIdle(reason string) []*conn {
	idle := append(e.idle.takeAll(), e.fresh.takeAll()...)
	e.pool.sockets -= len(idle)
	e.pool.closed[reason] += uint64(len(idle))
	return idle
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}

// abandonIfDown ends the calls in flight of an endpoint that did not come back.
func (e *endpoint) abandonIfDown() {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	if e.state == gateway.Down {
		e.abandonAll(gateway.BrokerLost)
	}
}

// abandonDialing gives up the connections that are being opened. The pool's mutex
// must be held.
func (e *endpoint) abandonDialing() {
	for c := range e.dialing {
		c.abandon(gateway.BrokerUnavailable)
	}
}

// abandonAll ends the calls in flight. The pool's mutex must be held.
func (e *endpoint) abandonAll(kind gateway.Kind) {
	for c := range e.busy {
		c.abandon(kind)
	}
}

// silent reports whether nothing that the broker was sent has been answered, so that it
// seems not to understand it. The pool's mutex must be held.
func (e *endpoint) silent(now time.Time) bool {
	return e.state == gateway.Up && !e.answered && e.missed > 0 || e.deaf(now)
}

// deaf reports whether the broker answers no requests either. The pool's mutex must be held.
func (e *endpoint) deaf(now time.Time) bool {
	return e.state == gateway.Up && !e.answered && e.asked >= silentRequests && now.Sub(e.upSince) >= silentAfter
}

// noteSilence logs, once, that a broker has never answered.
func (e *endpoint) noteSilence() (silent bool) {
	e.pool.mu.Lock()
	silent = e.silent(time.Now())
	first := silent && !e.warned
	e.warned = e.warned || silent
	e.pool.mu.Unlock()
	if first {
		e.log.Warn("this broker has never answered: "+gateway.SilentHint, zap.ByteString("header", e.Dialect.Header))
	}
	return silent
}

// logBadReply shows what a broker sent in place of a reply: its first frames, cut
// to 32 bytes. Bodies come later in a message and are not logged.
func (e *endpoint) logBadReply(service string, frames [][]byte, err error) {
	head := make([]string, 0, 4)
	for _, frame := range frames[:min(len(frames), e.Dialect.HeaderFrames())] {
		head = append(head, hex.EncodeToString(frame[:min(len(frame), 32)]))
	}
	e.log.Warn("bad reply", zap.String("service", service), zap.Error(err), zap.ByteString("expected", e.Dialect.Header), zap.Strings("received", head), zap.Int("frames", len(frames)))
}
