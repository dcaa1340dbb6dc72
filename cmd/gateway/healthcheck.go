package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mdpgateway/internal/certs"
)

// healthWait bounds the probe below the time that Docker and Kubernetes give it.
const healthWait = 3 * time.Second

// healthcheckCmd is gateway healthcheck, for images that have no curl. It knows
// all settings of serve, so that both can be started with the same settings.
type healthcheckCmd struct {
	settings
	Ready bool `help:"Check /readyz, whether it is ready for calls, instead of /livez."`
}

// Run asks the gateway and fails if it does not say yes.
func (c *healthcheckCmd) Run(p *process) error {
	at, err := c.target(p.resolver)
	if err != nil {
		return usageError{err}
	}
	path := "/livez"
	if c.Ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(p.ctx, healthWait)
	defer cancel()
	return probe(ctx, at.url(at.address)+path, c.host())
}

// target returns where the gateway is asked: at an address in clear text if there is one, since with
// --tls-client-auth require the others want a certificate that is not ours.
func (c *healthcheckCmd) target(r *resolver) (socket, error) {
	all := c.sockets()
	at := all[max(0, slices.IndexFunc(all, socket.clear))]
	if at.secure && (c.TLSClientAuth == certs.Require || c.TLSClientAuth == "" && c.TLSClientCA != "") {
		if c.AdminListen == "" {
			return at, &valueError{r.origin("listen"), strings.Join(c.Listen, ", "),
				"another one with http:// on loopback, or --admin-listen: this command has no certificate to show"}
		}
		at = socket{address: c.AdminListen}
	}
	if port(at.address) == "0" {
		return at, &valueError{r.origin("listen"), strings.Join(c.Listen, ", "), "the port that the gateway listens on"}
	}
	return at, nil
}

// host returns a name that the gateway answers to, empty for the address itself.
func (s *settings) host() string {
	if names := s.hosts(); len(names) > 0 {
		return names[0]
	}
	return ""
}

// dialAddress returns where something that listens on address is reached from
// this machine.
func dialAddress(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() && ip.Is6() {
		host = "::1"
	} else if host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// probe asks url, past any proxy, and returns an error unless it answers 200. It does not ask who answers: it dials an
// address of this machine, which the certificate need not name, and tells nothing that is secret.
func probe(ctx context.Context, url, host string) error {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // #nosec G402
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Host = host
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 512))
	return fmt.Errorf("%s: %s %s", url, res.Status, strings.TrimSpace(string(body)))
}
