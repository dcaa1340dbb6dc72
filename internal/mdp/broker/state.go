package broker

import (
	"errors"
	"slices"
	"time"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

// Why a message was not sent to a peer.
var (
	errGone = errors.New("the peer is not connected")
	errSlow = errors.New("the peer does not read")
)

// A state is all that a broker knows and decides. It has no socket, clock or
// goroutine: receive and tick are told the time, which never goes back, and
// messages leave through send. It is not safe for concurrent use.
type state struct {
	// Set once.
	cfg Config
	shell

	// workers by routing id, services by name. A service is here while it has a
	// worker or a queued request, so asking for a name leaves nothing behind.
	workers  map[string]*worker
	services map[string]*service

	allowed *curve.List // who may call and serve what; nil without CURVE: anyone

	// crossed are the requests that workers had when they left, by the worker's routing id.
	crossed map[string]*departure

	muxes map[string]*mux // by routing id
	view  view            // of the services, for those who watch them

	// Workers by when they were last heard, longest ago first: alive are those
	// expected to send heartbeats, patient those that work without.
	alive, patient list[worker]

	deadlines deadlines // of the queued requests
	swept     time.Time // when all of them were last asked for their connections
	queued    load      // of all services
	unserved  load      // of the services without workers

	// Outboxes by the client's routing id, and by when their client last took a
	// message, longest ago first.
	outboxes   map[string]*outbox
	stalled    list[outbox]
	outgoing   int64         // bytes in all of them
	retry      time.Time     // when they are tried again, if there are any
	retryDelay time.Duration // how long after the time before

	beat    time.Time // when the next heartbeats are due
	scratch [][]byte  // the frames of the message being sent
	count   counters

	stopping bool // close was called

	reported map[dropReason]uint64 // what the log says was dropped
	strange  map[string]bool       // peers that the log named since the last report
	due      time.Time             // of the next report
}

// A connection tells whether it has ended. It may be late, and must not say so of one
// that is open. End ends it. Received is how many bytes came over it, 0 if that is not known.
type connection interface {
	Ended() bool
	End()
	Received() uint64
}

// A shell is what a state asks of the one that runs it.
type shell struct {
	// send sends one message without waiting; the first frame is the receiver's
	// routing id. The error says that the message was not sent: errGone, errSlow, or
	// another one, after which the broker ends. It must not keep the frames' slice.
	send func(frames [][]byte) error

	// newToken returns a request's token, which no other request has or had.
	newToken func() []byte

	// connection returns the connection of the message that is being received.
	connection func() connection

	// user returns the key, in Z85, by which that message came. It is valid during receive, and is asked for
	// only if there is a list of those who may.
	user func() []byte
}

// newState returns the state of a broker without workers.
func newState(cfg Config, now time.Time, sh shell) *state {
	return &state{
		cfg:      cfg,
		shell:    sh,
		workers:  make(map[string]*worker),
		services: make(map[string]*service),
		crossed:  make(map[string]*departure),
		outboxes: make(map[string]*outbox),
		muxes:    make(map[string]*mux),
		view:     view{services: make(map[string]mdpx.Service), changed: make(map[string]bool)},
		beat:     now.Add(cfg.Heartbeat),
		count:    newCounters(),
		reported: make(map[dropReason]uint64),
		strange:  make(map[string]bool),
		due:      now.Add(reportEvery),
		allowed:  cfg.allowed(),
	}
}

// receive takes one message as a ROUTER gives it: the sender's routing id, then
// the frames it sent. The state may keep the frames, but not their slice, and of those of mdp.LentFrom bytes
// or more only copies: the socket lends them until the next message.
func (s *state) receive(now time.Time, frames [][]byte) {
	if len(frames) < 2 {
		s.drop(dropMalformed)
		return
	}
	id, frames := frames[0], frames[1:]
	if mdpx.Speaks(frames) {
		s.fromGateway(now, id, frames)
		return
	}
	if s.stopping {
		return
	}
	switch d, peer := mdp.Identify(frames); peer {
	case mdp.Client:
		if !s.mayCall() {
			return
		}
		if s.cfg.Padded && d == mdp.V01 {
			d = mdp.MajordomoGo
		}
		s.fromClient(now, d, id, frames)
	case mdp.Worker:
		s.fromWorker(now, d, id, frames)
	default:
		s.drop(dropHeader)
		s.complain(id, frames)
	}
}

// next returns when tick must be called at the latest.
func (s *state) next() time.Time {
	next := s.due
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	earlier(s.beat)
	if w := s.alive.front(); w != nil {
		earlier(w.heard.Add(s.silence()))
	}
	if w := s.patient.front(); w != nil {
		earlier(w.heard.Add(s.cfg.BusySilence))
	}
	if r := s.deadlines.front(); r != nil {
		earlier(r.deadline)
	}
	if s.stalled.len > 0 {
		earlier(s.retry)
	}
	if s.view.news() {
		earlier(s.view.due)
	}
	return next
}

// tick does what is due: requests that waited too long are dropped, workers that
// were silent too long are lost, the others get their heartbeats, and clients
// that did not read are tried again; the log learns what was dropped.
func (s *state) tick(now time.Time) {
	if s.stalled.len > 0 && !now.Before(s.retry) {
		s.flush(now)
	}
	for r := s.deadlines.front(); r != nil && r.expired(now); r = s.deadlines.front() {
		s.expire(now, r)
	}
	for w := s.alive.front(); w != nil && !now.Before(w.heard.Add(s.silence())); w = s.alive.front() {
		s.lose(now, w, "silent")
	}
	for w := s.patient.front(); w != nil && !now.Before(w.heard.Add(s.cfg.BusySilence)); w = s.patient.front() {
		s.lose(now, w, "silent while busy")
	}
	if !now.Before(s.beat) {
		s.heartbeat(now)
		s.beat = now.Add(s.cfg.Heartbeat)
	}
	if s.view.news() && !now.Before(s.view.due) {
		s.tellChanges(now)
	}
	if !now.Before(s.due) {
		s.report()
		s.due = now.Add(reportEvery)
	}
}

// silence is how long a worker that sends heartbeats may be silent.
func (s *state) silence() time.Duration {
	return s.cfg.Heartbeat * time.Duration(s.cfg.Liveness)
}

// close tells every worker that the broker goes, and gateways what no worker will get: from here on none gets anything.
func (s *state) close(now time.Time) {
	s.report()
	s.stopping = true
	for _, r := range slices.Clone(s.deadlines.heap) {
		if r.mux != nil && r.line != nil {
			s.unqueue(r)
			s.forget(r.service)
			s.giveUp(now, r, mdpx.Stopping)
		}
	}
	for _, w := range s.byHeard() {
		s.disconnect(w.dialect, w.id)
	}
}

// toWorker sends one message to a worker.
func (s *state) toWorker(d *mdp.Dialect, id []byte, m mdp.WorkerMessage) error {
	frames := d.AppendWorker(s.begin(id), m)
	defer s.end(frames)
	return s.send(frames)
}

// maxScratch is the length up to which the slice of a message is used again.
const maxScratch = 64

// begin returns the first frame of a message to the peer with that routing id, in the slice
// of the message before, which must have been given to end.
func (s *state) begin(id []byte) [][]byte { return append(s.scratch[:0], id) }

// end takes the slice of a message that was sent.
func (s *state) end(frames [][]byte) {
	clear(frames) // or the last message's body would be kept alive
	if s.scratch = frames[:0]; cap(frames) > maxScratch {
		s.scratch = nil
	}
}
