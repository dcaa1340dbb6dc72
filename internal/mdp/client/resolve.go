package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const resolveTimeout = 2 * time.Second

// resolve turns a host's name in an address into an IP address. libzmq would do
// it in its I/O thread, where one silent name server stops every socket.
func resolve(ctx context.Context, resolver *net.Resolver, address string) (string, error) {
	if !strings.HasPrefix(address, "tcp://") {
		return address, nil
	}
	host, port, err := splitTCP(address)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return address, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", err
	}
	return "tcp://" + net.JoinHostPort(preferred(ips).String(), port), nil
}

// preferred is the first IPv4 address, since brokers bind those unless they are
// told otherwise, or else the first.
func preferred(ips []netip.Addr) netip.Addr {
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			return ip
		}
	}
	return ips[0]
}

func splitTCP(address string) (host, port string, err error) {
	rest, ok := strings.CutPrefix(address, "tcp://")
	if !ok {
		return "", "", fmt.Errorf("no tcp:// in %q", address)
	}
	if host, port, err = net.SplitHostPort(rest); err != nil {
		return "", "", err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return "", "", fmt.Errorf("no host and port in %q", address)
	}
	return host, port, nil
}
