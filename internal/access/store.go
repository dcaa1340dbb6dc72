package access

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Keys is the keys of one file, as Parse read them. It never changes.
type Keys struct{ keys []*Key }

// All returns the keys in the order of the file. The slice is the caller's, what
// it points to must not be changed.
func (k *Keys) All() []*Key { return slices.Clone(k.keys) }

// A Store holds the keys in force and what each of them has in use. The zero
// Store needs no key. Its methods are safe for concurrent use.
type Store struct {
	swap    sync.Mutex // held while another snapshot is made
	current atomic.Pointer[snapshot]
}

// A snapshot is the keys in force, each with its use; none if no key is needed.
type snapshot struct {
	keys []*Key
	uses []*use // by index of keys
}

// A use is what a key has in use. It lives on when its key is read again, or a
// reload would give everybody a fresh rate and share.
type use struct {
	inFlight *atomic.Int64
	limiter  *rate.Limiter // nil if the key has no rate
}

// NewStore returns a store that holds keys. With nil no key is needed.
func NewStore(keys *Keys) *Store {
	s := new(Store)
	s.Swap(keys)
	return s
}

// Swap puts keys in force, at once and as a whole; with nil none is needed. A key
// whose id was there before goes on with the calls that it has in flight and,
// unless its rate has changed, with what is left of that.
func (s *Store) Swap(keys *Keys) {
	s.swap.Lock()
	defer s.swap.Unlock()
	old, next := s.snapshot(), new(snapshot)
	if keys != nil {
		next.keys = keys.keys
	}
	for _, key := range next.keys {
		next.uses = append(next.uses, old.use(key))
	}
	s.current.Store(next)
}

func (s *Store) snapshot() *snapshot {
	if snap := s.current.Load(); snap != nil {
		return snap
	}
	return new(snapshot)
}

// use returns the use that key has in the snapshot after this one.
func (s *snapshot) use(key *Key) *use {
	for i, before := range s.keys {
		if before.ID != key.ID {
			continue
		}
		if before.Rate == key.Rate {
			return s.uses[i]
		}
		return &use{s.uses[i].inFlight, key.Rate.limiter()}
	}
	return &use{new(atomic.Int64), key.Rate.limiter()}
}

func (r Rate) limiter() *rate.Limiter {
	if r.Calls == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(r.Calls)/r.Per.Seconds()), r.Calls)
}

// Lost reports whether keys has none of the keys in force, by id: whoever has one is locked out.
func (s *Store) Lost(keys *Keys) bool {
	before := s.snapshot().keys
	return len(before) > 0 && !slices.ContainsFunc(before, func(old *Key) bool {
		return slices.ContainsFunc(keys.keys, func(k *Key) bool { return k.ID == old.ID })
	})
}

// Enabled reports whether a key is needed.
func (s *Store) Enabled() bool { return len(s.snapshot().keys) > 0 }

// Expiries returns when each key expires, by id; zero means never.
func (s *Store) Expiries() map[string]time.Time {
	all := make(map[string]time.Time)
	for _, key := range s.snapshot().keys {
		all[key.ID] = key.Expires
	}
	return all
}
