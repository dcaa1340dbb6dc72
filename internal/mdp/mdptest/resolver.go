package mdptest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// DeadNameServer returns a resolver whose name server takes every question and
// answers none, and how often it was asked.
func DeadNameServer(t testing.TB) (resolver *net.Resolver, asked *atomic.Int64) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	var mu sync.Mutex
	var open []net.Conn // so that no resolver waits when the test is over
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		_ = server.Close()
		for _, c := range open {
			_ = c.Close()
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked.Add(1)
		mu.Lock()
		defer mu.Unlock()
		// After the end nobody listens, and the question is refused.
		c, err := new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
		if err == nil {
			open = append(open, c)
		}
		return c, err
	}}, asked
}
