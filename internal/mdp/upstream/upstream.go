// Package upstream is all brokers that a gateway calls, numbered from 0 as they are configured:
// those of MDP, which client's pool serves with a connection for each call in flight, and those
// of MDPX/1, whose connections mux shares among all calls. Who calls does not know which of the
// two serves a call.
package upstream

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync/atomic"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mux"
)

// Brokers calls services of the brokers of both kinds. It is safe for concurrent use.
type Brokers struct {
	// Set once.
	pool   *client.Pool // nil if there is no broker of that kind
	mux    *mux.Client  // nil if there is no broker of that kind
	places []place      // of each broker
	plain  []int        // the pool's brokers
	shared []int        // mux's brokers

	turn atomic.Uint64 // of calls that both kinds may take, which have as few in flight
}

// A place is where a broker is.
type place struct {
	shared bool
	index  int // in the pool, or in mux
}

// New starts what serves cfg's brokers. If they are of both kinds, each kind has cfg.Max
// calls in flight at most. Close frees it.
func New(cfg mux.Config) (*Brokers, error) {
	b := new(Brokers)
	pool, own := cfg.Config, cfg
	pool.Endpoints, own.Endpoints = nil, nil
	for i, e := range cfg.Endpoints {
		if e.Dialect != nil && e.Dialect.Multiplexed {
			b.places = append(b.places, place{true, len(b.shared)})
			b.shared, own.Endpoints = append(b.shared, i), append(own.Endpoints, e)
			continue
		}
		b.places = append(b.places, place{false, len(b.plain)})
		b.plain, pool.Endpoints = append(b.plain, i), append(pool.Endpoints, e)
	}
	var err error
	if len(b.plain) > 0 || len(b.shared) == 0 {
		if b.pool, err = client.New(pool); err != nil {
			return nil, err
		}
	}
	if len(b.shared) > 0 {
		if b.mux, err = mux.New(own); err != nil {
			return nil, errors.Join(err, b.Close(context.Background()))
		}
	}
	return b, nil
}

// Call sends one request and waits for its reply, as client.Pool's does.
func (b *Brokers) Call(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
	switch {
	case b.mux == nil:
		return b.pool.Call(ctx, req)
	case b.pool == nil:
		return b.mux.Call(ctx, req)
	}
	return b.callEither(ctx, req)
}

// callEither calls a broker of the kind that has the one with the fewest calls in flight, and
// of the other kind if that can't be reached.
func (b *Brokers) callEither(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
	plain, shared, sharedFirst := b.split(req.Brokers)
	if sending := req.Sending; sending != nil { // the second kind must not ask again
		asked := false
		req.Sending = func() error {
			if asked {
				return nil
			}
			asked = true
			return sending()
		}
	}
	for _, own := range []bool{sharedFirst, !sharedFirst} {
		at, other := plain, shared
		if own {
			at, other = shared, plain
		}
		if len(at) == 0 && len(other) > 0 {
			continue
		}
		reply, err := b.callOne(ctx, req, own, at)
		if err == nil || own != sharedFirst || len(other) == 0 || gateway.AsError(err).Kind != gateway.BrokerUnavailable {
			return reply, err
		}
	}
	return gateway.Reply{Broker: -1}, &gateway.Error{Kind: gateway.BrokerUnavailable, Service: req.Service, Detail: gateway.NoBroker}
}

func (b *Brokers) callOne(ctx context.Context, req gateway.Request, shared bool, at []int) (reply gateway.Reply, err error) {
	req.Brokers = at
	numbers, call := b.plain, b.pool.Call
	if shared {
		numbers, call = b.shared, b.mux.Call
	}
	req.Late = numbered(req.Late, numbers)
	reply, err = call(ctx, req)
	if reply.Broker >= 0 {
		reply.Broker = numbers[reply.Broker]
	}
	return reply, err
}

// numbered is a request's Late with the broker as it is configured, by its number among those of its kind.
func numbered(late func(int64) (gateway.LateWait, bool), numbers []int) func(int64) (gateway.LateWait, bool) {
	if late == nil {
		return nil
	}
	return func(room int64) (gateway.LateWait, bool) {
		wait, ok := late(room)
		done := wait.Done
		wait.Done = func(reply gateway.Reply, err error) {
			reply.Broker = numbers[reply.Broker]
			done(reply, err)
		}
		return wait, ok
	}
}

// CanAdopt is client.Pool's. Brokers of MDPX/1 answer to nobody else.
func (b *Brokers) CanAdopt(route gateway.Route) (can, known bool) {
	if b.pool == nil {
		return false, false
	}
	return b.pool.CanAdopt(route)
}

// Adopt is client.Pool's.
func (b *Brokers) Adopt(ctx context.Context, route gateway.Route, req gateway.Request) (gateway.Reply, error) {
	reply, err := b.pool.Adopt(ctx, route, req)
	if reply.Broker >= 0 {
		reply.Broker = b.plain[reply.Broker]
	}
	return reply, err
}

// split returns where the brokers are that may be asked, nil meaning all, and which kind has
// the one that is up with the fewest calls in flight. If both have one, they take turns.
func (b *Brokers) split(brokers []int) (plain, shared []int, sharedFirst bool) {
	plain, shared = []int{}, []int{} // nil would mean all
	const none = math.MaxInt
	leastPlain, leastShared := none, none
	for i, p := range b.places {
		if brokers != nil && !slices.Contains(brokers, i) {
			continue
		}
		state, _ := b.State(i)
		up := state == gateway.Up
		if p.shared {
			shared = append(shared, p.index)
			if up {
				leastShared = min(leastShared, b.mux.Load(p.index))
			}
		} else {
			plain = append(plain, p.index)
			if up {
				leastPlain = min(leastPlain, b.pool.Load(p.index))
			}
		}
	}
	switch {
	case leastPlain != leastShared:
		return plain, shared, leastShared < leastPlain
	case leastPlain == none:
		return plain, shared, len(plain) == 0
	}
	return plain, shared, b.turn.Add(1)%2 == 0
}

// Lookup asks a broker whether a service has workers; see client.Pool's.
func (b *Brokers) Lookup(ctx context.Context, broker int, service string) (status string, err error) {
	if p := b.places[broker]; !p.shared {
		return b.pool.Lookup(ctx, p.index, service)
	}
	return b.mux.Lookup(ctx, b.places[broker].index, service)
}

// State says whether a broker can be reached, and how often it came back.
func (b *Brokers) State(broker int) (state gateway.EndpointState, epoch uint64) {
	if p := b.places[broker]; !p.shared {
		return b.pool.State(p.index)
	}
	return b.mux.State(b.places[broker].index)
}

// Rekey gives a broker other keys of CURVE; see client.Pool's and mux.Client's.
func (b *Brokers) Rekey(broker int, keys *curve.Client) {
	if p := b.places[broker]; p.shared {
		b.mux.Rekey(p.index, keys)
	} else {
		b.pool.Rekey(p.index, keys)
	}
}

// Repeats reports whether a service was seen to repeat replies lately, where that matters.
func (b *Brokers) Repeats(service string) bool { return b.pool != nil && b.pool.Repeats(service) }

// Table returns what a broker tells of its services of its own accord, nil if it does not.
func (b *Brokers) Table(broker int) *mux.Table {
	if p := b.places[broker]; p.shared {
		return b.mux.Table(p.index)
	}
	return nil
}

// Stats returns a snapshot, with the brokers in their order.
func (b *Brokers) Stats() gateway.PoolStats {
	switch {
	case b.mux == nil:
		return b.pool.Stats()
	case b.pool == nil:
		return b.mux.Stats()
	}
	s, other := b.pool.Stats(), b.mux.Stats()
	s.Busy, s.Max = s.Busy+other.Busy, s.Max+other.Max
	s.Waiting, s.QueueMax = s.Waiting+other.Waiting, s.QueueMax+other.QueueMax
	s.Closed, s.Stray = sum(s.Closed, other.Closed), sum(s.Stray, other.Stray)
	endpoints := make([]gateway.EndpointStats, len(b.places))
	for i, p := range b.places {
		if p.shared {
			endpoints[i] = other.Endpoints[p.index]
		} else {
			endpoints[i] = s.Endpoints[p.index]
		}
	}
	s.Endpoints = endpoints
	return s
}

func sum(a, b map[string]uint64) map[string]uint64 {
	all := maps.Clone(a)
	for reason, n := range b {
		all[reason] += n
	}
	return all
}

// Close closes both; see client.Pool's.
func (b *Brokers) Close(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() {
		if b.mux == nil {
			ended <- nil
			return
		}
		ended <- b.mux.Close(ctx)
	}()
	var err error
	if b.pool != nil {
		err = b.pool.Close(ctx)
	}
	return errors.Join(err, <-ended)
}
