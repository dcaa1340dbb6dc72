// Package testport reserves ports for the processes of tests that have to be told theirs. A process that can choose
// its port and tell it needs none.
package testport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// The ports are below those that Linux gives to sockets that ask for any (ip_local_port_range, from 32768), so no such
// socket takes one between its reservation and its use.
const first, last = 20000, 32000

// Reserve returns a TCP port of 127.0.0.1 on which nothing listens. Until the test ends no other test is given it, in
// this process or another: the UDP port of that number, which is held, stands for it.
func Reserve(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := first + rand.IntN(last-first)
		held, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			t.Cleanup(func() { _ = held.Close() })
			return port
		}
		_ = held.Close()
	}
	t.Fatalf("no port from %d to %d is free", first, last)
	return 0
}

// Address is Reserve as an address.
func Address(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Reserve(t))
}
