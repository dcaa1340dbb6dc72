package httpapi

import (
	"context"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

// What never becomes a request is net/http's to answer. It reaches no service, and its
// connection ends, be it new or used before.
func TestWhatIsNoHTTPIsRefusedInPlainText(t *testing.T) {
	for _, c := range []struct {
		request string
		want    int
	}{
		{"GET /livez HTTP/1.1\r\n\r\n", 400},
		{"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"GET /livez HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400},
		{"POST /services/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		{"POST /services/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: foo\r\n\r\n", 417},
		{"hello\r\n\r\n", 400},
		{"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 50_000) + "\r\n\r\n", 431},
	} {
		for _, before := range []string{"", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"} {
			never := caller(func(context.Context, gateway.Call) (gateway.Reply, error) {
				t.Errorf("%.40q: a service was called", c.request)
				return gateway.Reply{}, nil
			})
			onVirtualTime(t, Config{MaxHeader: 1000, Caller: never}, func(t *testing.T, _ *testServer, raw *rawConn) {
				if before != "" {
					raw.send(before)
					raw.answer().wantBody(t, 200, "{\"live\":true}\n")
				}
				go func() { _, _ = raw.Write([]byte(c.request)) }() // its end may not be taken
				if a := raw.answer(); a.StatusCode != c.want {
					t.Errorf("%.40q: the answer is %d %q, want %d", c.request, a.StatusCode, a.body, c.want)
				}
				raw.wantClosed()
			})
		}
	}
}

func TestOptionsOfTheServerAreNoRoute(t *testing.T) {
	onVirtualTime(t, Config{}, func(t *testing.T, _ *testServer, raw *rawConn) {
		raw.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
		raw.answer().wantProblem(t, gateway.NotFound)
	})
}
