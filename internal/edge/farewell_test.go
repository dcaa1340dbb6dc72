package edge

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute

// A guarded is a server behind a Listener whose handler answers nothing itself: 200 without a body.
type guarded struct {
	*Listener
	server *http.Server
	closed chan struct{} // for each connection that net/http has closed
}

func guard(t *testing.T, cfg Config, server *http.Server) *guarded {
	t.Helper()
	raw, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Max = 100
	g := &guarded{Listener: Listen(raw, cfg), server: server, closed: make(chan struct{}, 100)}
	if server.Handler == nil {
		server.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	}
	g.Guard(server)
	told := server.ConnState
	server.ConnState = func(c net.Conn, state http.ConnState) {
		told(c, state)
		if state == http.StateClosed {
			select {
			case g.closed <- struct{}{}:
			default:
			}
		}
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(g) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
		g.Wait()
	})
	return g
}

// dial returns a connection whose reads end in time.
func (g *guarded) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

const request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"

func ask(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
}

// wantStatus reads an answer to its end.
func wantStatus(t *testing.T, from *bufio.Reader, want int) {
	t.Helper()
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatalf("%v, want an answer %d", err, want)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != want {
		t.Errorf("got %d, %v, want %d", answer.StatusCode, err, want)
	}
}

func wantEnd(t *testing.T, from *bufio.Reader) {
	t.Helper()
	if b, err := from.ReadByte(); err != io.EOF {
		t.Errorf("then %q, %v, want the end of the connection", b, err)
	}
}

// A request that arrives after the gateway has closed its idle connection is answered all the same: whoever sent it
// could not tell otherwise whether it ran.
func TestARequestThatCrossesTheEndOfItsConnectionIsAnswered(t *testing.T) {
	soon := 50 * time.Millisecond
	for name, o := range map[string]struct {
		cfg    Config
		server *http.Server
		before func(t *testing.T, c net.Conn, from *bufio.Reader)
		end    func(g *guarded)
	}{
		"no request came": {cfg: Config{IdleTimeout: soon}},
		"the headers took too long": {cfg: Config{HeaderTimeout: soon}, before: func(t *testing.T, c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nX-Slow: ")
		}},
		"idle for too long": {server: &http.Server{IdleTimeout: soon}, before: asked},
		"shut down":         {before: asked, end: func(g *guarded) { _ = g.server.Shutdown(context.Background()) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if o.server == nil {
				o.server = &http.Server{}
			}
			o.server.ReadHeaderTimeout = soon
			g := guard(t, o.cfg, o.server)
			c, from := g.dial(t)
			if o.before != nil {
				o.before(t, c, from)
			}
			if o.end != nil {
				o.end(g)
			}
			<-g.closed
			ask(t, c)
			wantStatus(t, from, http.StatusRequestTimeout)
			wantEnd(t, from)
		})
	}
}

func asked(t *testing.T, c net.Conn, from *bufio.Reader) {
	ask(t, c)
	wantStatus(t, from, http.StatusOK)
}
