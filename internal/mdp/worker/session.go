package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// Why sessions end.
var (
	errDisconnected = errors.New("the broker sent DISCONNECT")
	errSilent       = errors.New("the broker is silent")
	errFailed       = errors.New("the handler failed")
	errLeft         = errors.New("the worker stops")
	errRefused      = errors.New("the handshake was refused")
)

// leaveWait is how long a worker that stops waits for the broker's word that nothing is on
// its way.
const leaveWait = time.Second

// A session is one registration on one socket. The goroutine of session owns the
// socket; a handler works on another one, so that heartbeats go on, and hands
// over what it wants sent.
type session struct {
	// Set once.
	*registration
	ctx     context.Context // ends with the session
	dialect *mdp.Dialect
	socket  *zsock.Socket // the handler may interrupt it
	outbox  chan outgoing // from the handler

	// Owned by the session's goroutine.
	heard   bool   // the broker accepted the registration: it sent something else than DISCONNECT
	busy    bool   // a handler runs
	client  []byte // whose request it has
	parts   int    // how many PARTIALs were sent to it
	running sync.WaitGroup
	beat    time.Time // when the next heartbeat is due
	expiry  time.Time // when the broker counts as lost
	left    bool      // DISCONNECT was sent
	agreed  bool      // the broker knows: it sends no request any more
	parting time.Time // until when that is waited for; zero if it is not
}

// An outgoing is a part of a reply, or its end.
type outgoing struct {
	frames [][]byte
	final  bool
	err    error      // of a final: there is no reply
	sent   chan error // of a partial: gets the result
}

// connect opens a socket and waits until the broker has accepted it.
func (r *registration) connect() (*session, error) {
	cfg := &r.worker.cfg
	socket, err := r.worker.zctx.Dealer(zsock.DealerOptions{Linger: linger, Curve: cfg.Curve})
	if err != nil {
		return nil, err
	}
	s := &session{registration: r, dialect: cfg.Dialect, socket: socket, outbox: make(chan outgoing, 1)}
	stop := context.AfterFunc(r.worker.stop, socket.Interrupt)
	defer stop()
	socket.SetDeadline(time.Now().Add(maxPause))
	err = r.worker.stop.Err() // looked at after the deadline, which would undo an interruption
	if err == nil {
		err = socket.Connect(cfg.Endpoint)
	}
	if err == nil {
		err = socket.WaitWritable()
	}
	if err == nil {
		return s, nil
	}
	err = errors.Join(fmt.Errorf("connect: %w", err), socket.Close())
	if r.worker.stop.Err() == nil {
		err = errors.Join(r.refusal(), err)
	}
	return nil, err
}

// askWhy is how long a worker that could not connect looks for the reason. It is short: until then it does not try again.
const askWhy = 250 * time.Millisecond

// refusal returns errRefused, and why, if CURVE's keys are why there is no connection to the broker. The socket of a session
// does not know, so the reason comes from the monitor of another attempt.
func (r *registration) refusal() error {
	cfg := &r.worker.cfg
	w, err := r.worker.zctx.Watch(cfg.Endpoint, zsock.WatchOptions{Handshake: maxPause, Interval: cfg.Heartbeat, Timeout: maxPause, Curve: cfg.Curve})
	if err != nil {
		return nil // what connect met says more
	}
	defer w.Close()
	defer time.AfterFunc(askWhy, w.Interrupt).Stop()
	event, err := w.Next()
	if err == nil && event.IsRefusal() {
		return fmt.Errorf("%w: %s", errRefused, event)
	}
	return nil
}

// serve registers and then moves messages until the session ends.
func (s *session) serve() error {
	now := time.Now()
	s.hear(now)
	if err := s.send(mdp.WorkerMessage{Command: mdp.Ready, Service: s.service}); err != nil {
		return err
	}
	for {
		s.socket.SetDeadline(s.due())
		// Both are looked at after the deadline is set, which would undo an
		// interruption that came before.
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
		if err := s.takeLeave(); err != nil {
			return err
		}
		frames, err := s.socket.Receive()
		if zsock.IsInterrupted(err) {
			// What has arrived comes before what is due: after a pause of the
			// whole process the broker's heartbeats are here.
			frames, err = s.socket.TryReceive()
		}
		now = time.Now()
		switch {
		case err == nil:
			err = s.receive(now, frames)
		case err == zsock.ErrAgain:
			err = nil
		}
		if err == nil {
			err = s.keepAlive(now)
		}
		if err != nil {
			return err
		}
	}
}

// due returns when something is to be done although nothing was received.
func (s *session) due() time.Time {
	due := s.beat
	if s.expiry.Before(due) {
		due = s.expiry
	}
	if !s.parting.IsZero() && !s.busy && s.parting.Before(due) {
		due = s.parting
	}
	return due
}

// takeLeave ends the session of a worker that stops, once no handler runs and no request is
// on its way. MDP has no word for the second: a heartbeat after DISCONNECT is that of a
// stranger, whom brokers send a DISCONNECT; what they sent before has arrived then.
func (s *session) takeLeave() error {
	switch {
	case s.worker.stop.Err() == nil || s.busy:
		return nil
	case s.agreed:
		return errLeft
	case s.parting.IsZero():
		s.left, s.parting = true, time.Now().Add(leaveWait)
		if err := s.send(mdp.WorkerMessage{Command: mdp.Disconnect}); err != nil {
			return err
		}
		return s.send(mdp.WorkerMessage{Command: mdp.Heartbeat})
	case !time.Now().Before(s.parting):
		return errLeft
	}
	return nil
}

func (s *session) hear(now time.Time) {
	cfg := &s.worker.cfg
	s.expiry = now.Add(cfg.Heartbeat * time.Duration(cfg.Liveness))
}

func (s *session) keepAlive(now time.Time) error {
	if !now.Before(s.expiry) {
		return errSilent
	}
	if now.Before(s.beat) {
		return nil
	}
	return s.send(mdp.WorkerMessage{Command: mdp.Heartbeat})
}

// patientAfter is how many PARTIALs of a reply may fill the socket's queue. libzmq
// holds 1,000 messages, and hears of those that were read 500 at a time.
const patientAfter = 400

// send sends a message. Any counts as a heartbeat.
//
// A socket that takes no message has lost its connection, or its queue is full
// because the broker is slow to read. Only PARTIALs fill it: with a request the
// broker has read all that came before. So after many of them send waits, also
// for room for the next message: without, Receive would see a lost connection.
func (s *session) send(m mdp.WorkerMessage) error {
	if m.Command == mdp.Partial {
		s.parts++
	}
	patient := s.parts >= patientAfter
	frames := s.dialect.AppendWorker(nil, m)
	err := s.socket.Send(frames)
	for err == zsock.ErrAgain && patient {
		if err = s.waitWritable(); err == nil {
			err = s.socket.Send(frames)
		}
	}
	if err == nil && patient {
		err = s.waitWritable()
	}
	if err == zsock.ErrAgain {
		err = zsock.ErrLost
	}
	s.beat = time.Now().Add(s.worker.cfg.Heartbeat)
	return err
}

// waitWritable waits for room. The handler may interrupt it, by handing over
// what is already being sent: that is no reason to give up.
func (s *session) waitWritable() error {
	for {
		err := s.socket.WaitWritable()
		if !zsock.IsInterrupted(err) {
			return err
		}
		s.socket.SetDeadline(s.expiry)
		switch {
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case !time.Now().Before(s.expiry):
			return errSilent
		}
	}
}

func (s *session) receive(now time.Time, frames [][]byte) error {
	m, err := s.dialect.ParseWorker(frames)
	if err != nil {
		s.log.Warn("a message from the broker was dropped", zap.Error(err))
		return nil
	}
	s.hear(now)
	s.heard = s.heard || m.Command != mdp.Disconnect
	switch m.Command {
	case mdp.Heartbeat:
	case mdp.Disconnect:
		if s.left {
			s.agreed = true
			return nil
		}
		return errDisconnected
	case mdp.Work:
		if s.busy {
			s.log.Warn("a request that came before the last one's reply was dropped")
			return nil
		}
		s.busy, s.client, s.parts = true, m.Client, 0
		s.running.Go(func() { s.work(m.Body) })
	default:
		s.log.Warn("a message from the broker was dropped", zap.Stringer("command", m.Command))
	}
	return nil
}

// work runs the handler. Whatever it does, exactly one final comes out.
func (s *session) work(body [][]byte) {
	frames, err := s.handler(s.ctx, body, s.partial)
	s.post(outgoing{frames: frames, final: true, err: err})
}

// partial is called by the handler.
func (s *session) partial(frames [][]byte) error {
	if !s.dialect.HasPartials() {
		return s.ctx.Err()
	}
	sent := make(chan error, 1)
	s.post(outgoing{frames: frames, sent: sent})
	return <-sent
}

// post hands something to the session's goroutine and wakes it.
func (s *session) post(o outgoing) {
	s.outbox <- o
	s.socket.Interrupt()
}

// flush sends what the handler has handed over.
func (s *session) flush() error {
	select {
	case o := <-s.outbox:
		return s.deliver(o)
	default:
		return nil
	}
}

func (s *session) deliver(o outgoing) error {
	if !o.final {
		err := s.send(mdp.WorkerMessage{Command: mdp.Partial, Client: s.client, Body: o.frames})
		o.sent <- err
		return err
	}
	s.busy = false
	if o.err != nil {
		return fmt.Errorf("%w: %w", errFailed, o.err)
	}
	return s.send(mdp.WorkerMessage{Command: mdp.Final, Client: s.client, Body: o.frames})
}

// leave waits for the handler, whose context has ended, sends its reply if it
// still made one, and takes leave. On a lost connection that fails, and does not
// matter.
func (s *session) leave() {
	for s.busy {
		o := <-s.outbox
		switch {
		case !o.final:
			o.sent <- s.ctx.Err()
			continue
		case o.err == nil:
			_ = s.send(mdp.WorkerMessage{Command: mdp.Final, Client: s.client, Body: o.frames})
		}
		s.busy = false
	}
	s.running.Wait()
	if !s.left {
		_ = s.send(mdp.WorkerMessage{Command: mdp.Disconnect})
	}
}
