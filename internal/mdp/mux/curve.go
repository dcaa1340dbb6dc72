package mux

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
)

// Rekey gives a broker, by its index, other keys of CURVE, as client.Pool's does. If the broker takes them, each
// connection for calls is replaced by one that is opened by them, and closed when the calls in flight on it have ended.
// Those of a next time are tried when all have.
func (c *Client) Rekey(broker int, keys *curve.Client) {
	e := c.endpoints[broker]
	c.mu.Lock()
	if e.given = keys; e.keys.Same(keys) {
		e.given = nil
	}
	wait := e.given != nil && e.hasStale()
	c.announce()
	c.mu.Unlock()
	if wait {
		e.log.Info("the new keys for the broker wait until the calls over connections of the keys before have ended")
	}
}

// renew tries the keys that are given, until ctx ends.
func (e *endpoint) renew(ctx context.Context) {
	for ctx.Err() == nil {
		address, keys, changed := e.toTry()
		if keys == nil {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		e.try(ctx, address, keys)
	}
}

// toTry returns the keys that were given, and the address of the broker that is to take them, unless they were tried
// since it came up; else what tells of a change.
func (e *endpoint) toTry() (address string, keys *curve.Client, changed <-chan struct{}) {
	c := e.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if !e.present || e.given == nil || e.given == e.tried || e.hasStale() {
		return "", nil, c.changed
	}
	e.tried = e.given
	return e.address, e.given, nil
}

// hasStale reports whether calls are in flight, or may be sent, over connections that were not opened by the keys in
// force. The mutex must be held.
func (e *endpoint) hasStale() bool { return e.maySendStale() || len(e.retired) > 0 }

func (e *endpoint) maySendStale() bool {
	return slices.ContainsFunc(e.links, func(l *link) bool { return l != nil && l.keys != e.keys })
}

// endRenewal reports, once after adopt, that no call gets a connection of the keys before. The mutex must be held.
func (e *endpoint) endRenewal() bool {
	ended := e.renewing && !e.maySendStale()
	e.renewing = e.renewing && !ended
	return ended
}

const keysReplaced = "the keys for the broker were replaced"

// try begins another session by these keys, and hands it over to last, or logs why the broker does not take them.
func (e *endpoint) try(ctx context.Context, address string, keys *curve.Client) {
	s, event, err := e.open(ctx, address, keys, new(Table))
	if s != nil {
		if err = s.awaitWord(ctx); err == nil {
			e.handOver(ctx, s)
			return
		}
		s.close()
	}
	if ctx.Err() == nil {
		e.log.Warn("the broker does not take the new keys, those of before stay in force", zap.Stringer("reason", event), zap.Error(err))
	}
}

// awaitWord waits for the broker's first word.
func (s *session) awaitWord(ctx context.Context) error {
	word := time.NewTimer(deafness)
	defer word.Stop()
	select {
	case <-s.greeted:
		return nil
	case err := <-s.lost:
		return err
	case <-word.C:
		return errNoWord
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errNoWord = errors.New("the broker says nothing to who has them")

// handOver gives a session to last, unless the broker is lost meanwhile: the keys are tried again when it is back.
func (e *endpoint) handOver(ctx context.Context, s *session) {
	for ctx.Err() == nil {
		address, changed := e.reachable()
		if address == "" {
			break
		}
		select {
		case e.renewed <- s:
			return
		case <-s.lost:
			s.close()
			return
		case <-changed:
		case <-ctx.Done():
		}
	}
	s.close()
}

// replace puts the keys of the session next in force, unless others were given meanwhile, and returns the session that stays.
func (e *endpoint) replace(s, next *session) *session {
	if !e.adopt(next.keys) {
		next.close()
		return s
	}
	s.close()
	next.mu.Lock()
	defer next.mu.Unlock()
	e.table.replace(next.table)
	next.table = e.table
	return next
}

// adoptGiven puts the keys in force that were given, if any: the broker refuses those of before.
func (e *endpoint) adoptGiven() {
	e.client.mu.Lock()
	keys := e.given
	e.client.mu.Unlock()
	if keys != nil {
		e.adopt(keys)
	}
}

// adopt puts the keys that were given in force for new connections, unless they are not these any more.
func (e *endpoint) adopt(keys *curve.Client) bool {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	if e.given != keys {
		return false
	}
	e.keys, e.given, e.renewing = keys, nil, true
	close(e.rekeyed)
	e.rekeyed = make(chan struct{})
	return true
}

// inForce returns the keys of new connections.
func (e *endpoint) inForce() *curve.Client {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	return e.keys
}
