package main

import (
	"errors"
	"net/netip"

	"github.com/alecthomas/kong"

	"mdpgateway/internal/edge"
	"mdpgateway/internal/mdp/client"
)

const (
	// adminConnections is how many connections the admin listener takes; their descriptors are among those that
	// client.DescriptorsLeft keeps back, as are those for probes.
	adminConnections = 32

	// By default there are from leastConnections to mostConnections: so many, at 20 KiB each, take 160 MiB.
	leastConnections = 64
	mostConnections  = 8192
)

// finishConnections sets how many connections and requests callers may have, unless it is given. A pool's connections have their
// other ends in this process if the broker is embedded.
func (s *settings) finishConnections() {
	if s.MaxConnections == 0 {
		left := client.DescriptorsLeft(s.PoolMax)
		if *s.Embedded {
			left -= s.brokerConnections()
		}
		s.MaxConnections = min(max(left, leastConnections), mostConnections)
	}
	if s.MaxRequests == 0 {
		s.MaxRequests = 4 * (s.PoolMax + s.QueueMax)
	}
	if s.MaxConnectionsPerPeer == 0 {
		s.MaxConnectionsPerPeer = (s.MaxConnections + 3) / 4
	}
}

// brokerConnections is how many connections the embedded broker takes: those of the pool, and a share for workers and
// for clients other than the gateway.
func (s *settings) brokerConnections() int {
	return s.PoolMax + max(client.DescriptorsLeft(s.PoolMax)/8, leastConnections)
}

// bounds are those of the API's listener.
func (s *settings) bounds() edge.Config {
	bounds := edge.Config{
		Max: s.MaxConnections, PerPeer: s.MaxConnectionsPerPeer, HeaderTimeout: s.HeaderTimeout, IdleTimeout: s.IdleTimeout,
		Shared: s.proxies().Trusts,
	}
	if s.ProxyProtocol {
		bounds.Proxied = s.proxies().Trusts
	}
	return bounds
}

// proxies are those of --trusted-proxies.
func (s *settings) proxies() (all edge.Proxies) {
	for _, text := range s.TrustedProxies {
		all = append(all, netip.MustParsePrefix(text)) // parseNetwork has made it
	}
	return all
}

// parseNetwork reads a network, or one address, as a network.
func parseNetwork(text string, _ *kong.Tag) (string, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String(), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return "", errors.New("a network such as 10.0.0.0/8, or an address")
	}
	return p.Masked().String(), nil
}
