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

// Resolve turns a host's name in an address into its IP addresses. libzmq would do it in
// its I/O thread, where one silent name server stops every socket.
func Resolve(ctx context.Context, resolver *net.Resolver, address string) ([]string, error) {
	if !strings.HasPrefix(address, "tcp://") {
		return []string{address}, nil
	}
	host, port, err := splitTCP(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{address}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, ip := range inOrder(ips) {
		addresses = append(addresses, "tcp://"+net.JoinHostPort(ip.String(), port))
	}
	return addresses, nil
}

// inOrder puts IPv4 addresses first, since brokers bind those unless they are told
// otherwise.
func inOrder(ips []netip.Addr) (ordered []netip.Addr) {
	var others []netip.Addr
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			ordered = append(ordered, ip)
		} else {
			others = append(others, ip)
		}
	}
	return append(ordered, others...)
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
