package httpapi

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
)

// A pipeListener accepts the server's ends of net.Pipes, which have no buffers
// and whose deadlines keep the time of a synctest bubble: who reads or writes too
// slowly is seen without waiting.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// onVirtualTime runs test with a gateway in a bubble of its own. raw is a
// connection to it that speaks as the test writes.
func onVirtualTime(t *testing.T, cfg Config, test func(t *testing.T, g *testServer, raw *rawConn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		g := serveOn(t, ln, ln.dial, cfg)
		conn, err := ln.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		raw := &rawConn{t: t, Conn: conn, r: bufio.NewReader(conn)}
		test(t, g, raw)
		raw.Close()
		g.stop()
	})
}

// A rawConn is a client of HTTP/1.1 down to the bytes.
type rawConn struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (c *rawConn) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("writing %.40q: %v", text, err)
	}
}

// answer reads an answer to its end.
func (c *rawConn) answer() answer {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	return answer{resp, body}
}

// wantClosed fails the test unless the gateway has closed the connection.
func (c *rawConn) wantClosed() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err != io.EOF {
		c.t.Errorf("after the answer came %q, %v, want the connection's end", b, err)
	}
}
