package broker

import (
	"bytes"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

// A worker is a registered worker. It has one request at a time.
type worker struct {
	// Set once.
	id      []byte // routing id
	dialect *mdp.Dialect
	service *service

	connection connection // that it registered over

	// With CURVE its key, in Z85. Another peer may take the routing id of one that left, and must not get its
	// requests.
	user string

	request *request  // what it works on, or nil
	since   time.Time // when it got the request
	heard   time.Time // when it was last heard, or got its request
	beats   bool      // it was seen to send heartbeats while it works
	arrived uint64    // bytes that had come over its connection
	counted time.Time // when

	rest  node[worker] // in service.idle, if it has no request
	place node[worker] // in state.alive or state.patient
}

// fromWorker takes a message of a worker. Any that is well-formed counts as a
// heartbeat.
func (s *state) fromWorker(now time.Time, d *mdp.Dialect, id []byte, frames [][]byte) {
	m, err := d.ParseWorker(frames)
	if err != nil || m.Command == mdp.Work {
		s.drop(dropMalformed)
		return
	}
	if !s.mayWork(now, d, id, m) {
		return
	}
	w := s.workers[string(id)]
	switch {
	case w == nil:
		s.fromStranger(now, d, id, m)
	case w.dialect != d:
		s.drop(dropHeader)
	case m.Command == mdp.Ready:
		// A worker must not send a second READY (RFC 18): it has lost its state,
		// or another one uses its routing id.
		s.drop(dropReadyTwice)
		s.disconnect(d, id)
		s.lose(now, w, "sent READY twice")
	case m.Command == mdp.Disconnect:
		s.remember(now, w)
		s.lose(now, w, "left")
	default:
		s.fromMember(now, w, m)
	}
}

// fromMember takes a heartbeat or a reply of a registered worker.
func (s *state) fromMember(now time.Time, w *worker, m mdp.WorkerMessage) {
	if w.request != nil && now.Sub(w.since) >= s.cfg.Heartbeat && m.Command != mdp.Final {
		// It cannot have been sent before the request arrived.
		w.beats = true
	}
	s.hear(now, w)
	if m.Command == mdp.Heartbeat {
		return
	}
	r := w.request
	if r == nil || !bytes.Equal(m.Client, r.token) {
		s.drop(dropLateReply)
		return
	}
	s.forward(now, r, m.Body, m.Command == mdp.Final)
	if m.Command == mdp.Final {
		s.view.moved = true
		w.request = nil
		s.hear(now, w)
		w.service.idle.pushBack(&w.rest, w)
		s.serve(now, w.service)
	}
}

// fromStranger takes a message of a peer that is not registered. One that thinks
// it is, is told to register again.
func (s *state) fromStranger(now time.Time, d *mdp.Dialect, id []byte, m mdp.WorkerMessage) {
	left := s.crossed[string(id)]
	switch {
	case m.Command == mdp.Disconnect:
	case left != nil && bytes.Equal(m.Client, left.request.token):
		s.forward(now, left.request, m.Body, m.Command == mdp.Final)
		if m.Command == mdp.Final {
			delete(s.crossed, string(id))
		}
	case m.Command != mdp.Ready:
		s.drop(dropUnregistered)
		s.disconnect(d, id)
	case mdp.IsMMI(m.Service):
		s.drop(dropMMIWorker)
		s.disconnect(d, id)
	case mdp.CheckService(m.Service) != nil:
		s.drop(dropServiceName)
		s.disconnect(d, id)
	default:
		s.register(now, d, id, m.Service)
	}
}

func (s *state) register(now time.Time, d *mdp.Dialect, id, name []byte) {
	s.release(now, string(id))
	s.view.moved = true
	svc := s.services[string(name)]
	if svc == nil {
		svc = newService(name)
		s.services[svc.name] = svc
	}
	w := &worker{id: id, dialect: d, service: svc, connection: s.connection()}
	if s.allowed != nil {
		w.user = string(s.user())
	}
	s.workers[string(id)] = w
	s.hear(now, w)
	if svc.workers++; svc.workers == 1 {
		s.unserved.sub(svc.queued)
		s.cfg.Log.Info("service up", zap.String("service", svc.name))
	}
	s.cfg.Log.Debug("worker registered", zap.String("service", svc.name), zap.Binary("routing_id", id), zap.Stringer("dialect", d))
	svc.idle.pushBack(&w.rest, w)
	s.serve(now, svc)
}

// give sends r to an idle worker and reports whether it went. A worker that
// cannot be sent to is lost; it never saw the request.
func (s *state) give(now time.Time, w *worker, r *request) bool {
	w.rest.remove()
	if w.user != "" && w.connection.Ended() {
		s.lose(now, w, "gone")
		return false
	}
	err := s.toWorker(w.dialect, w.id, mdp.WorkerMessage{Command: mdp.Work, Client: r.token, Body: r.body})
	if err != nil {
		s.lose(now, w, "unreachable")
		return false
	}
	s.view.moved = true
	w.request, w.since = r, now
	if r.given++; r.given > s.cfg.Redispatch {
		r.body = nil
	} else {
		r.own()
	}
	s.hear(now, w)
	return true
}

// lose removes a worker. The request that it had is given to another one if that
// is allowed and no reply to it has begun.
func (s *state) lose(now time.Time, w *worker, why string) {
	svc, r := w.service, w.request
	s.view.moved = true
	delete(s.workers, string(w.id))
	w.place.remove()
	w.rest.remove()
	w.request = nil
	if svc.workers--; svc.workers == 0 {
		s.unserved.add(svc.queued)
		s.cfg.Log.Info("service down", zap.String("service", svc.name))
	}
	s.cfg.Log.Debug("worker lost", zap.String("service", svc.name), zap.Binary("routing_id", w.id), zap.String("reason", why))
	switch {
	case r == nil || r.mux != nil && r.over:
	case r.body == nil:
		s.drop(dropWorkerLost)
		if left := s.crossed[string(w.id)]; left == nil || left.request != r {
			s.giveUp(now, r, mdpx.WorkerLost)
		}
	case r.expired(now):
		s.drop(dropExpired)
		s.giveUp(now, r, mdpx.Expired)
	default:
		s.count.redispatched++
		s.queue(r, true)
		s.serve(now, svc)
	}
	s.forget(svc)
}

// maxCrossed bounds the requests that are remembered of workers that left.
const maxCrossed = 1000

// A departure is that of a worker that left while it had a request.
type departure struct {
	request    *request
	connection connection // of the worker
}

// remember keeps the request that a leaving worker has, if no other may get it: it may have
// crossed the worker's DISCONNECT, and then the worker still answers it. Until then it counts
// as lost, as most are.
func (s *state) remember(now time.Time, w *worker) {
	if w.request == nil || w.request.body != nil {
		return
	}
	if len(s.crossed) >= maxCrossed {
		for id := range s.crossed {
			s.release(now, id)
		}
	}
	s.crossed[string(w.id)] = &departure{w.request, s.connection()}
}

// release forgets the request that a worker had when it left.
func (s *state) release(now time.Time, id string) {
	if left := s.crossed[id]; left != nil {
		delete(s.crossed, id)
		s.giveUp(now, left.request, mdpx.WorkerLost)
	}
}

// hear notes that w is alive.
func (s *state) hear(now time.Time, w *worker) {
	w.heard = now
	w.place.remove()
	if w.request != nil && !w.beats {
		s.patient.pushBack(&w.place, w)
	} else {
		s.alive.pushBack(&w.place, w)
	}
}

// leastProgress is how many bytes have to come from one heartbeat to the next for a message to be on its way. ZMTP's own
// pings are far smaller.
const leastProgress = 4 << 10

// listen counts what comes of a worker's next message as a heartbeat: those that it sends wait behind a large reply.
func (s *state) listen(now time.Time, w *worker) {
	if now.Sub(w.heard) < s.cfg.Heartbeat {
		return
	}
	before, since := w.arrived, w.counted
	w.arrived, w.counted = w.connection.Received(), now
	if !since.Before(w.heard) && w.arrived >= before+leastProgress {
		s.hear(now, w)
	}
}

// heartbeat sends every worker a heartbeat. Those whose connection is gone are
// noticed here.
func (s *state) heartbeat(now time.Time) {
	for id, left := range s.crossed {
		if left.request.expired(now) || left.connection.Ended() {
			s.release(now, id)
		}
	}
	s.hangUpEnded()
	for _, w := range s.byHeard() {
		if s.workers[string(w.id)] != w {
			continue // lost while the others were sent theirs
		}
		s.listen(now, w)
		if s.toWorker(w.dialect, w.id, mdp.WorkerMessage{Command: mdp.Heartbeat}) != nil {
			s.lose(now, w, "unreachable")
		}
	}
}

// byHeard returns all workers, those that rest or send heartbeats first, and each
// kind by when it was heard.
func (s *state) byHeard() []*worker {
	workers := make([]*worker, 0, len(s.workers))
	for _, l := range []*list[worker]{&s.alive, &s.patient} {
		for w := range l.all {
			workers = append(workers, w)
		}
	}
	return workers
}

// disconnect tells a peer to register again; whether it can hear that is not
// the broker's concern.
func (s *state) disconnect(d *mdp.Dialect, id []byte) {
	_ = s.toWorker(d, id, mdp.WorkerMessage{Command: mdp.Disconnect})
}
