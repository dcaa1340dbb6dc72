package httpapi

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"mdpgateway/internal/edge"
	"mdpgateway/internal/gateway"
)

// bounded runs test with a gateway behind an edge.Listener on virtual time. dial opens a connection to it, which all
// are from the same peer.
func bounded(t *testing.T, bounds edge.Config, cfg Config, test func(t *testing.T, g *testServer, l *edge.Listener, dial func() *rawConn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipeListener()
		l := edge.Listen(pipes, bounds)
		g := serveOn(t, l, pipes.dial, cfg)
		var opened []*rawConn
		test(t, g, l, func() *rawConn {
			c, err := pipes.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			raw := &rawConn{t: t, Conn: c, r: bufio.NewReader(c)}
			opened = append(opened, raw)
			return raw
		})
		for _, c := range opened {
			c.Close()
		}
		g.stop()
		l.Wait()
		synctest.Wait()
		if s := l.Stats(); s.Open != 0 {
			t.Errorf("%d connections are open at the end", s.Open)
		}
	})
}

const (
	getLive   = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	getList   = "GET /services HTTP/1.1\r\nHost: x\r\n\r\n"
	getNoPath = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
)

func TestBeyondTheBoundOnlyProbesAreAnswered(t *testing.T) {
	bounded(t, edge.Config{Max: 2, Spare: 2}, Config{}, func(t *testing.T, _ *testServer, l *edge.Listener, dial func() *rawConn) {
		for range 2 {
			c := dial()
			c.send(getList)
			c.answer()
		}
		c := dial()
		c.send(getList)
		a := c.answer()
		if p := a.wantProblem(t, gateway.Busy); p["reason"] != gateway.ReasonConnections || p["executed"] != "no" {
			t.Errorf("the problem is %v", p)
		}
		c.wantClosed()
		c = dial()
		c.send(getLive)
		c.answer().wantBody(t, 200, "{\"live\":true}\n")
		c.wantClosed()
		synctest.Wait()
		if s := l.Stats(); s.Open != 2 || s.Refused[edge.Full]+s.Refused[edge.PeerFull] != 2 || s.Refused[edge.MadeRoom] != 0 {
			t.Errorf("the listener says %+v", s)
		}
	})
}

// Connections that stay silent keep no probe from being answered.
func TestTheOldestSpareConnectionMakesRoomForTheNext(t *testing.T) {
	bounded(t, edge.Config{Max: 1, Spare: 2}, Config{}, func(t *testing.T, _ *testServer, l *edge.Listener, dial func() *rawConn) {
		c := dial()
		c.send(getList)
		c.answer()
		first, second := dial(), dial()
		dial()
		if a := first.answer(); a.StatusCode != 503 || !a.Close {
			t.Errorf("the oldest got %d, want 503 and the end", a.StatusCode)
		}
		first.wantClosed()
		second.send(getLive)
		second.answer().wantBody(t, 200, "{\"live\":true}\n")
	})
}

func TestAStrangerMakesRoomForTheNext(t *testing.T) {
	for _, bounds := range []edge.Config{{Max: 3, PerPeer: 100}, {Max: 100, PerPeer: 3}} {
		bounded(t, bounds, Config{}, func(t *testing.T, _ *testServer, l *edge.Listener, dial func() *rawConn) {
			known, refused, probe := dial(), dial(), dial()
			known.send(getList)
			known.answer().wantHeader(t, "Connection", "")
			refused.send(getNoPath)
			refused.answer().wantProblem(t, gateway.NotFound)
			probe.send(getLive)
			probe.answer()
			synctest.Wait()
			for range 2 {
				c := dial()
				c.send(getList)
				if a := c.answer(); a.StatusCode != 200 {
					t.Errorf("got %d, want 200", a.StatusCode)
				}
			}
			refused.wantClosed()
			probe.wantClosed()
			known.send(getList)
			known.answer()
			if s := l.Stats(); s.Open != 3 || s.Refused[edge.MadeRoom] != 2 {
				t.Errorf("the listener says %+v", s)
			}
		})
	}
}

// Over HTTP/1.1 and over HTTP/2.
func TestAConnectionOnWhichAllWasRefusedIsSoonClosed(t *testing.T) {
	for name, client := range map[string]func(*testServer) *http.Client{
		"HTTP/1.1": func(g *testServer) *http.Client { return g.http }, "HTTP/2": func(g *testServer) *http.Client { return g.h2c },
	} {
		for _, c := range []struct {
			paths []string
			kept  time.Duration
		}{
			{[]string{"/nothing"}, 5 * time.Second},
			{[]string{"/livez", "/nothing", "/livez"}, 5 * time.Second},
			{[]string{"/livez"}, 650 * time.Second},
			{[]string{"/services", "/nothing"}, 650 * time.Second},
			{[]string{"/nothing", "/services"}, 650 * time.Second},
		} {
			bounded(t, edge.Config{Max: 100}, Config{}, func(t *testing.T, g *testServer, l *edge.Listener, _ func() *rawConn) {
				for _, path := range c.paths {
					g.do(client(g), "GET", path, nil)
				}
				time.Sleep(c.kept - time.Second) // virtual
				if n := l.Stats().Open; n != 1 {
					t.Errorf("%s %v: %d connections are open a second before %v", name, c.paths, n, c.kept)
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if n := l.Stats().Open; n != 0 {
					t.Errorf("%s %v: %d connections are open after %v", name, c.paths, n, c.kept)
				}
			})
		}
	}
}

// A connection that was refused is not cut while a request of it is being answered.
func TestACallAfterARefusalHasItsTime(t *testing.T) {
	bounded(t, edge.Config{Max: 100}, Config{Caller: echoAfter(time.Minute)}, func(t *testing.T, g *testServer, _ *edge.Listener, dial func() *rawConn) {
		slow := dial()
		slow.send(getNoPath)
		slow.answer()
		slow.send("POST /services/echo?timeout=2m HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\n\r\na")
		time.Sleep(10 * time.Second) // virtual
		slow.send("b")
		if a := slow.answer(); a.StatusCode != 200 {
			t.Errorf("a body that takes 10 s got %d, want 200", a.StatusCode)
		}
		for _, client := range []*http.Client{g.http, g.h2c} {
			g.do(client, "GET", "/nothing", nil).wantProblem(t, gateway.NotFound)
			g.do(client, "POST", "/services/echo?timeout=2m", strings.NewReader("x"), "Content-Type: application/octet-stream", "Accept: application/octet-stream").wantBody(t, 200, "x")
		}
	})
}

// An h2Conn speaks HTTP/2 frame by frame.
type h2Conn struct {
	*rawConn
	framer *http2.Framer
	block  strings.Builder
	hpack  *hpack.Encoder
}

// overH2 begins HTTP/2 on a connection, and takes whatever is sent to it.
func overH2(c *rawConn) (h *h2Conn, closed <-chan struct{}) {
	h = &h2Conn{rawConn: c, framer: http2.NewFramer(c, nil)}
	h.hpack = hpack.NewEncoder(&h.block)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, c)
		close(ended)
	}()
	c.send(http2.ClientPreface)
	_ = h.framer.WriteSettings()
	return h, ended
}

// headers returns the fields of a POST of an echo, encoded.
func (h *h2Conn) headers() []byte {
	h.block.Reset()
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/services/echo"}, {"content-type", "application/octet-stream"}} {
		_ = h.hpack.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return []byte(h.block.String())
}

func TestHeadersOverHTTP2HaveToArriveInTime(t *testing.T) {
	for name, c := range map[string]struct {
		send func(h *h2Conn)
		kept time.Duration
	}{
		"no request": {func(*h2Conn) {}, 10 * time.Second},
		"only pings": {func(h *h2Conn) {
			for range 9 {
				time.Sleep(time.Second)
				_ = h.framer.WritePing(false, [8]byte{})
			}
		}, 10 * time.Second},
		"headers without end": {func(h *h2Conn) {
			_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.headers()})
		}, 10 * time.Second},
		"headers in drops": {func(h *h2Conn) {
			_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.headers()})
			for range 9 {
				time.Sleep(time.Second)
				_ = h.framer.WriteContinuation(1, false, nil)
			}
		}, 10 * time.Second},
		"half a frame": {func(h *h2Conn) { h.send("\x00\x40\x00\x01\x04\x00\x00\x00\x01abc") }, 10 * time.Second},
		"headers without end beside an open call": {func(h *h2Conn) {
			_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.headers(), EndHeaders: true, EndStream: true})
			time.Sleep(time.Second)
			_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: h.headers()})
		}, 11 * time.Second},
		"half a frame of a body is the body's to wait for": {func(h *h2Conn) {
			_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.headers(), EndHeaders: true})
			h.send("\x00\x40\x00\x00\x00\x00\x00\x00\x01abc")
		}, 30 * time.Second},
	} {
		bounded(t, edge.Config{Max: 100}, Config{Caller: echoAfter(time.Hour)}, func(t *testing.T, _ *testServer, l *edge.Listener, dial func() *rawConn) {
			began := time.Now()
			h, closed := overH2(dial())
			go c.send(h)
			<-closed
			if took := time.Since(began); took < c.kept || took > c.kept+2*time.Second {
				t.Errorf("%s: closed after %v, want %v", name, took, c.kept)
			}
			if n := l.Stats().Refused[edge.NoRequest]; n != 1 {
				t.Errorf("%s: %d connections are counted, want 1", name, n)
			}
		})
	}
}

// A connection of HTTP/2 that has had a request may be idle, whatever its frames are.
func TestPingsDoNotEndAConnectionOverHTTP2(t *testing.T) {
	bounded(t, edge.Config{Max: 100}, Config{}, func(t *testing.T, _ *testServer, l *edge.Listener, dial func() *rawConn) {
		h, _ := overH2(dial())
		_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.headers(), EndHeaders: true, EndStream: true})
		for range 60 {
			time.Sleep(10 * time.Second)
			_ = h.framer.WritePing(false, [8]byte{})
		}
		if n := l.Stats().Open; n != 1 {
			t.Errorf("%d connections are open, want 1", n)
		}
	})
}

// echoAfter is echo that takes its time.
func echoAfter(d time.Duration) caller {
	return func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		select {
		case <-time.After(d):
			return echo(ctx, call)
		case <-ctx.Done():
			return gateway.Reply{}, gateway.Ended(ctx, true)
		}
	}
}
