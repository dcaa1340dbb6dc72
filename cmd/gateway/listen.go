package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mdpgateway/internal/certs"
	"mdpgateway/internal/edge"
)

// A socket is an address of --listen.
type socket struct {
	address string // host:port
	secure  bool   // TLS
}

const (
	clearPrefix  = "http://"
	securePrefix = "https://"
)

// sockets returns the addresses of --listen. Those without a prefix are secure if there is a certificate.
func (s *settings) sockets() (all []socket) {
	for _, text := range s.Listen {
		address, secure := strings.CutPrefix(text, securePrefix)
		address, clear := strings.CutPrefix(address, clearPrefix)
		all = append(all, socket{address, secure || !clear && s.TLSCert != ""})
	}
	return all
}

// url returns where something on this machine reaches the socket, if it has the port of address.
func (s socket) url(address string) string {
	if s.secure {
		return securePrefix + dialAddress(address)
	}
	return clearPrefix + dialAddress(address)
}

// far reports whether other machines reach the socket.
func (s socket) far() bool { return !isLoopback(s.address) }

func (s socket) clear() bool { return !s.secure }

// onLoopback reports whether only this machine reaches the API.
func (s *settings) onLoopback() bool { return !slices.ContainsFunc(s.sockets(), socket.far) }

// parseSocket reads an address of --listen, which may have http:// or https:// before it.
func parseSocket(text string, _ *kong.Tag) (string, error) {
	return text, checkListen(strings.TrimPrefix(strings.TrimPrefix(text, securePrefix), clearPrefix))
}

// parseListen reads host:port; a setting with the tag off may be empty.
func parseListen(text string, tag *kong.Tag) (string, error) {
	if text == "" && tag.Has("off") {
		return "", nil
	}
	return text, checkListen(text)
}

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("host:port or :port, such as 127.0.0.1:8080")
	}
	return nil
}

// listen opens every listener.
func (d *daemon) listen() error {
	if d.settings.Certs != nil {
		d.certs = certs.NewStore(d.settings.Certs)
		d.metrics.WatchTLS(func() []certs.Date { return d.certs.Set().Dates() })
		warn(d.log, expired(d.certs.Set())...)
	}
	bounds := d.settings.bounds()
	bounds.HandshakeFailed = d.handshakeFailed
	api := server{http: d.api.Server()}
	for _, s := range d.settings.sockets() {
		raw, err := edge.ListenTCP(s.address)
		if err != nil {
			return errors.Join(fmt.Errorf("api: %w", err), api.close())
		}
		l := api.add(raw, bounds)
		if s.secure {
			l.Secure(d.certs)
		}
		d.log.Info("listening", zap.String("server", "api"), zap.Stringer("address", l.Addr()), zap.Bool("tls", s.secure))
	}
	d.open("api", api)
	if d.settings.AdminListen == "" {
		return nil
	}
	raw, err := net.Listen("tcp", d.settings.AdminListen)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	admin := server{http: d.adminServer()}
	l := admin.add(raw, edge.Config{Max: adminConnections})
	d.log.Info("listening", zap.String("server", "admin"), zap.Stringer("address", l.Addr()))
	d.open("admin", admin)
	return nil
}

// open makes a server one of the daemon's.
func (d *daemon) open(name string, s server) {
	s.listeners[0].Guard(s.http)
	d.metrics.WatchConnections(name, s.listeners[0].Stats)
	d.servers = append(d.servers, s)
}

// A server is what serves one or more listeners, which share their bounds.
type server struct {
	http      *http.Server
	listeners []*edge.Listener
}

func (s *server) add(raw net.Listener, bounds edge.Config) *edge.Listener {
	var l *edge.Listener
	if len(s.listeners) == 0 {
		l = edge.Listen(raw, bounds)
	} else {
		l = s.listeners[0].Beside(raw)
	}
	s.listeners = append(s.listeners, l)
	return l
}

// close closes the listeners; a second time it does nothing.
func (s *server) close() error {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	return nil
}

// dismiss closes the listeners and, unless ctx ends, resets no connection that a caller has.
func (s *server) dismiss(ctx context.Context) {
	for _, l := range s.listeners {
		_ = l.Dismiss(ctx)
	}
}

// handshakeFailed logs a handshake that failed, as a line that is dropped before others, since strangers can cause
// any number of them.
func (d *daemon) handshakeFailed(peer net.Addr, reason string, err error) {
	level := zap.InfoLevel
	if reason == edge.Unfinished { // as of balancers that only look whether the port is open
		level = zap.DebugLevel
	}
	d.requests.Named("tls").Log(level, "handshake failed", zap.Inline(failedHandshake{peer.String(), reason, err}))
}

// A failedHandshake is a line of the log.
type failedHandshake struct {
	peer, reason string
	err          error
}

// longestError is how much is logged of an error that may have names out of a stranger's certificate.
const longestError = 300

// Dispensable reports that strangers can cause the line without end.
func (failedHandshake) Dispensable() bool { return true }

// MarshalLogObject is zapcore.ObjectMarshaler.
func (h failedHandshake) MarshalLogObject(to zapcore.ObjectEncoder) error {
	text := h.err.Error()
	to.AddString("peer", h.peer)
	to.AddString("reason", h.reason)
	to.AddString("error", text[:min(len(text), longestError)])
	return nil
}
