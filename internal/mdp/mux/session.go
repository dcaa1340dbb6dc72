package mux

import (
	"context"
	"sync"
	"time"

	"mdpgateway/internal/mdp/internal/zsock"
	"mdpgateway/internal/mdp/mdpx"
)

// A session is the time in which a broker is there: the sentinel, whose monitor tells why a
// connection ends, and the connection over which the broker says what services it has and
// answers heartbeats.
type session struct {
	endpoint *endpoint
	watch    *zsock.Watch
	control  *link
	greeted  chan struct{} // closed at the broker's first word on its services

	first sync.Once
}

// stay connects to one address, and stays while the broker is there. It reports whether it
// ever was, and whether what is there takes connections and does not speak MDPX/1.
func (e *endpoint) stay(ctx context.Context, address string) (up, mute bool) {
	w, err := e.client.zctx.Watch(address, zsock.WatchOptions{Handshake: e.client.cfg.ConnectTimeout, Interval: beat, Timeout: silence, Curve: e.Curve})
	if err != nil {
		e.down("sentinel not opened", err, false)
		return false, false
	}
	defer w.Close()
	defer context.AfterFunc(ctx, w.Interrupt)()
	event, err := w.Next()
	e.handshake(event)
	if event != zsock.WatchUp {
		e.down(event.String(), err, false)
		return false, false
	}
	s := &session{endpoint: e, watch: w, greeted: make(chan struct{})}
	if s.control, err = e.dial(ctx, address, s.told); err != nil {
		e.down("connection lost", err, false)
		return false, false
	}
	defer s.control.socket.Close()
	return s.last(ctx, address)
}

// told takes the broker's word: first all of its services, then those that have changed.
func (s *session) told(services []mdpx.Service) {
	all := false
	s.first.Do(func() { all = true })
	s.endpoint.table.update(services, all)
	if all {
		close(s.greeted)
	}
}

// last lasts until the broker is lost, or has said nothing for as long as it may; it is stay then.
func (s *session) last(ctx context.Context, address string) (up, mute bool) {
	e := s.endpoint
	var running sync.WaitGroup
	lost := make(chan error, 2)
	running.Go(func() { lost <- s.control.socket.Run() })
	running.Go(func() {
		event, err := s.watch.Next()
		if err == nil {
			err = eventError(event.String())
		}
		lost <- err
	})
	defer running.Wait()
	defer s.control.socket.Interrupt()
	defer s.watch.Interrupt()

	if err := s.control.send(mdpx.AppendWatch(nil)); err != nil {
		e.down("connection lost", err, false)
		return false, false
	}
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	begun, greeted := time.Now(), s.greeted
	for {
		select {
		case <-ctx.Done():
			e.down("", ctx.Err(), false)
			return up, false
		case err := <-lost:
			mute = !up && e.isMute()
			e.down("connection lost", err, mute)
			return up, mute
		case <-greeted:
			greeted, up = nil, true
			e.up(address)
		case now := <-ticker.C:
			switch {
			case !up && now.Sub(begun) > greeting:
				e.down("", errUnspoken, true)
				if now.Sub(begun) > e.firstWord {
					return false, true
				}
			case up && now.Sub(time.Unix(0, s.control.heard.Load())) > deafness:
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
