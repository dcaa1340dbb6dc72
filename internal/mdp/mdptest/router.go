package mdptest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/mdp/internal/zsock"
)

// A Script decides what a Router answers: it is given a sender's routing id and
// the frames of its message, and returns the messages to send back to it, in
// their order. It runs on the Router's goroutine.
type Script func(id []byte, frames [][]byte) [][][]byte

// A Router is a broker that does what its Script says, however wrong. Its
// methods are safe for concurrent use.
type Router struct {
	// Set once.
	t        testing.TB
	zctx     *zsock.Context
	script   Script
	endpoint string
	done     chan struct{}
	close    func()

	// Owned by run.
	socket *zsock.Socket // others may interrupt it

	closing atomic.Bool

	mu     sync.Mutex
	outbox []toSend // guarded by mu
}

type toSend struct {
	id     []byte
	frames [][]byte
}

// queue is how many messages wait for a peer that is slow to read: more than a test sends, since
// the others are dropped.
const queue = 100_000

// NewRouter starts a Router on a free port. A nil script answers nothing.
func NewRouter(t testing.TB, script Script) *Router {
	t.Helper()
	return NewRouterAt(t, "tcp://127.0.0.1:*", script)
}

// NewRouterAt starts a Router at an endpoint, such as one that another broker
// had before.
func NewRouterAt(t testing.TB, endpoint string, script Script) *Router {
	t.Helper()
	zctx, err := zsock.NewContext(4)
	if err != nil {
		t.Fatal(err)
	}
	r := &Router{t: t, zctx: zctx, script: script, done: make(chan struct{})}
	if r.socket, err = zctx.Router(zsock.RouterOptions{Queue: queue}); err == nil {
		r.endpoint, err = r.socket.Bind(endpoint)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.close = sync.OnceFunc(r.shutDown)
	t.Cleanup(r.Close)
	go r.run()
	return r
}

// Endpoint returns where the Router listens.
func (r *Router) Endpoint() string { return r.endpoint }

// Send sends a message to a peer whenever the caller likes: late, twice, or to
// someone who asked for nothing. A peer that is gone gets nothing.
func (r *Router) Send(id []byte, frames [][]byte) {
	r.mu.Lock()
	r.outbox = append(r.outbox, toSend{id, frames})
	r.mu.Unlock()
	r.socket.Interrupt()
}

// Close drops every connection at once. The test's end does it too.
func (r *Router) Close() { r.close() }

func (r *Router) shutDown() {
	r.closing.Store(true)
	r.socket.Interrupt()
	<-r.done
}

func (r *Router) run() {
	defer close(r.done)
	for !r.closing.Load() {
		frames, err := r.socket.Receive()
		switch {
		case err == nil && r.script != nil:
			for _, answer := range r.script(frames[0], frames[1:]) {
				r.deliver(frames[0], answer)
			}
		case zsock.IsInterrupted(err):
			// First the deadline, which would undo an interruption that comes
			// after it, then what the interruption was for.
			r.socket.SetDeadline(time.Time{})
			r.flush()
		case err != nil:
			r.t.Errorf("router: %v", err)
			return
		}
	}
	if err := errors.Join(r.socket.Close(), r.zctx.Close()); err != nil {
		r.t.Errorf("close router: %v", err)
	}
}

func (r *Router) flush() {
	r.mu.Lock()
	outbox := r.outbox
	r.outbox = nil
	r.mu.Unlock()
	for _, o := range outbox {
		r.deliver(o.id, o.frames)
	}
}

func (r *Router) deliver(id []byte, frames [][]byte) {
	err := r.socket.Send(append([][]byte{id}, frames...))
	if err != nil && !errors.Is(err, zsock.ErrUnreachable) && err != zsock.ErrAgain {
		r.t.Errorf("router: send: %v", err)
	}
}
