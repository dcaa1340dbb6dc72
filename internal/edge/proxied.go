package edge

import (
	"errors"
	"net"

	"github.com/pires/go-proxyproto"
)

// fromTCP refuses a PROXY header with an address of another kind: a path or a datagram's.
func fromTCP(h *proxyproto.Header) error {
	if _, ok := h.SourceAddr.(*net.TCPAddr); !ok && h.SourceAddr != nil && !h.Command.IsLocal() {
		return errors.New("the PROXY header has no address of TCP")
	}
	return nil
}

// RemoteAddr returns where the connection comes from. Of one that begins with a PROXY header it waits for that, at most
// HeaderTimeout, and is that of the proxy if the header says nothing. net/http asks before the first request is read.
func (c *Conn) RemoteAddr() net.Addr {
	if c.proxied == nil {
		return c.raw.RemoteAddr()
	}
	from := c.proxied.RemoteAddr()
	c.told.Do(func() {
		if leaver := c.listener.move(c, from); leaver != nil {
			leaver.turnAway()
		}
	})
	return from
}

// move finds another place for a connection, since it comes from another address than its proxy's. It returns the
// connection that has to leave for it, if any.
func (l *Listener) move(c *Conn, from net.Addr) (leaver *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.proxied.ProxyHeader() == nil:
		l.refused[NoProxy]++
		return nil
	case c.gone:
		return nil
	}
	l.remove(c)
	c.gone, c.spare, c.from = false, false, addressOf(from)
	return l.admit(c)
}
