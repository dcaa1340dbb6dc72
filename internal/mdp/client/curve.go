package client

import (
	"context"
	"maps"
	"slices"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/internal/zsock"
)

// refusalOf returns why a handshake came to nothing, if CURVE's keys are the reason.
func refusalOf(event zsock.Event) string {
	switch event {
	case zsock.WatchKeyRefused:
		return gateway.KeyRefused
	case zsock.WatchOtherKey:
		return gateway.OtherKey
	case zsock.WatchWantsCurve:
		return gateway.WantsCurve
	case zsock.WatchNoCurve:
		return gateway.NoCurve
	}
	return ""
}

// Refusals are the handshakes with one broker that came to nothing because of CURVE's keys. They are not safe for
// concurrent use.
type Refusals struct {
	last  string            // why the last handshake did; "" if it did not
	count map[string]uint64 // by reason
}

// NewRefusals returns the counts of a broker at the start. One without keys may want some.
func NewRefusals(curve bool) Refusals {
	if curve {
		return Refusals{count: zeros(gateway.KeyRefused, gateway.OtherKey, gateway.NoCurve)}
	}
	return Refusals{count: zeros(gateway.WantsCurve)}
}

// Note takes what came of a handshake.
func (r *Refusals) Note(event zsock.Event) {
	if r.last = refusalOf(event); r.last != "" {
		r.count[r.last]++
	}
}

// In puts them into what is told of the broker.
func (r *Refusals) In(s gateway.EndpointStats) gateway.EndpointStats {
	s.Refusal, s.Refusals = r.last, maps.Clone(r.count)
	return s
}

// Encrypted reports whether a broker speaks CURVE.
func (c Config) Encrypted() bool {
	return slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return e.Curve != nil })
}

// Rekey gives a broker, by its index, other keys of CURVE; it must have had some. It returns at once. If the broker takes
// them, they hold for new connections, calls in flight end on theirs, and all others are closed. Otherwise, which is logged,
// those of before stay in force until the broker refuses them, and the new ones are tried again when it was away.
func (p *Pool) Rekey(broker int, keys *curve.Client) {
	e := p.endpoints[broker]
	p.mu.Lock()
	defer p.mu.Unlock()
	e.given = keys
	if e.keys.Same(keys) {
		e.given = nil
	} else if e.sentinel != nil {
		e.sentinel.Interrupt()
	}
}

// tryGiven has the sentinel try the keys that were given, unless it just did.
func (e *endpoint) tryGiven(tried *curve.Client) {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	if e.given != tried && e.given != nil {
		e.sentinel.Interrupt()
	}
}

// renew tries the keys that were given while w, the sentinel, is up. It returns the sentinel from now on.
func (e *endpoint) renew(ctx context.Context, w *zsock.Watch, address string) *zsock.Watch {
	p := e.pool
	p.mu.Lock()
	keys := e.given
	p.mu.Unlock()
	if keys != nil {
		options := e.sentinelOptions()
		options.Curve = keys
		next, err := p.zctx.Watch(address, options)
		event := zsock.WatchFailed
		if err == nil {
			stop := context.AfterFunc(ctx, next.Interrupt)
			event, err = next.Next()
			stop()
		}
		if event == zsock.WatchUp {
			e.adopt(keys)
			w, next = next, w
			e.log.Info("the keys for the broker were replaced")
		} else if !zsock.IsInterrupted(err) {
			e.log.Warn("the broker does not take the new keys, those of before stay in force", zap.Stringer("reason", event), zap.Error(err))
		}
		if next != nil {
			_ = next.Close()
		}
	}
	w.Resume()
	e.watchBy(w)
	// Both are looked at after Resume, which would undo an interruption.
	e.tryGiven(keys)
	if ctx.Err() != nil {
		w.Interrupt()
	}
	return w
}

// adoptGiven puts the keys in force that were given, if any: the broker refuses those of before.
func (e *endpoint) adoptGiven() {
	e.pool.mu.Lock()
	keys := e.given
	e.pool.mu.Unlock()
	if keys != nil {
		e.adopt(keys)
	}
}

// adopt puts keys in force for new connections.
func (e *endpoint) adopt(keys *curve.Client) {
	p := e.pool
	p.mu.Lock()
	e.keys = keys
	if e.given == keys {
		e.given = nil
	}
	idle := e.takeIdle(closedKeys)
	p.serve()
	p.mu.Unlock()
	closeAll(idle)
}

// isStale reports whether a connection was opened by keys that are not in force any more. The pool's mutex must be held.
func (c *conn) isStale() bool { return c.keys != c.endpoint.keys }

// inForce returns the keys of new connections.
func (e *endpoint) inForce() *curve.Client {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	return e.keys
}

// watchBy says which sentinel is interrupted from now on: by Rekey, and by the end of the pool.
func (e *endpoint) watchBy(w *zsock.Watch) {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	e.sentinel = w
}

// interrupt ends what the sentinel waits for.
func (e *endpoint) interrupt() {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	if e.sentinel != nil {
		e.sentinel.Interrupt()
	}
}
