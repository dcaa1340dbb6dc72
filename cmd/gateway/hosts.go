package main

import (
	"os"
	"slices"
	"strings"

	"mdpgateway/internal/httpapi"
)

// finishHosts sets which names are answered. A web page whose name was made to point here (DNS rebinding) is of the
// gateway's origin to a browser, and passes wherever nobody must prove who calls. It needs a name that its owner controls: no
// address, not localhost, not that of this machine. Over TLS it would need a certificate for that name besides.
func (s *settings) finishHosts() {
	own := ownHosts()
	s.adminHosts = append(slices.Clone(s.AllowedHosts), own...)
	if isLoopback(s.AdminListen) {
		s.adminHosts = loopbackHosts
	}
	switch {
	case s.AllowedHosts != nil:
	case !slices.ContainsFunc(s.sockets(), socket.clear): // browsers hold the name against the certificate
		s.AllowedHosts = []string{"*"}
	case s.onLoopback():
		s.AllowedHosts = loopbackHosts
	case !s.closed():
		s.AllowedHosts = own
	default:
		s.AllowedHosts = []string{"*"}
	}
}

// ownHosts returns the names that can't be those of a foreign page.
func ownHosts() []string {
	hosts := []string{"localhost", httpapi.AnyAddress}
	if name, err := os.Hostname(); err == nil && name != "" {
		hosts = append(hosts, strings.ToLower(name))
	}
	return hosts
}
