package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"mdpgateway/internal/gateway"
)

// hostAllowed refuses names that are not the gateway's. A page whose name was
// made to point here (DNS rebinding) is of the same origin to the browser, so
// that only its name gives it away. Probes name the address of a pod, and tell a
// page nothing.
func (a *API) hostAllowed(r *http.Request) error {
	if isProbe(r) || len(a.cfg.AllowedHosts) == 0 || AnswersTo(r.Host, a.cfg.AllowedHosts) {
		return nil
	}
	return &gateway.Error{Kind: gateway.OriginRefused, Detail: fmt.Sprintf("the gateway does not answer to the Host %q; --allowed-hosts names those that it answers to", hostname(r.Host))}
}

// AnyAddress stands for every IP address in a list of hosts.
const AnyAddress = "ip"

// AnswersTo reports whether the header Host names one of those hosts, which have
// neither ports nor brackets; "*" is any, and AnyAddress any IP address.
func AnswersTo(host string, hosts []string) bool {
	host = hostname(host)
	_, err := netip.ParseAddr(host)
	return slices.ContainsFunc(hosts, func(h string) bool {
		return h == "*" || h == AnyAddress && err == nil || strings.EqualFold(h, host)
	})
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
