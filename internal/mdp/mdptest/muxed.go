package mdptest

import (
	"slices"
	"sync"
	"testing"

	"mdpgateway/internal/mdp/mdpx"
)

// A Muxed is a broker of MDPX/1 that has one worker for each request, or none, and whose test
// decides what becomes of them: it holds a request until the test answers it, however often or
// late. It cancels what it holds, and answers heartbeats, unless it is deaf.
type Muxed struct {
	*Router
	requests chan Asked

	mu       sync.Mutex
	services []mdpx.Service    // guarded by mu
	watchers [][]byte          // guarded by mu: routing ids
	held     map[string]*Asked // guarded by mu: of those that may be canceled, by peer and id
	canceled int               // guarded by mu
	deaf     bool              // guarded by mu
}

// An Asked is a request as it came.
type Asked struct {
	Peer       []byte
	Request    mdpx.FromGateway
	Dispatched bool // a CANCEL of it is answered by GONE, else by REFUSED
}

// NewMuxed starts a broker with one worker of each of these services.
func NewMuxed(t testing.TB, services ...string) *Muxed {
	t.Helper()
	return NewMuxedAt(t, "tcp://127.0.0.1:*", services...)
}

// NewMuxedAt is NewMuxed at an endpoint, such as one that another broker had before.
func NewMuxedAt(t testing.TB, endpoint string, services ...string) *Muxed {
	t.Helper()
	m := &Muxed{requests: make(chan Asked, 100_000), held: map[string]*Asked{}}
	for _, name := range services {
		m.services = append(m.services, mdpx.Service{Name: name, Workers: 1})
	}
	m.Router = NewRouterAt(t, endpoint, m.answer)
	return m
}

// Requests has the requests in the order in which they came.
func (m *Muxed) Requests() <-chan Asked { return m.requests }

// Canceled returns how many CANCELs came.
func (m *Muxed) Canceled() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.canceled
}

// Deafen makes the broker answer nothing more of its own accord.
func (m *Muxed) Deafen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf = true
}

// Dispatch says that a worker has the request.
func (m *Muxed) Dispatch(a Asked) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.held[key(a.Peer, a.Request.ID)]; held != nil {
		held.Dispatched = true
	}
}

// Reply sends a reply to a request, the last part of it if it is final.
func (m *Muxed) Reply(a Asked, body [][]byte, final bool) {
	m.mu.Lock()
	if final {
		delete(m.held, key(a.Peer, a.Request.ID))
	}
	m.mu.Unlock()
	m.Send(a.Peer, mdpx.AppendReply(nil, &a.Request.ID, body, final))
}

// Refuse answers a request that no worker had.
func (m *Muxed) Refuse(a Asked, code mdpx.Code) {
	m.Send(a.Peer, mdpx.AppendRefused(nil, &a.Request.ID, code))
}

// Lose answers a request that a worker had.
func (m *Muxed) Lose(a Asked, code mdpx.Code) {
	m.Send(a.Peer, mdpx.AppendGone(nil, &a.Request.ID, code))
}

// Tell changes what the broker tells of a service.
func (m *Muxed) Tell(s mdpx.Service) {
	m.mu.Lock()
	m.services = append(slices.DeleteFunc(m.services, func(old mdpx.Service) bool { return old.Name == s.Name }), s)
	watchers := slices.Clone(m.watchers)
	m.mu.Unlock()
	for _, peer := range watchers {
		m.Send(peer, mdpx.AppendServices(nil, []mdpx.Service{s}))
	}
}

func key(peer []byte, id mdpx.ID) string { return string(peer) + string(id[:]) }

// answer is the Router's script.
func (m *Muxed) answer(peer []byte, frames [][]byte) (answers [][][]byte) {
	message, err := mdpx.ParseFromGateway(frames)
	if err != nil {
		m.t.Errorf("a broker of mdpx/1 was sent %q: %v", frames, err)
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deaf {
		return nil
	}
	switch message.Command {
	case mdpx.Watch:
		m.watchers = append(m.watchers, peer)
		return [][][]byte{mdpx.AppendServices(nil, m.services)}
	case mdpx.Heartbeat:
		return [][][]byte{mdpx.AppendHeartbeatReply(nil)}
	case mdpx.Request:
		asked := Asked{Peer: peer, Request: message}
		m.held[key(peer, message.ID)] = &asked
		m.requests <- asked
	case mdpx.Cancel:
		m.canceled++
		held := m.held[key(peer, message.ID)]
		delete(m.held, key(peer, message.ID))
		switch {
		case held == nil:
		case held.Dispatched:
			return [][][]byte{mdpx.AppendGone(nil, &message.ID, mdpx.Canceled)}
		default:
			return [][][]byte{mdpx.AppendRefused(nil, &message.ID, mdpx.Canceled)}
		}
	}
	return nil
}
