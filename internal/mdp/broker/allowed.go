package broker

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp"
)

// A Curve makes a broker encrypt, and lets in only the keys of a list, each for its role.
type Curve struct {
	Public  curve.Key    // the broker's
	Secret  curve.Secret // of it
	Allowed *curve.List
}

func (c Config) allowed() *curve.List {
	if c.Curve == nil {
		return nil
	}
	return c.Curve.Allowed
}

// mayCall reports whether the sender of the message that is being received may call.
func (s *state) mayCall() bool {
	if s.allowed == nil {
		return true
	}
	p := s.allowed.Find(s.user())
	if p != nil && p.Role == curve.RoleClient {
		return true
	}
	s.forbid(p, "it is no client's", "")
	return false
}

// mayWork reports whether the sender of the message that is being received may send it as a worker. One that may not
// is told so by a DISCONNECT, as by any broker that does not know it. A worker whose routing id has come to the owner
// of another key is lost.
func (s *state) mayWork(now time.Time, d *mdp.Dialect, id []byte, m mdp.WorkerMessage) bool {
	if s.allowed == nil {
		return true
	}
	user := s.user()
	if w := s.workers[string(id)]; w != nil && w.user != string(user) {
		s.lose(now, w, "another key has its routing id")
	}
	p := s.allowed.Find(user)
	switch {
	case p == nil || p.Role != curve.RoleWorker:
		s.forbid(p, "it is no worker's", string(m.Service))
	case m.Command == mdp.Ready && !p.MayServe(string(m.Service)):
		s.forbid(p, "it is not for this service", string(m.Service))
	default:
		return true
	}
	if m.Command != mdp.Disconnect {
		s.disconnect(d, id)
	}
	return false
}

// forbid counts a message that its sender's key is not for, and logs it once until the next report.
func (s *state) forbid(p *curve.Peer, why, service string) {
	s.drop(dropNotAllowed)
	who := "of no key that is allowed any more"
	if p != nil {
		who = p.ID
	}
	once := "key " + who + " " + why + " " + service
	if s.strange[once] || len(s.strange) >= maxStrange {
		return
	}
	s.strange[once] = true
	s.cfg.Log.Warn("a key was used for what it may not", zap.String("principal", who), zap.String("reason", why), zap.String("service", service))
}

// allow puts another list in force. Workers that it does not let serve any more are told, and lost.
func (s *state) allow(now time.Time, next *curve.List) {
	s.allowed = next
	for _, w := range s.byHeard() {
		if s.workers[string(w.id)] != w {
			continue // lost while the others were
		}
		if p := next.Find([]byte(w.user)); p == nil || !p.MayServe(w.service.name) {
			s.disconnect(w.dialect, w.id)
			s.lose(now, w, "its key may not serve this any more")
		}
	}
}

// authenticate starts to ask the list about every key that connects, if there is one.
func (b *Broker) authenticate(c *Curve) (err error) {
	if c == nil {
		return nil
	}
	b.allowed.Store(c.Allowed)
	if err := b.context.UseTwoThreads(); err != nil {
		return err
	}
	b.authenticator, err = b.context.Authenticate(func(key curve.Key, address string) bool {
		if b.allowed.Load().Find([]byte(key.String())) != nil {
			return true
		}
		b.strangers.Add(1)
		b.stranger.Store(&stranger{key, address})
		return false
	})
	return err
}

// wakeWithoutAuthenticator has run look at unguarded when the authenticator ends. What it returns waits for that.
func (b *Broker) wakeWithoutAuthenticator() (wait func()) {
	var waiting sync.WaitGroup
	if a := b.authenticator; a != nil {
		waiting.Go(func() {
			<-a.Done()
			b.router.Interrupt()
		})
	}
	return waiting.Wait
}

// unguarded returns why the authenticator has ended, if it has: nobody could connect any more.
func (b *Broker) unguarded() error {
	if b.authenticator == nil {
		return nil
	}
	select {
	case <-b.authenticator.Done():
		return b.authenticator.Err()
	default:
		return nil
	}
}

func (b *Broker) endAuthenticator() error {
	if b.authenticator == nil {
		return nil
	}
	return b.authenticator.Close()
}

// A stranger is a peer whose key was refused.
type stranger struct {
	key     curve.Key
	address string
}

// tellStrangers logs, once in reportEvery, that keys were refused. The mutex must be held.
func (b *Broker) tellStrangers(now time.Time) {
	all := b.strangers.Load()
	if all == b.strangersTold || now.Before(b.tellKeys) {
		return
	}
	last := b.stranger.Load()
	if last == nil {
		return // it is being stored
	}
	b.state.cfg.Log.Warn("keys were refused that are not in curve-allowed", zap.Uint64("connections", all-b.strangersTold),
		zap.Stringer("key", last.key), zap.String("peer", last.address))
	b.strangersTold, b.tellKeys = all, now.Add(reportEvery)
}

// Allow puts another list of a broker with CURVE in force: keys that are not in it may not connect any more, and what
// they send over connections that they have is refused. Workers that it does not let serve any more are disconnected.
func (b *Broker) Allow(next *curve.List) {
	b.allowed.Store(next)
	b.router.Interrupt() // run takes it
}

// takeList puts what Allow was given in force. The mutex must be held.
func (b *Broker) takeList(now time.Time) {
	if next := b.allowed.Load(); next != b.state.allowed {
		b.state.allow(now, next)
	}
}
