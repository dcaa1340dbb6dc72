package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// accessOpen is the value of --access that lets anyone who reaches the port call.
const accessOpen = "open"

// checkAccess refuses settings by which a stranger can call without a key, unless --access says
// so: a call may run code on workers that unpickle.
func (s *settings) checkAccess(r *resolver) error {
	switch {
	case s.Access == accessOpen && s.KeysFile != "":
		return fmt.Errorf("%s is %q beside %s, want one of them", r.origin("access"), s.Access, r.origin("keys-file"))
	case s.Access == "" && s.KeysFile == "" && !isLoopback(s.Listen):
		return &valueError{r.origin("listen"), s.Listen,
			"--keys-file, or --access open to let anyone who reaches the port call, or a loopback address"}
	}
	return nil
}

// checkReload refuses what must not happen by a reload, which may meet a file that is half
// written: to let anyone call where keys were needed, or to lock out everyone who has a key.
func (d *daemon) checkReload(next *settings) error {
	switch {
	case !d.keys.Enabled():
		return nil
	case next.Keys == nil:
		return fmt.Errorf("keys-file is no longer set, want it: only a restart lets anyone call without a key")
	case d.keys.Lost(next.Keys):
		return fmt.Errorf("%s has none of the keys in force, want at least one of them: only a restart replaces all", next.KeysFile)
	}
	return nil
}

// An exposure is what strangers can reach, by a setting.
type exposure struct{ message, setting, value string }

// exposures returns what strangers can reach.
func (s *settings) exposures() (all []exposure) {
	if s.Keys == nil && !isLoopback(s.Listen) {
		all = append(all, exposure{"no keys file: anyone who reaches this port may run code on workers that unpickle", "listen", s.Listen})
	}
	if s.Keys == nil && slices.Contains(s.CORSOrigin, "*") {
		all = append(all, exposure{"no keys file: any web page that a browser near this port opens may call", "cors-origin", "*"})
	}
	if *s.Embedded && !isLocalEndpoint(s.EmbeddedBind) {
		all = append(all, exposure{openBroker, "embedded-bind", s.EmbeddedBind})
	}
	if s.AdminListen != "" && !isLoopback(s.AdminListen) {
		all = append(all, exposure{"anyone who reaches the admin listener may read metrics and profiles", "admin-listen", s.AdminListen})
	}
	return all
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
