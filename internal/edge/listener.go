// Package edge bounds what connections of callers take of the process: how many there are, how many of them come
// from one address, and how long a connection may wait that has not shown anything but requests to be refused.
//
// It knows connections, not requests: httpapi tells it what came of those.
package edge

import (
	"cmp"
	"container/list"
	"context"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"mdpgateway/internal/certs"
	"mdpgateway/internal/gateway"
)

// Why a connection was refused or closed.
const (
	Full      = "full"         // beyond Max, and no stranger could make room: only probes are answered
	PeerFull  = "peer"         // beyond PerPeer, likewise
	MadeRoom  = "made_room"    // a stranger, or the oldest spare connection, gave its place to a newer one
	NoRequest = "headers"      // over HTTP/2 no request, or not the rest of its headers, came within HeaderTimeout
	NoProxy   = "proxy_header" // its PROXY header is none, or did not come within HeaderTimeout
)

// Config says how much a Listener lets in.
type Config struct {
	Max     int // connections at once; required
	PerPeer int // of these from one IPv4 address or IPv6 /64; default Max
	Spare   int // connections beyond Max, of which httpapi answers probes only; default 32

	HeaderTimeout time.Duration // for the first request's headers to arrive, from their first byte, and over HTTP/2 for all; default 10 s
	IdleTimeout   time.Duration // for the first byte of the first request; default 650 s
	RefusedIdle   time.Duration // how long a connection may be idle on which requests were only refused; default 5 s

	// HandshakeFailed is told of each TLS handshake that failed, and why (ClearText and so on). It must not block.
	// Default: nobody is.
	HandshakeFailed func(peer net.Addr, reason string, err error)

	// Shared reports addresses that stand for many callers, as a proxy's: PerPeer does not hold for them. Default: none.
	Shared func(netip.Addr) bool

	// Proxied reports addresses whose connections begin with a PROXY header (version 1 or 2), which says where they
	// come from. Without one they are closed. Default: none.
	Proxied func(netip.Addr) bool
}

func (c Config) withDefaults() Config {
	c.PerPeer = cmp.Or(c.PerPeer, c.Max)
	c.Spare = cmp.Or(c.Spare, 32)
	c.HeaderTimeout = cmp.Or(c.HeaderTimeout, 10*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 650*time.Second)
	c.RefusedIdle = cmp.Or(c.RefusedIdle, 5*time.Second)
	none := func(netip.Addr) bool { return false }
	if c.Shared == nil {
		c.Shared = none
	}
	if c.Proxied == nil {
		c.Proxied = none
	}
	return c
}

// A Listener accepts every connection. One beyond a bound takes the place of the stranger that has been one for the
// longest, else it becomes a spare one.
//
// A stranger is a connection on which nothing was answered yet but what anybody is answered: refusals, probes, /docs.
// While a request of it is open that was Admitted, it is none.
type Listener struct {
	net.Listener
	secure *certs.Store // makes connections TLS; nil for clear text
	*bounds
}

// bounds are what the Listeners of one server share.
type bounds struct {
	cfg Config // set once

	conns sync.WaitGroup // connections that were accepted and have not ended

	mu      sync.Mutex
	open    int                  // guarded by mu, as all below; without spares
	peers   map[netip.Addr]*peer // those with connections
	idle    list.List            // strangers, those that have been for the longest first
	spares  list.List            // oldest first, without those that are in probes
	probes  list.List            // spare connections whose probe is being answered
	refused map[string]uint64    // by reason

	handshakes map[string]uint64 // that failed, by reason
}

// A peer is the callers of one address.
type peer struct {
	open int
	idle list.List // as that of the Listener
}

// Listen bounds the connections that a listener accepts, for the server that Guard is given.
func Listen(l net.Listener, cfg Config) *Listener {
	return &Listener{Listener: l, bounds: &bounds{
		cfg: cfg.withDefaults(), peers: make(map[netip.Addr]*peer),
		refused: map[string]uint64{Full: 0, PeerFull: 0, MadeRoom: 0, NoRequest: 0, NoProxy: 0},
	}}
}

// Beside returns a Listener of the same server at another address. The bounds hold for both together.
func (l *Listener) Beside(next net.Listener) *Listener {
	return &Listener{Listener: next, bounds: l.bounds}
}

// connKey is that of a Conn in the context of its requests.
type connKey struct{}

// Guard makes a server tell of its connections. It must be called before the server serves.
func (l *Listener) Guard(s *http.Server) {
	before := s.ConnContext
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if before != nil {
			ctx = before(ctx, c)
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		switch conn := c.(*Conn); state {
		case http.StateActive:
			conn.begin()
		case http.StateIdle:
			conn.rest()
		}
	}
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Of(r.Context()).take()
		next.ServeHTTP(w, r)
	})
}

// Of returns the connection of a request, nil if it came by no Listener.
func Of(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: raw, raw: raw, listener: l, from: addressOf(raw.RemoteAddr()), born: time.Now()}
	l.conns.Add(1) // Close is the last that happens to it
	c.ready.Store(l.secure == nil)
	if l.cfg.Proxied(c.from) {
		c.proxied = proxyproto.NewConn(raw, proxyproto.WithPolicy(proxyproto.REQUIRE), proxyproto.ValidateHeader(fromTCP),
			proxyproto.SetReadHeaderTimeout(l.cfg.HeaderTimeout))
		c.Conn = c.proxied
	}
	if l.secure != nil {
		c.secure = l.secure.Server(c.Conn)
		c.Conn = c.secure
	}
	l.mu.Lock()
	leaver := l.admit(c)
	l.mu.Unlock()
	if leaver != nil {
		leaver.turnAway()
	}
	return c, nil
}

// admit finds a place for a connection, and returns the one that has to leave for it, if any. l.mu is held.
func (l *Listener) admit(c *Conn) (leaver *Conn) {
	p := l.peers[c.key()]
	if p == nil {
		p = new(peer)
	}
	c.peer = p
	switch {
	case p.open >= l.cfg.PerPeer && !l.cfg.Shared(c.from):
		leaver = oldest(&p.idle)
		c.spare = leaver == nil
		l.count(c.spare, PeerFull)
	case l.open >= l.cfg.Max:
		leaver = oldest(&l.idle)
		c.spare = leaver == nil
		l.count(c.spare, Full)
	}
	if c.spare && l.spares.Len()+l.probes.Len() >= l.cfg.Spare {
		leaver = l.leastSpare(c)
		l.refused[MadeRoom]++
	}
	if leaver != nil {
		l.remove(leaver)
	}
	if c.spare {
		c.inSpares = l.spares.PushBack(c)
		return leaver
	}
	l.peers[c.key()] = p
	p.open++
	l.open++
	l.await(c)
	return leaver
}

// leastSpare returns the spare connection that makes room for another: the oldest of the same peer if that has a
// quarter of them, so that nobody alone takes the probes' places, else the oldest. l.mu is held.
func (l *Listener) leastSpare(c *Conn) *Conn {
	var first *Conn
	same := 0
	for e := l.spares.Front(); e != nil; e = e.Next() {
		if other := e.Value.(*Conn); other.key() == c.key() {
			if same++; first == nil {
				first = other
			}
		}
	}
	if first != nil && same >= l.cfg.Spare/4 {
		return first
	}
	return oldest(&l.spares)
}

// pin keeps a spare connection from making room. l.mu is held.
func (l *Listener) pin(c *Conn) {
	if c.spare && !c.gone && !c.probing && l.probes.Len() < l.cfg.Spare/2 {
		l.spares.Remove(c.inSpares)
		c.inSpares, c.probing = l.probes.PushBack(c), true
	}
}

// unpin ends pin. l.mu is held.
func (l *Listener) unpin(c *Conn) {
	if c.probing && !c.gone {
		l.probes.Remove(c.inSpares)
		c.inSpares, c.probing = l.spares.PushBack(c), false
	}
}

// count counts a connection beyond a bound, by whether it is refused or another makes room.
func (l *Listener) count(refused bool, reason string) {
	if !refused {
		reason = MadeRoom
	}
	l.refused[reason]++
}

func oldest(conns *list.List) *Conn {
	if first := conns.Front(); first != nil {
		return first.Value.(*Conn)
	}
	return nil
}

// await makes a connection one that may have to make room. l.mu is held.
func (l *Listener) await(c *Conn) {
	if c.inIdle == nil && !c.gone && !c.spare {
		c.inIdle, c.inPeer = l.idle.PushBack(c), c.peer.idle.PushBack(c)
	}
}

// keep ends await. l.mu is held.
func (l *Listener) keep(c *Conn) {
	if c.inIdle != nil {
		l.idle.Remove(c.inIdle)
		c.peer.idle.Remove(c.inPeer)
		c.inIdle, c.inPeer = nil, nil
	}
}

// remove takes a connection out of all that is counted, once. l.mu is held.
func (l *Listener) remove(c *Conn) {
	if c.gone {
		return
	}
	l.keep(c)
	c.gone = true
	switch {
	case c.probing:
		l.probes.Remove(c.inSpares)
	case c.spare:
		l.spares.Remove(c.inSpares)
	default:
		l.open--
		c.peer.open--
	}
	if c.peer.open == 0 && l.peers[c.key()] == c.peer {
		delete(l.peers, c.key())
	}
}

// Stats says how many connections there are.
func (l *Listener) Stats() gateway.ConnectionStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := gateway.ConnectionStats{Open: l.open + l.spares.Len() + l.probes.Len(), Max: l.cfg.Max, Refused: make(map[string]uint64, len(l.refused))}
	maps.Copy(s.Refused, l.refused)
	s.Handshakes = maps.Clone(l.handshakes)
	return s
}

// addressOf returns the address of a peer; none if it has none, as on a UNIX socket.
func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
