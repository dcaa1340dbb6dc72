package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/edge"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A caller is a Caller whose services are one function.
type caller func(ctx context.Context, call gateway.Call) (gateway.Reply, error)

func (c caller) Service(name string) gateway.Service { return service{c, name} }
func (caller) Services() []gateway.ServiceInfo       { return listed }

// A service is one service of a caller.
type service struct {
	call caller
	name string
}

func (s service) Call(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
	call.Service = s.name
	if call.Leave != nil {
		defer call.Leave()
	}
	return s.call(ctx, call)
}
func (service) Admit() error                          { return nil }
func (service) Refused(*gateway.Error)                {}
func (service) Limit(call gateway.Call) time.Duration { return min(call.Timeout, 5*time.Minute) }
func (service) Form() (string, gateway.Encoding)      { return "", "" }
func (s service) Plan(call gateway.Call) (gateway.Plan, error) {
	return gateway.Plan{Dialect: mdp.V02, Timeout: time.Second, Frames: append([][]byte{[]byte("MDPC02"), {1}, []byte(s.name)}, call.Frames...)}, nil
}
func (s service) Info() (gateway.ServiceInfo, bool) {
	i := slices.IndexFunc(listed, func(info gateway.ServiceInfo) bool { return info.Name == s.name })
	if i < 0 {
		return gateway.ServiceInfo{}, false
	}
	return listed[i], true
}

// listed are the services that are known.
var listed = []gateway.ServiceInfo{{Name: "echo", Availability: gateway.ServiceUp, Calls: 3}, {Name: "lora", Catalogued: true, Availability: gateway.ServiceDown},
	{Name: "mute", Availability: gateway.ServiceUp, Silent: true}}

func echo(_ context.Context, call gateway.Call) (gateway.Reply, error) {
	return gateway.Reply{Frames: copied(call.Frames), Timing: gateway.Timing{Queue: time.Millisecond, Broker: 2 * time.Millisecond}}, nil
}

// copied returns frames that outlive the call.
func copied(frames [][]byte) [][]byte {
	var to [][]byte
	for _, frame := range frames {
		to = append(to, bytes.Clone(frame))
	}
	return to
}

func failing(err *gateway.Error) caller {
	return func(context.Context, gateway.Call) (gateway.Reply, error) { return gateway.Reply{}, err }
}

// health is a Health that says always the same.
type health struct {
	reached, connected bool
	lost, silent, mute []string
	services           int // that are silent
}

func (h health) SilentServices() int { return h.services }

func (h health) Brokers() (reached, connected bool, lost, silent, mute []string) {
	return h.reached, h.connected, h.lost, h.silent, h.mute
}

// seen is an Observer that keeps what it was told; done also counts the requests
// that ended.
type seen struct {
	done chan string
	mu   sync.Mutex
	open int
	told []string // by Authenticated

	rejected []string
}

func (s *seen) Started(string, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
}

func (s *seen) Done(route, method string, code int, _ time.Duration) {
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
	s.done <- strings.Join([]string{route, method, http.StatusText(code)}, " ")
}

func (s *seen) Rejected(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = append(s.rejected, reason)
}

func (s *seen) Authenticated(principal, result string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, principal+" "+result)
}

// A testServer is an API that is served.
type testServer struct {
	*API
	t    *testing.T
	srv  *http.Server
	ln   net.Listener
	logs *observer.ObservedLogs
	seen *seen
	http *http.Client // over HTTP/1.1
	h2c  *http.Client // over unencrypted HTTP/2
	tls  bool         // it is served over TLS
	stop func()       // waits for all requests to have ended; the test's end calls it too
}

// serve starts a gateway on a port of its own.
func serve(t *testing.T, cfg Config) *testServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, new(net.Dialer).DialContext, cfg)
}

func serveOn(t *testing.T, ln net.Listener, dial func(context.Context, string, string) (net.Conn, error), cfg Config) *testServer {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	g := &testServer{t: t, ln: ln, logs: logs, seen: &seen{done: make(chan string, 1000)}}
	if cfg.Caller == nil {
		cfg.Caller = caller(echo)
	}
	if cfg.Health == nil {
		cfg.Health = health{reached: true, connected: true}
	}
	cfg.Log, cfg.Observer = zap.New(core), g.seen
	var err error
	if g.API, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	g.srv = g.Server()
	if l, ok := ln.(*edge.Listener); ok {
		l.Guard(g.srv)
	}
	g.http, g.h2c = client(false, dial), client(true, dial)
	served := make(chan error, 1)
	go func() { served <- g.srv.Serve(ln) }()
	g.stop = sync.OnceFunc(func() {
		g.http.CloseIdleConnections()
		g.h2c.CloseIdleConnections()
		if err := g.srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(g.stop)
	return g
}

func client(h2c bool, dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!h2c)
	protocols.SetUnencryptedHTTP2(h2c)
	return &http.Client{Transport: &http.Transport{Protocols: &protocols, DialContext: dial, DisableCompression: true}}
}

func (g *testServer) url(path string) string {
	if g.tls {
		return "https://" + g.ln.Addr().String() + path
	}
	return "http://" + g.ln.Addr().String() + path
}

// An answer is a response that was read to its end.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request over c with headers given as "Name: value". It may be used
// off the test's goroutine: without an answer the test fails and goes on with an
// empty one.
func (g *testServer) do(c *http.Client, method, path string, body io.Reader, headers ...string) answer {
	g.t.Helper()
	a, err := g.try(c, method, path, body, headers...)
	if err != nil {
		g.t.Errorf("%s %s: %v", method, path, err)
	}
	return a
}

func (g *testServer) try(c *http.Client, method, path string, body io.Reader, headers ...string) (answer, error) {
	none := answer{Response: &http.Response{}}
	r, err := http.NewRequest(method, g.url(path), body)
	if err != nil {
		return none, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		return none, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, b}, err
}

func (g *testServer) get(path string, headers ...string) answer {
	g.t.Helper()
	return g.do(g.http, http.MethodGet, path, nil, headers...)
}

// post posts a raw body.
func (g *testServer) post(path, body string, headers ...string) answer {
	g.t.Helper()
	return g.do(g.http, http.MethodPost, path, strings.NewReader(body), append([]string{"Content-Type: application/octet-stream"}, headers...)...)
}

// wantProblem fails the test unless the answer is the problem of that code, and
// returns it.
func (a answer) wantProblem(t *testing.T, code gateway.Kind) map[string]any {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("the answer is %d with Content-Type %q and body %q, want the problem %s", a.StatusCode, got, a.body, code)
	}
	var p map[string]any
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	if p["code"] != string(code) || a.StatusCode != problems[code].status || p["status"] != float64(a.StatusCode) {
		t.Fatalf("the answer is %d with the problem %v, want %d %s", a.StatusCode, p, problems[code].status, code)
	}
	return p
}

func (a answer) wantBody(t *testing.T, status int, body string) {
	t.Helper()
	if a.StatusCode != status || string(a.body) != body {
		t.Fatalf("the answer is %d %q, want %d %q", a.StatusCode, a.body, status, body)
	}
}

// wantHeader fails the test unless the answer's header has that value; "" is
// none.
func (a answer) wantHeader(t *testing.T, name, want string) {
	t.Helper()
	if got := a.Header.Get(name); got != want {
		t.Errorf("the header %s is %q, want %q", name, got, want)
	}
}
