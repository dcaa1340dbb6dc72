package main

import (
	"errors"
	"net/netip"

	"github.com/alecthomas/kong"

	"mdpgateway/internal/edge"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mux"
)

const (
	// adminConnections is how many connections the admin listener takes; their descriptors are among those that
	// client.DescriptorsLeft keeps back, as are those for probes.
	adminConnections = 32

	// By default there are from leastConnections to mostConnections: so many, at 20 KiB each, take 160 MiB.
	leastConnections = 64
	mostConnections  = 8192
)

// finishConnections sets how many connections and requests callers may have, unless it is given.
func (s *settings) finishConnections() {
	if s.MaxConnections == 0 {
		s.MaxConnections = min(max(s.descriptorsLeft(), leastConnections), mostConnections)
	}
	if s.MaxRequests == 0 {
		s.MaxRequests = 4 * (s.PoolMax + s.QueueMax)
	}
	if s.MaxConnectionsPerPeer == 0 {
		s.MaxConnectionsPerPeer = (s.MaxConnections + 3) / 4
	}
}

// descriptorsLeft is how many descriptors the connections to brokers leave. They have their other ends in this process
// if the broker is embedded.
func (s *settings) descriptorsLeft() int {
	left := client.DescriptorsLeft(s.upstreamConnections())
	if *s.Embedded {
		left -= s.brokerConnections()
	}
	return left
}

// upstreamConnections is how many connections to brokers there may be: one for each call to brokers of MDP, and a few
// to each of mdpx/1.
func (s *settings) upstreamConnections() (n int) {
	pooled := *s.Embedded && !s.Dialect.Multiplexed
	if *s.Embedded && s.Dialect.Multiplexed {
		n += mux.Sockets(s.MuxConnections)
	}
	for _, b := range s.Brokers {
		if b.Dialect.Multiplexed {
			n += mux.Sockets(s.MuxConnections)
		} else {
			pooled = true
		}
	}
	if pooled {
		n += s.PoolMax
	}
	return n
}

// brokerConnections is how many connections the embedded broker takes: the gateway's own, and a share for workers and
// for other clients.
func (s *settings) brokerConnections() int {
	own := s.PoolMax
	if s.Dialect.Multiplexed {
		own = 2 * mux.Sockets(s.MuxConnections)
	}
	return own + max(client.DescriptorsLeft(s.upstreamConnections())/8, leastConnections)
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
