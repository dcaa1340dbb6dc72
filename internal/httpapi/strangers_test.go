package httpapi

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"mdpgateway/internal/gateway"
)

// untaken opens a connection of HTTP/2 that takes nothing of its answers, and asks n times for a path. It counts
// the streams that are reset.
func untaken(t *testing.T, address, path string, n int, resets *atomic.Int64) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(c, c)
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if frame.Header().Type == http2.FrameRSTStream {
				resets.Add(1)
			}
		}
	}()
	var block bytes.Buffer
	encode := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: path},
	} {
		_ = encode.WriteField(f)
	}
	for i := range n {
		err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(1 + 2*i), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		if err != nil {
			t.Fatal(err)
		}
		block.Reset() // all is in the connection's table now
		for _, f := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: path},
		} {
			_ = encode.WriteField(f)
		}
	}
	return c
}

// Strangers over HTTP/2 hold few answers that they do not take, however many connections they have. Others are
// answered meanwhile, and so are they when those are gone.
func TestAnswersThatStrangersDoNotTakeAreFew(t *testing.T) {
	const connections, each = 8, maxStreams
	g := serve(t, Config{BodyIdleTimeout: time.Hour})
	var resets atomic.Int64
	var all []net.Conn
	for range connections {
		all = append(all, untaken(t, g.ln.Addr().String(), "/docs", each, &resets))
	}
	g.until("as many answers are held as may be", func() bool { return g.strangers.taken.Load() == maxStrangers })
	g.until("the others are broken off", func() bool { return resets.Load() >= connections*each-maxStrangers })
	if n := g.strangers.taken.Load(); n > maxStrangers {
		t.Errorf("%d answers are held, want at most %d", n, maxStrangers)
	}
	g.get("/livez").wantBody(t, 200, "{\"live\":true}\n")
	for _, c := range []string{"/livez", "/version"} {
		if a := g.do(g.h2c, "GET", c, nil); a.StatusCode != 200 {
			t.Errorf("%s over HTTP/2 is %d, want 200", c, a.StatusCode)
		}
	}
	for _, c := range all {
		c.Close()
	}
	g.until("no answer is held", func() bool { return g.strangers.taken.Load() == 0 && g.probing.taken.Load() == 0 })
	if a := g.do(g.h2c, "GET", "/docs", nil); a.StatusCode != 200 {
		t.Errorf("/docs is %d, want 200", a.StatusCode)
	}
}

// What a caller chose is cut where it is told again.
func TestALongPathIsCutInItsProblem(t *testing.T) {
	g := serve(t, Config{})
	p := g.get("/"+strings.Repeat("%01x", 5000)).wantProblem(t, gateway.NotFound)
	if detail := p["detail"].(string); len(detail) > 400 || strings.Contains(detail, "\x01") {
		t.Errorf("the detail has %d bytes: %.100q, want at most 400, printable", len(detail), detail)
	}
}
