package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
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
	if port(c.Listen) == "0" {
		return usageError{&valueError{p.resolver.origin("listen"), c.Listen, "the port that the gateway listens on"}}
	}
	path := "/livez"
	if c.Ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(p.ctx, healthWait)
	defer cancel()
	return probe(ctx, "http://"+dialAddress(c.Listen)+path, c.host())
}

// host returns a name that the gateway answers to, empty for the address itself.
func (c *healthcheckCmd) host() string {
	if names := c.hosts(); len(names) > 0 {
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

// probe asks url, past any proxy, and returns an error unless it answers 200.
func probe(ctx context.Context, url, host string) error {
	transport := &http.Transport{DisableKeepAlives: true}
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
