package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync/atomic"
	"time"
)

// A Store has the Set in force. Its methods may be called by many goroutines at once.
type Store struct{ set atomic.Pointer[Set] }

// NewStore returns a Store of a Set.
func NewStore(s *Set) *Store {
	store := new(Store)
	store.Swap(s)
	return store
}

// Set returns the Set in force.
func (s *Store) Set() *Set { return s.set.Load() }

// Swap puts a Set in force: for new connections, and for the next request on those that are open. Sessions of another
// Set are not resumed, so that nobody keeps a session whose authority is gone.
func (s *Store) Swap(next *Set) {
	if now := s.set.Load(); now == nil || now.sum != next.sum || now.files.ClientAuth != next.files.ClientAuth {
		s.set.Store(next)
	}
}

// Every is how often Watch reads the files.
const Every = 10 * time.Second

// Watch reads the files again and again until ctx ends, and puts what has changed in force, all of it or nothing. They
// are read, not asked for their times, which is cheap and holds for links that are swapped (Kubernetes), mounts of
// single files, and network file systems alike.
//
// Told is called after a change, with nil if it is in force now. A fault is told when it is found for the second time
// in a row: a pair is often replaced one file after the other.
func (s *Store) Watch(ctx context.Context, told func(error)) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	var fault string // of the last reading, if it had one
	var known bool   // it was told
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := s.reread()
		switch {
		case err == nil:
			if changed || known {
				told(nil)
			}
			fault, known = "", false
		case err.Error() != fault:
			fault, known = err.Error(), false
		case !known:
			told(err)
			known = true
		}
	}
}

// reread puts the files in force if they have changed.
func (s *Store) reread() (changed bool, err error) {
	now := s.Set()
	c, err := now.files.read()
	if err != nil || c.sum() == now.sum {
		return false, err
	}
	next, err := now.files.parse(c)
	if err != nil {
		return false, err
	}
	return s.set.CompareAndSwap(now, next), nil // a reload may have come between
}

// Server makes a connection TLS, as its server. The handshake is done by Handshake, Read or Write.
func (s *Store) Server(c net.Conn) *Conn {
	return &Conn{Conn: tls.Server(c, s.Set().tls), store: s}
}

// A Conn is a TLS connection of a caller.
type Conn struct {
	*tls.Conn
	store   *Store
	verdict atomic.Pointer[verdict]
}

// A verdict is what a Set makes of a caller's certificate.
type verdict struct {
	set   *Set
	until time.Time // the first of the chains may no longer hold; zero is never
	state *tls.ConnectionState
	err   error
}

// State returns the state of a connection whose handshake is done, for a request on it. Its VerifiedChains are those
// that hold at this moment, by the Set in force: a certificate that has expired, was revoked, or whose authority is gone
// since the handshake is an error. The state is shared: it must not be changed.
func (c *Conn) State() (*tls.ConnectionState, error) {
	now, set := time.Now(), c.store.Set()
	v := c.verdict.Load()
	if v == nil || v.set != set || !v.until.IsZero() && now.After(v.until) {
		v = set.judge(c.ConnectionState(), now)
		c.verdict.Store(v)
	}
	return v.state, v.err
}

// Verify returns why the certificates that a caller would show, its own first, don't hold at that time; nil if they do.
func (s *Set) Verify(shown []*x509.Certificate, now time.Time) error {
	return s.judge(tls.ConnectionState{PeerCertificates: shown}, now).err
}

// judge verifies a caller's certificate, if it has shown one.
func (s *Set) judge(state tls.ConnectionState, now time.Time) *verdict {
	v := &verdict{set: s, state: &state}
	state.VerifiedChains = nil
	if len(state.PeerCertificates) == 0 || s.tls.ClientCAs == nil {
		return v
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	chains, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: s.tls.ClientCAs, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		state.VerifiedChains, err = s.unrevoked(chains, now)
	}
	v.err = err
	for _, chain := range state.VerifiedChains {
		for _, c := range chain {
			v.until = earlier(v.until, c.NotAfter)
		}
	}
	for _, r := range s.lists {
		v.until = earlier(v.until, r.list.NextUpdate)
	}
	return v
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
