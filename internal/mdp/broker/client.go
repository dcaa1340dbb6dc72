package broker

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

// A request is a client's request, from its arrival until the last frame of its
// reply or until it is dropped.
type request struct {
	// Set once.
	client   []byte       // routing id
	dialect  *mdp.Dialect // nil if it came over a mux
	mux      *mux         // and nil if it did not
	id       mdpx.ID      // of one that did
	service  *service
	size     int64     // of the body, in bytes
	deadline time.Time // from then on no worker gets it

	// token is what the worker gets, and must return, as the client's address. Each
	// request has its own, so a late or second reply to a client's former request is
	// not taken for the reply to its present one. It is printable text, as many
	// workers expect, and cannot be guessed.
	token []byte

	// body is nil once the request cannot be given to a worker again: enough got it,
	// or the client was sent a message of the reply.
	body  [][]byte
	lent  bool // what is large of it is the socket's, until the next message is received
	given int  // how many workers got it
	over  bool // its client gets no more: all was said, or a message of the reply was lost

	// connection is that which it came over. Nil if it is of MDP and was given to a worker at once.
	connection connection

	line *line         // of its client, while it is queued
	turn node[request] // in line.requests
	rank int           // in state.deadlines, while it is queued
}

// fromClient takes a request of MDP. It is answered (mmi.*), given to an idle worker,
// queued, or dropped: MDP has no reply that says no.
func (s *state) fromClient(now time.Time, d *mdp.Dialect, id []byte, frames [][]byte) {
	name, body, err := d.ParseRequest(frames)
	if err != nil {
		s.drop(parseFault(err))
		return
	}
	if mdp.IsMMI(name) {
		s.answerMMI(now, d, id, name, body)
		return
	}
	r := s.newRequest(now, id, name, body)
	r.dialect = d
	s.accept(now, r)
}

func (s *state) newRequest(now time.Time, id, name []byte, body [][]byte) *request {
	svc := s.services[string(name)]
	if svc == nil {
		svc = newService(name)
	}
	return &request{client: id, service: svc, token: s.newToken(), body: body, lent: true, size: sizeOf(body), deadline: now.Add(s.cfg.Expiry)}
}

// accept gives a new request to an idle worker, queues it, or drops it.
func (s *state) accept(now time.Time, r *request) {
	s.count.requests++
	if r.expired(now) {
		s.drop(dropExpired)
		s.giveUp(now, r, mdpx.Expired)
		return
	}
	if s.place(now, r) {
		return
	}
	why := s.full(r)
	if why != "" {
		s.sweep(now)
		why = s.full(r)
	}
	if why != "" {
		s.drop(dropQueueFull)
		s.giveUp(now, r, why)
		return
	}
	if r.connection == nil {
		r.connection = s.connection()
	}
	r.own()
	s.queue(r, false)
}

// own makes the body the request's, which keeps it longer than it is lent.
func (r *request) own() {
	if r.lent {
		r.body, r.lent = owned(r.body), false
	}
}

// owned returns frames that are lent to nobody, in a slice of their own.
func owned(frames [][]byte) [][]byte {
	kept := slices.Clone(frames)
	for i, frame := range kept {
		if len(frame) >= mdp.LentFrom {
			kept[i] = bytes.Clone(frame)
		}
	}
	return kept
}

// expired reports whether r may not be given to a worker any more.
func (r *request) expired(now time.Time) bool { return !now.Before(r.deadline) }

func sizeOf(body [][]byte) int64 {
	size := int64(0)
	for _, frame := range body {
		size += int64(len(frame)) + mdp.FrameOverhead
	}
	return size
}

// parseFault tells a name that no service can have from a message that is broken.
func parseFault(err error) dropReason {
	if e := (*mdp.MessageError)(nil); errors.As(err, &e) && e.Reason == mdp.ReasonName {
		return dropServiceName
	}
	return dropMalformed
}

// forward sends one message of a reply to its client. A client whose dialect has
// no PARTIAL gets the FINAL alone. A client that is gone, or does not read and has
// all that may wait for it waiting, loses this message and the rest of the reply,
// since one with a hole would look whole.
func (s *state) forward(now time.Time, r *request, body [][]byte, final bool) {
	if r.over || !final && r.mux == nil && !r.dialect.HasPartials() {
		return
	}
	r.body = nil
	frames := s.begin(r.client)
	if r.mux != nil {
		frames = mdpx.AppendReply(frames, &r.id, body, final)
	} else {
		frames = r.dialect.AppendReply(frames, r.service.frame, body, final)
	}
	if !s.toClient(now, frames, r, final) || final {
		r.answered()
	}
}

// clientFault tells a client that does not read from one that is gone.
func clientFault(err error) dropReason {
	if err == errSlow {
		return dropClientSlow
	}
	return dropClientGone
}
