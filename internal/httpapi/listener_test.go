package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/gateway"
)

// What never becomes a request is answered as everything else is, logged and
// counted, on a new connection and on one that was used before.
func TestWhatIsNoHTTPIsAProblemToo(t *testing.T) {
	for _, c := range []struct {
		request string
		want    gateway.Kind
		detail  string
	}{
		{"GET /livez HTTP/1.1\r\n\r\n", gateway.BadRequest, "missing required Host header"},
		{"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", gateway.BadRequest, "malformed Host header"},
		{"GET /livez HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", gateway.BadRequest, "invalid header name"},
		{"GET /livez HTTP/7.7\r\nHost: x\r\n\r\n", gateway.BadRequest, "unsupported protocol version"},
		{"POST /services/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", gateway.BadRequest, "not HTTP/1.1"},
		{"POST /services/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: foo\r\n\r\n", gateway.BadRequest, "Expect"},
		{"POST /services/echo HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\nExpect: foo\r\n\r\n", gateway.BadRequest, "Expect"},
		{"hello\r\n\r\n", gateway.BadRequest, "not HTTP/1.1"},
		{"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 50_000) + "\r\n\r\n", gateway.HeadersTooLarge, "larger than the gateway takes"},
	} {
		for _, before := range []string{"", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"} {
			onVirtualTime(t, Config{MaxHeader: 1000}, func(t *testing.T, g *testServer, raw *rawConn) {
				if before != "" {
					raw.send(before)
					raw.answer().wantBody(t, 200, "{\"live\":true}\n")
				}
				go func() { _, _ = raw.Write([]byte(c.request)) }() // its end may not be taken
				a := raw.answer()
				p := a.wantProblem(t, c.want)
				if detail, _ := p["detail"].(string); !strings.Contains(detail, c.detail) || p["request_id"] != a.Header.Get("X-Request-Id") {
					t.Errorf("%.40q: the problem is %v with the headers %v, want …%s…", c.request, p, a.Header, c.detail)
				}
				a.wantHeader(t, "Cache-Control", "no-store")
				if !a.Close {
					t.Errorf("%.40q: the connection is kept", c.request)
				}
				raw.wantClosed()
				raw.Close()
				g.stop()
				lines := g.logs.FilterMessage("request").Filter(func(e observer.LoggedEntry) bool { return e.ContextMap()["code"] == string(c.want) }).Len()
				if lines != 1 {
					t.Errorf("%.40q: %d lines were logged, want one", c.request, lines)
				}
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

// A worker may reply with the very bytes of a refusal, in pieces of any size.
func TestAReplyThatLooksLikeARefusalIsLeftAlone(t *testing.T) {
	const text = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
	// The second piece of an answer is written to the connection by itself.
	reply := strings.Repeat("x", writeChunk) + text + strings.Repeat(text, 3000)
	g := serve(t, Config{Caller: caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		if call.Partial != nil {
			for range 10 {
				if err := call.Partial([][]byte{[]byte(text)}); err != nil {
					return gateway.Reply{}, err
				}
			}
		}
		return gateway.Reply{Frames: [][]byte{[]byte(reply)}}, nil
	})})
	g.post("/services/echo", "x").wantBody(t, 200, reply)
	a := g.post("/services/echo", "x", "Accept: application/x-ndjson")
	if n := strings.Count(string(a.body), "HTTP/1.1 400"); n != 3011 || a.StatusCode != http.StatusOK {
		t.Errorf("the stream is %d with %d times the text, want 3011", a.StatusCode, n)
	}
}
