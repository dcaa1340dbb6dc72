package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"mdpgateway/internal/mdp"
)

// hostAllowed refuses names that are not the gateway's. A page whose name was
// made to point here (DNS rebinding) is of the same origin to the browser, so
// that only its name gives it away. Probes name the address of a pod, and tell a
// page nothing.
func (a *API) hostAllowed(r *http.Request) error {
	probe := r.URL.Path == "/livez" || r.URL.Path == "/readyz"
	if probe || len(a.cfg.AllowedHosts) == 0 || slices.Contains(a.cfg.AllowedHosts, "*") {
		return nil
	}
	host := hostname(r.Host)
	if slices.ContainsFunc(a.cfg.AllowedHosts, func(allowed string) bool { return strings.EqualFold(hostname(allowed), host) }) {
		return nil
	}
	return &mdp.Error{Kind: mdp.OriginRefused, Detail: fmt.Sprintf("the gateway does not answer to the Host %q", host)}
}

// hostname strips what does not make another host: port, brackets, final dot.
func hostname(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.TrimSuffix(host, ".")
}
