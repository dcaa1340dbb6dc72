package mux

import (
	"context"
	"errors"
	"sync"
	"time"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp/internal/zsock"
	"mdpgateway/internal/mdp/mdpx"
)

// A session is the time in which a broker is there: the sentinel, whose monitor tells why a
// connection ends, and the connection over which the broker says what services it has and
// answers heartbeats. While other keys are tried there are two.
type session struct {
	// Set once.
	endpoint *endpoint
	address  string
	keys     *curve.Client
	watch    *zsock.Watch
	control  *link
	greeted  chan struct{} // closed at the broker's first word on its services
	lost     chan error    // has why the broker is lost, or that close was called; twice
	running  sync.WaitGroup

	mu    sync.Mutex
	table *Table // guarded by mu: takes the broker's word
	spoke bool   // guarded by mu: the broker has said which services it has
}

// stay connects to one address, and stays while the broker is there. It reports whether it
// ever was, and whether what is there takes connections and does not speak MDPX/1.
func (e *endpoint) stay(ctx context.Context, address string) (up, mute bool) {
	s, event, err := e.open(ctx, address, e.inForce(), e.table)
	e.handshake(event)
	if s == nil {
		e.down(event.String(), err, false)
		if event.IsRefusal() {
			e.adoptGiven()
		}
		return false, false
	}
	return e.last(ctx, s)
}

// open connects to an address by these keys, and asks for the broker's word, which the table takes. Without a session
// the event, and the error if there is one, say what came of the handshake.
func (e *endpoint) open(ctx context.Context, address string, keys *curve.Client, table *Table) (*session, zsock.Event, error) {
	w, err := e.client.zctx.Watch(address, zsock.WatchOptions{Handshake: e.client.cfg.ConnectTimeout, Interval: beat, Timeout: silence, Curve: keys})
	if err != nil {
		return nil, zsock.WatchFailed, err
	}
	stop := context.AfterFunc(ctx, w.Interrupt)
	defer stop()
	event, err := w.Next()
	if event != zsock.WatchUp {
		return nil, event, errors.Join(err, w.Close())
	}
	s := &session{
		endpoint: e, address: address, keys: keys, watch: w, table: table,
		greeted: make(chan struct{}), lost: make(chan error, 2),
	}
	if s.control, err = e.dial(ctx, address, keys, s.told); err != nil {
		return nil, zsock.WatchLost, errors.Join(err, w.Close())
	}
	s.running.Go(func() { s.lost <- s.control.socket.Run() })
	s.running.Go(func() {
		event, err := w.Next()
		if err == nil {
			err = eventError(event.String())
		}
		s.lost <- err
	})
	if err := s.control.send(mdpx.AppendWatch(nil)); err != nil {
		s.close()
		return nil, zsock.WatchLost, err
	}
	return s, zsock.WatchUp, nil
}

// close ends the session.
func (s *session) close() {
	s.control.socket.Interrupt()
	s.watch.Interrupt()
	s.running.Wait()
	_, _ = s.control.socket.Close(), s.watch.Close()
}

// told takes the broker's word: first all of its services, then those that have changed.
func (s *session) told(services []mdpx.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.update(services, !s.spoke)
	if !s.spoke {
		s.spoke = true
		close(s.greeted)
	}
}

// last lasts until the broker is lost, or has said nothing for as long as it may; it is stay then.
func (e *endpoint) last(ctx context.Context, s *session) (up, mute bool) {
	defer func() { s.close() }()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	begun, greeted, quiet := time.Now(), s.greeted, time.Duration(0)
	var renewed <-chan *session // nil before it is up
	for {
		select {
		case <-ctx.Done():
			e.down("", ctx.Err(), false)
			return up, false
		case err := <-s.lost:
			mute = !up && e.isMute()
			e.down("connection lost", err, mute)
			return up, mute
		case <-greeted:
			greeted, renewed, up = nil, e.renewed, true
			e.up(s.address)
		case next := <-renewed:
			s, quiet = e.replace(s, next), 0
		case now := <-ticker.C:
			// Beats are counted: the clock may be set meanwhile, and the whole process may have been stopped.
			if quiet += beat; s.control.heard.Swap(false) {
				quiet = 0
			}
			switch {
			case !up && now.Sub(begun) > greeting:
				e.down("", errUnspoken, true)
				if now.Sub(begun) > e.firstWord {
					return false, true
				}
			case up && quiet > deafness:
				e.down("no heartbeat", errSilent, false)
				return up, false
			case up:
				_ = s.control.send(mdpx.AppendHeartbeat(nil))
			}
		}
	}
}

type eventError string

func (e eventError) Error() string { return string(e) }

func (e *endpoint) isMute() bool {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	return e.mute
}
