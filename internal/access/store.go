package access

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Store holds the principals in force and what each of them has in use. The zero
// Store lets anyone in. Its methods are safe for concurrent use.
type Store struct {
	tokens  Verifier   // nil: no token is taken
	swap    sync.Mutex // held while another snapshot is made
	current atomic.Pointer[snapshot]
}

// A snapshot is the principals in force; none if anyone may call.
type snapshot struct {
	list                       *List // nil: none
	keys, certificates, tokens []*entry
	byID                       map[string]*entry
}

// An entry is a principal and what its callers have in use.
type entry struct {
	*Principal
	uses *uses
}

// NewStore returns a store that holds a list; with nil anyone is let in. Tokens checks the tokens of its issuers; it
// may be nil if there are none.
func NewStore(list *List, tokens Verifier) *Store {
	s := &Store{tokens: tokens}
	s.Swap(list)
	return s
}

// Swap puts a list in force, at once and as a whole; with nil anyone is let in. A principal
// whose id was there before goes on with the calls that it has in flight and,
// unless its rate has changed, with what is left of that.
func (s *Store) Swap(list *List) {
	s.swap.Lock()
	defer s.swap.Unlock()
	old, next := s.snapshot(), &snapshot{list: list, byID: make(map[string]*entry)}
	if list == nil {
		s.current.Store(next)
		return
	}
	for _, p := range list.principals {
		var before *uses
		if e := old.byID[p.ID]; e != nil {
			before = e.uses
		}
		e := &entry{p, before.next(p.Rate)}
		next.byID[p.ID] = e
		switch {
		case p.Key != nil:
			next.keys = append(next.keys, e)
		case p.Certificate != nil:
			next.certificates = append(next.certificates, e)
		default:
			next.tokens = append(next.tokens, e)
		}
	}
	s.current.Store(next)
}

func (s *Store) snapshot() *snapshot {
	if snap := s.current.Load(); snap != nil {
		return snap
	}
	return new(snapshot)
}

// Enabled reports whether callers must prove who they are.
func (s *Store) Enabled() bool { return s.snapshot().list != nil }

// Expiries returns when each principal expires, by id; zero means never.
func (s *Store) Expiries() map[string]time.Time {
	all := make(map[string]time.Time)
	for id, e := range s.snapshot().byID {
		all[id] = e.Expires
	}
	return all
}

// Still reports whether the principal of that id may call the service now: it is there, has not expired, and is for
// the service. It is for what a caller left to be done later, who may have lost the right to it. An empty id is
// that of everybody, where anyone may call.
func (s *Store) Still(id, service string, now time.Time) bool {
	snap := s.snapshot()
	if snap.list == nil {
		return true
	}
	e := snap.byID[id]
	return e != nil && e.valid(now) && e.may(service)
}
