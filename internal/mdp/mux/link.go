package mux

import (
	"sync"
	"sync/atomic"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

// A socket carries the messages of a link; its methods may be called at once. Over TCP without CURVE it is a zmtp.Conn,
// else one of libzmq's, with which a request takes about a sixth more CPU: each message wakes libzmq's thread and is
// looked for after each send.
type socket interface {
	// Send sends a message without waiting, and copies it. An error says that nothing was sent.
	Send(frames [][]byte) error
	// Run takes messages until the connection is lost, or Interrupt.
	Run() error
	Interrupt()
	// Close closes the connection after Run.
	Close() error
}

// A link is one connection to a broker and the calls in flight on it. It is never used again
// once it is lost.
type link struct {
	// Set once.
	endpoint *endpoint
	socket   socket
	keys     *curve.Client        // by which it was opened
	services func([]mdpx.Service) // is told what the broker tells; nil if it was not asked
	gone     chan struct{}        // of one for calls: closed when they can't use it any more and it is closed

	// Guarded by Client.mu.
	inFlight int  // calls that have it
	retired  bool // it gets no more calls, and ends with the last

	heard atomic.Bool // a message came since it was last asked

	mu    sync.Mutex
	calls map[mdpx.ID]*call // guarded by mu
	last  uint64            // id that was given; guarded by mu
	ended bool              // guarded by mu; no more calls
}

// hold lends the connection to a call, which Client.release ends. Client.mu must be held.
func (l *link) hold() {
	l.inFlight++
	l.endpoint.inFlight++
}

// endIfIdle ends a retired connection that no call has. Client.mu must be held.
func (l *link) endIfIdle() {
	if l.retired && l.inFlight == 0 {
		l.socket.Interrupt()
	}
}

// add gives a call its id, unless the link has ended.
func (l *link) add(x *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.last++
	x.id = mdpx.NumberID(l.last)
	l.calls[x.id] = x
	return true
}

// forget takes out a call that waits no longer.
func (l *link) forget(x *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls[x.id] == x { // else someone waits on
		delete(l.calls, x.id)
	}
}

// end ends all calls: the connection is lost.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for id, x := range l.calls {
		x.deliver(event{})
		delete(l.calls, id)
	}
}

func (l *link) send(frames [][]byte) error {
	l.trace(true, frames)
	return l.socket.Send(frames)
}

// take is given each message that comes. One that is not whole is too large.
func (l *link) take(frames [][]byte, whole bool) {
	l.trace(false, frames)
	l.heard.Store(true)
	m, err := mdpx.ParseFromBroker(frames)
	if err != nil {
		l.stray(err)
		return
	}
	switch m.Command {
	case mdpx.Services:
		if l.services != nil && whole { // a part of it would deny the other services
			l.services(m.Services)
		}
	case mdpx.HeartbeatReply:
	case mdpx.Partial:
		l.answer(m.ID, event{command: m.Command, body: m.Body, cut: !whole}, false)
	default:
		l.answer(m.ID, event{command: m.Command, body: m.Body, code: m.Code, cut: !whole}, true)
	}
}

// answer passes an event to the call that it is for; last says that none follows.
func (l *link) answer(id mdpx.ID, e event, last bool) {
	l.mu.Lock()
	x := l.calls[id]
	if last {
		delete(l.calls, id)
	}
	if x != nil {
		x.deliver(e) // under the lock, so that none comes after forget
	}
	l.mu.Unlock()
	if x == nil {
		l.endpoint.client.noteStray(strayLate)
	}
}

// stray counts a message that says nothing.
func (l *link) stray(err error) {
	reason := mdp.ReasonMalformed
	if m, ok := err.(*mdp.MessageError); ok && m.Reason == mdp.ReasonHeader {
		reason = mdp.ReasonHeader
	}
	l.endpoint.client.noteStray(reason)
}

func (c *Client) noteStray(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stray[reason]++
}

func (l *link) trace(out bool, frames [][]byte) {
	if show := l.endpoint.client.cfg.Trace; show != nil {
		show(out, frames)
	}
}

// An event is what comes for a call: a message, or, without command, the loss of its
// connection.
type event struct {
	command mdpx.Command
	body    [][]byte
	code    mdpx.Code
	bytes   int64 // of the body; set by deliver
	cut     bool  // it has no body: it was too large to be received, or nobody took those before
	short   bool  // it was cut since there was no room for it
}

// lostError is the error of the calls of a connection that was lost.
func lostError() *gateway.Error {
	return &gateway.Error{Kind: gateway.BrokerLost, Detail: "the connection to the broker broke while the call was in flight"}
}
