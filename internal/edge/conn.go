package edge

import (
	"container/list"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"

	"mdpgateway/internal/certs"
)

// A Conn is a caller's connection. Its methods may be called on nil, for requests that came by no Listener.
type Conn struct {
	net.Conn // of requests in clear text: secure, proxied or raw

	// Set once, by Accept.
	raw      net.Conn
	proxied  *proxyproto.Conn // nil if it begins with no PROXY header
	secure   *certs.Conn      // nil without TLS
	listener *Listener
	born     time.Time

	// Guarded by listener.mu; from and spare do not change once a request has come.
	from                     netip.Addr
	peer                     *peer
	spare                    bool
	probing                  bool // it is in listener.probes
	gone                     bool
	inIdle, inPeer, inSpares *list.Element

	told sync.Once // the PROXY header was read

	shake    sync.Once
	unshaken bool // the handshake failed; set by shake
	agreed2  bool // the handshake agreed on HTTP/2; set by shake, before ready

	ready   atomic.Bool // for requests: there is no TLS, or its handshake is done
	refused atomic.Bool // a request of it was refused
	known   atomic.Bool // it is no stranger
	touched atomic.Bool // some bytes came
	said    atomic.Bool // something was written since the connection was idle
	taken   atomic.Bool // a handler was given the last request
	lost    atomic.Bool // nothing more can be read

	mu        sync.Mutex // below
	frames    frames
	leaving   bool      // Close was called
	busy      bool      // a request has come whose answer has not ended
	requested bool      // a request has come
	idleSince time.Time // of the last request's end
	deadline  time.Time // of reading; over HTTP/2
}

// unavailable is the answer to a connection that has to leave before it sent anything.
const unavailable = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"

// Spare reports whether the connection is one beyond the bounds, of which only probes are answered.
func (c *Conn) Spare() bool { return c != nil && c.spare }

// Refused tells that a request was answered with 401, 403 or 404: while these are the only answers, the connection is
// soon closed when it is idle.
func (c *Conn) Refused() {
	if c != nil {
		c.refused.Store(true)
	}
}

// Admitted tells that a request has come which not anybody may make: until it is answered the connection makes room
// for no other.
func (c *Conn) Admitted() {
	if c != nil && !c.known.Load() {
		c.listener.mu.Lock()
		c.listener.keep(c)
		c.listener.mu.Unlock()
	}
}

// Probed tells that a probe has come. A spare connection makes no room for others until it is answered, as long as
// half of the spare ones are free for other probes.
func (c *Conn) Probed() {
	if c.Spare() {
		c.listener.mu.Lock()
		c.listener.pin(c)
		c.listener.mu.Unlock()
	}
}

// Known tells that a request was answered that not anybody may make: the connection is that of no stranger.
func (c *Conn) Known() {
	if c != nil && !c.known.Swap(true) {
		c.listener.mu.Lock()
		c.listener.keep(c)
		c.listener.mu.Unlock()
	}
}

// key is what connections of one peer have in common: one host often has a whole /64 of IPv6.
func (c *Conn) key() netip.Addr {
	if c.from.Is6() {
		if prefix, err := c.from.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return c.from
}

// turnAway closes a connection that was given up for another. It does not wait, as a TLS connection's own Close may.
func (c *Conn) turnAway() {
	if c.secure == nil && !c.touched.Load() {
		_, _ = c.raw.Write([]byte(unavailable)) // it fits the socket's empty buffer
	}
	_ = c.raw.Close()
}

// CloseWrite lets net/http end an answer while the caller still sends.
func (c *Conn) CloseWrite() error {
	to := c.raw
	if c.secure != nil {
		to = c.secure
	}
	if w, ok := to.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// begin is told when a request has come. Anybody can send one, so that it keeps no place: see Admitted.
func (c *Conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = true
	c.rearm()
}

// rest is told when no request is open any more, and once when HTTP/2 begins.
func (c *Conn) rest() {
	if c.Spare() || !c.known.Load() {
		c.listener.mu.Lock()
		c.listener.unpin(c)
		c.listener.await(c)
		c.listener.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.idleSince = false, time.Now()
	c.taken.Store(false)
	c.said.Store(false)
	c.rearm()
}

// Read reads, and over HTTP/2 follows the frames. The first one does the handshake of TLS, if there is one.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.shaken() {
		return 0, io.EOF // what net/http would answer to another error could not be sent
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		if !c.touched.Swap(true) {
			_ = c.SetReadDeadline(time.Now().Add(c.listener.cfg.HeaderTimeout)) // of the first request
		}
		c.follow(p[:n])
	}
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.expired()
	default:
		c.lost.Store(true)
	}
	return n, err
}

// SetReadDeadline sets net/http's own deadline. Over HTTP/2 it sets none that matters: rearm does. Before the first byte
// the connection is as idle as between two requests: callers open connections that they have no request for yet, and use
// them later.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frames.http2() || c.leaving {
		return nil
	}
	if idle := c.born.Add(c.listener.cfg.IdleTimeout); c.ready.Load() && !c.touched.Load() && t.Before(idle) {
		t = idle
	}
	if soon := c.idleSince.Add(c.listener.cfg.RefusedIdle); c.turnedDown() && !c.busy && t.After(soon) {
		t = soon
	}
	return c.Conn.SetReadDeadline(t)
}

// turnedDown reports whether all that the connection asked for was refused.
func (c *Conn) turnedDown() bool { return c.refused.Load() && !c.known.Load() }
