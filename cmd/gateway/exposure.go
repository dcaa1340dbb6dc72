package main

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"go.uber.org/zap"

	"mdpgateway/internal/certs"
)

// An exposure is what strangers can reach, by a setting.
type exposure struct{ message, setting, value string }

// exposures returns what strangers can reach.
func (s *settings) exposures() (all []exposure) {
	if open := addresses(s.sockets(), func(a socket) bool { return a.far() && !(a.secure && s.TLSClientAuth == certs.Require) }); s.Principals == nil && open != "" {
		all = append(all, exposure{"no principals: anyone who reaches this port may run code on workers that unpickle", "listen", open})
	}
	if clear := addresses(s.sockets(), func(a socket) bool { return a.far() && a.clear() }); s.Principals != nil && clear != "" {
		all = append(all, exposure{"keys and tokens travel in clear text: anyone who can listen on the way has them, unless a proxy with TLS is in front", "listen", clear})
	}
	if s.Principals == nil && slices.Contains(s.CORSOrigin, "*") {
		all = append(all, exposure{"no principals: any web page that a browser near this port opens may call", "cors-origin", "*"})
	}
	if *s.Embedded && s.Curve == nil && !isLocalEndpoint(s.EmbeddedBind) {
		all = append(all, exposure{openBroker, "embedded-bind", s.EmbeddedBind})
	}
	if s.AdminListen != "" && !isLoopback(s.AdminListen) {
		all = append(all, exposure{"anyone who reaches the admin listener may read metrics and profiles", "admin-listen", s.AdminListen})
	}
	return all
}

// addresses returns those of some sockets, in one text.
func addresses(all []socket, of func(socket) bool) string {
	var texts []string
	for _, a := range all {
		if of(a) {
			texts = append(texts, a.address)
		}
	}
	return strings.Join(texts, ", ")
}

const openBroker = "anyone who reaches the broker may call every service, and may be a worker of every service"

// warn logs exposures.
func warn(log *zap.Logger, all ...exposure) {
	for _, e := range all {
		log.Warn(e.message, zap.String("setting", e.setting), zap.String("value", e.value))
	}
}

// loopbackHosts are the names that a listener on loopback is reached by. It is
// never written to.
var loopbackHosts = []string{"localhost", "127.0.0.1", "::1"}

// isLoopback reports whether an address to listen on can be reached from this
// machine alone.
func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// isLocalEndpoint reports whether an endpoint to bind can be reached from this machine alone.
func isLocalEndpoint(endpoint string) bool {
	address, isTCP := strings.CutPrefix(endpoint, "tcp://")
	return !isTCP || isLoopback(address)
}
