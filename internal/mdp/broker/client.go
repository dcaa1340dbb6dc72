package broker

import (
	"errors"
	"time"

	"mdpgateway/internal/mdp"
)

// A request is a client's request, from its arrival until the last frame of its
// reply or until it is dropped.
type request struct {
	// Set once.
	client   []byte // routing id
	dialect  *mdp.Dialect
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
	given int  // how many workers got it
	torn  bool // a message of the reply was lost, so the rest is held back

	// connection is that which it came over. Nil if it was given to a worker at once.
	connection connection

	line *line         // of its client, while it is queued
	turn node[request] // in line.requests
	rank int           // in state.deadlines, while it is queued
}

// fromClient takes a request. It is answered (mmi.*), given to an idle worker,
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
	s.count.requests++
	svc := s.services[string(name)]
	if svc == nil {
		svc = newService(name)
	}
	r := &request{client: id, dialect: d, service: svc, token: s.newToken(), body: body, size: sizeOf(body), deadline: now.Add(s.cfg.Expiry)}
	if s.place(now, r) {
		return
	}
	if s.full(r) {
		s.sweep(now)
	}
	if s.full(r) {
		s.drop(dropQueueFull)
		return
	}
	r.connection = s.connection()
	s.queue(r, false)
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
	if r.torn || !final && !r.dialect.HasPartials() {
		return
	}
	r.body = nil
	frames := r.dialect.AppendReply(s.begin(r.client), r.service.frame, body, final)
	if !s.toClient(now, frames, r, final) {
		r.torn = true
	}
}

// clientFault tells a client that does not read from one that is gone.
func clientFault(err error) dropReason {
	if err == errSlow {
		return dropClientSlow
	}
	return dropClientGone
}
