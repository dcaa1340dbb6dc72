package client_test

import (
	"cmp"
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds a test that fails; it slows none that passes.
const patience = 2 * time.Minute

// newPool starts a pool of these brokers. Unless the test says otherwise, connections and calls that wait for one have
// the time that they need on a busy machine.
func newPool(t testing.TB, cfg client.Config, endpoints ...client.Endpoint) *client.Pool {
	t.Helper()
	cfg.Endpoints = endpoints
	cfg.ConnectTimeout, cfg.QueueTimeout = cmp.Or(cfg.ConnectTimeout, patience), cmp.Or(cfg.QueueTimeout, patience)
	p, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func at(endpoint string) client.Endpoint { return client.Endpoint{Address: endpoint} }

func echo(body string) gateway.Request {
	return gateway.Request{Service: "echo", Frames: frames(body)}
}

func frames(s ...string) (f [][]byte) {
	for _, x := range s {
		f = append(f, []byte(x))
	}
	return f
}

// text returns the only frame of a reply.
func text(reply gateway.Reply) string {
	if len(reply.Frames) != 1 {
		return ""
	}
	return string(reply.Frames[0])
}

func mustCall(t *testing.T, p *client.Pool, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := p.Call(ctx, echo(body))
	if err != nil || text(reply) != body {
		t.Fatalf("got %q, %v, want %q", reply.Frames, err, body)
	}
}

// failure checks the kind and, if it is not empty, the reason of a failed call.
func failure(t *testing.T, err error, kind gateway.Kind, reason string) {
	t.Helper()
	var e *gateway.Error
	if !errors.As(err, &e) || e.Kind != kind || reason != "" && e.Reason != reason {
		t.Errorf("got %v, want %s %s", err, kind, reason)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(time.Millisecond)
	}
}

// peers notes who asked a Router what.
type peers struct {
	mu     sync.Mutex
	ids    []string
	bodies []string
}

func (p *peers) note(id []byte, request [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids = append(p.ids, string(id))
	p.bodies = append(p.bodies, string(request[len(request)-1]))
}

func (p *peers) distinct() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]bool{}
	for _, id := range p.ids {
		seen[id] = true
	}
	return len(seen)
}

// descriptors counts the open files of the process.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// hold is a Router script that answers nothing, and tells of each request.
func hold() (script mdptest.Script, arrived <-chan string) {
	c := make(chan string, 1000)
	return func(id []byte, request [][]byte) [][][]byte {
		c <- string(id)
		return nil
	}, c
}

// await receives from a channel or fails the test.
func await[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("nothing came within %v", patience)
	}
	return v
}

// inBackground makes a call and returns where its error comes.
func inBackground(ctx context.Context, p *client.Pool, req gateway.Request) <-chan error {
	c := make(chan error, 1)
	go func() {
		_, err := p.Call(ctx, req)
		c <- err
	}()
	return c
}
