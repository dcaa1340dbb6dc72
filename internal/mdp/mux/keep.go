package mux

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/internal/zsock"
	"mdpgateway/internal/mdp/mdpx"
)

// keep keeps one of the connections for calls until ctx ends.
func (e *endpoint) keep(ctx context.Context, slot int) {
	for ctx.Err() == nil {
		address, changed := e.reachable()
		if address == "" {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		begun := time.Now()
		l, err := e.dial(ctx, address, nil)
		switch {
		case err == nil:
			err = e.carry(ctx, slot, l)
		case ctx.Err() == nil:
			e.unopened(err)
		}
		if err != nil && ctx.Err() == nil {
			select { // one that breaks at once is not opened again at once
			case <-ctx.Done():
			case <-time.After(time.Until(begun.Add(minBackoff))):
			}
		}
	}
}

// reachable returns the address of a broker that is there; else what tells of a change.
func (e *endpoint) reachable() (address string, changed <-chan struct{}) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	if e.present {
		return e.address, nil
	}
	return "", e.client.changed
}

// carry lets calls use a connection until it is lost, and ends them.
func (e *endpoint) carry(ctx context.Context, slot int, l *link) error {
	defer context.AfterFunc(ctx, l.socket.Interrupt)()
	e.place(slot, l)
	err := ctx.Err()
	if err == nil {
		err = l.socket.Run()
	}
	reason := closedLost
	if ctx.Err() != nil {
		reason = closedShutdown
	}
	e.withdraw(slot, reason)
	l.end()
	return errors.Join(err, l.socket.Close())
}

// place gives calls a connection.
func (e *endpoint) place(slot int, l *link) {
	c := e.client
	c.mu.Lock()
	e.links[slot] = l
	again := e.present && e.state == gateway.Down
	if e.faults = (client.Outage{}); again {
		e.state = gateway.Up
	}
	c.announce()
	c.mu.Unlock()
	if again {
		e.log.Info("connections to the broker can be opened again")
	}
}

// withdraw takes a connection from calls, for a reason.
func (e *endpoint) withdraw(slot int, reason string) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	e.links[slot] = nil
	e.client.closed[reason]++
	e.client.announce()
}

// unopened is for a connection that could not be opened though the broker is there. Without any, calls go elsewhere.
func (e *endpoint) unopened(cause error) {
	c := e.client
	c.mu.Lock()
	if !e.present {
		c.mu.Unlock()
		return
	}
	if !slices.ContainsFunc(e.links, func(l *link) bool { return l != nil }) {
		e.state = gateway.Down
		c.announce()
	}
	tell, attempts, lasts := e.faults.Note(time.Now())
	c.mu.Unlock()
	if tell {
		e.log.Warn("no connection for calls could be opened", zap.Int("attempts", attempts), zap.Duration("took", lasts), zap.Error(cause))
	}
}

// dial opens a connection. services, if set, is told what the broker tells of its services.
func (e *endpoint) dial(ctx context.Context, address string, services func([]mdpx.Service)) (*link, error) {
	l := &link{endpoint: e, services: services, calls: map[mdpx.ID]*call{}}
	var err error
	if l.socket, err = e.client.zctx.Share(zsock.DealerOptions{MaxMessage: e.client.cfg.MaxReply + replyHeadroom, Curve: e.Curve}, l.take); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, l.socket.Interrupt)
	err = l.socket.Connect(address, time.Now().Add(e.client.cfg.ConnectTimeout))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, l.socket.Close())
	}
	return l, nil
}

// replyHeadroom is for what a message has beside a reply's body.
const replyHeadroom = 64 << 10
