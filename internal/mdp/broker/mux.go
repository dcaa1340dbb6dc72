package broker

import (
	"time"

	"mdpgateway/internal/mdp/mdpx"
)

// A mux is a connection over which requests with ids come: a gateway's (MDPX/1). Each of
// them is queued and given to a worker as a request of MDP is.
type mux struct {
	// Set once.
	client     []byte // routing id
	connection connection

	calls    map[mdpx.ID]*request // those that have not ended
	watching node[mux]            // in view.watchers, if it is told of services
	told     time.Time            // when it was told all of them last
	again    bool                 // it is to be told all when it may be next
}

// fromGateway takes a message of MDPX/1.
func (s *state) fromGateway(now time.Time, id []byte, frames [][]byte) {
	m, err := mdpx.ParseFromGateway(frames)
	if err != nil {
		s.drop(parseFault(err))
		return
	}
	if !s.mayCall() {
		if m.Command == mdpx.Request {
			s.toClient(now, mdpx.AppendRefused(s.begin(id), &m.ID, mdpx.Forbidden), nil, false)
		}
		return
	}
	switch m.Command {
	case mdpx.Heartbeat:
		s.toClient(now, mdpx.AppendHeartbeatReply(s.begin(id)), nil, false)
		return
	case mdpx.Cancel:
		if x := s.muxes[string(id)]; x != nil {
			s.cancel(now, x.calls[m.ID])
		}
		return
	}
	x := s.mux(id)
	switch {
	case x == nil: // it is read of a connection that has ended
		s.drop(dropClientGone)
	case m.Command == mdpx.Watch:
		s.watch(now, x)
	case s.stopping:
		s.toClient(now, mdpx.AppendRefused(s.begin(id), &m.ID, mdpx.Stopping), nil, false)
	default:
		s.fromCaller(now, x, &m)
	}
}

// mux returns the connection that the message came over, nil if it has ended. A peer may use its routing id for
// another one, where it knows nothing of its former requests.
func (s *state) mux(id []byte) *mux {
	x := s.muxes[string(id)]
	if x != nil && x.connection.Ended() {
		s.hangUp(x, dropClientGone)
		x = nil
	}
	if x == nil {
		x = &mux{client: id, connection: s.connection(), calls: make(map[mdpx.ID]*request)}
		if x.connection.Ended() {
			return nil
		}
		s.muxes[string(id)] = x
	}
	return x
}

// fromCaller takes a REQUEST.
func (s *state) fromCaller(now time.Time, x *mux, m *mdpx.FromGateway) {
	if x.calls[m.ID] != nil {
		s.drop(dropMalformed) // an answer could be to either
		return
	}
	if mdpx.CheckService(m.Service) != nil {
		s.drop(dropServiceName)
		s.toClient(now, mdpx.AppendRefused(s.begin(x.client), &m.ID, mdpx.NoService), nil, false)
		return
	}
	r := s.newRequest(now, x.client, m.Service, m.Body)
	r.mux, r.id, r.connection = x, m.ID, x.connection
	if d := now.Add(m.TTL.Duration()); d.Before(r.deadline) {
		r.deadline = d
	}
	x.calls[r.id] = r
	s.accept(now, r)
}

// cancel takes the word that nobody waits for the reply to r any more, which is nil if it
// has ended: its answer and the CANCEL have crossed.
func (s *state) cancel(now time.Time, r *request) {
	switch {
	case r == nil:
	case r.line != nil:
		s.leave(r, dropCanceled)
		s.giveUp(now, r, mdpx.Canceled)
	default:
		s.drop(dropCanceledLate)
		s.giveUp(now, r, mdpx.Canceled)
	}
}

// answered is called when r needs no other answer.
func (r *request) answered() {
	r.over = true
	if r.mux != nil {
		delete(r.mux.calls, r.id)
	}
}

// giveUp ends a request that gets no reply, or no more of it. MDP has no word for that. In
// MDPX/1 it is REFUSED if no worker had the request, and else GONE.
func (s *state) giveUp(now time.Time, r *request, why mdpx.Code) {
	if r.over {
		return
	}
	if r.answered(); r.mux == nil {
		return
	}
	frames := s.begin(r.client)
	switch {
	case r.given == 0:
		frames = mdpx.AppendRefused(frames, &r.id, why)
	case why == mdpx.Canceled:
		frames = mdpx.AppendGone(frames, &r.id, mdpx.Canceled)
	default:
		frames = mdpx.AppendGone(frames, &r.id, mdpx.WorkerLost)
	}
	s.toClient(now, frames, r, false)
}

// hangUp forgets a connection that has ended, or that lost a message since its client is slow: that one must end, since
// a request of it would stay without an answer. What waits in its outbox is dropped: another connection with the same
// routing id may have requests with the same ids.
//
// Of a client that has gone there is nothing to end. If it went before its first message was read, the descriptor may
// have been another's by then.
func (s *state) hangUp(x *mux, why dropReason) {
	delete(s.muxes, string(x.client))
	if box := s.outboxes[string(x.client)]; box != nil {
		s.discard(box, why)
	}
	x.watching.remove()
	if why == dropClientSlow {
		x.connection.End()
	}
	for _, r := range x.calls {
		if r.line != nil {
			s.leave(r, dropClientLeft)
		}
		r.answered()
	}
}

// hangUpEnded forgets the connections that have ended.
func (s *state) hangUpEnded() {
	for _, x := range s.muxes {
		if x.connection.Ended() {
			s.hangUp(x, dropClientGone)
		}
	}
}
