package mux

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/internal/zsock"
	"mdpgateway/internal/mdp/mdpx"
	"mdpgateway/internal/zmtp"
)

// keep keeps one of the connections for calls until ctx ends. When the broker's keys are replaced, it opens another one
// before calls lose the one that they have.
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
		keys, rekeyed := e.current()
		l, err := e.dial(ctx, address, keys, nil)
		if err == nil {
			e.place(slot, l)
			e.client.running.Go(func() { e.carry(ctx, slot, l) })
			select {
			case <-rekeyed:
				continue
			case <-l.gone:
			}
		} else if ctx.Err() == nil {
			e.unopened(err)
		}
		select { // one that breaks at once is not opened again at once
		case <-ctx.Done():
		case <-time.After(time.Until(begun.Add(minBackoff))):
		}
	}
}

// reachable returns the address of a broker that is there, and what tells of a change.
func (e *endpoint) reachable() (address string, changed <-chan struct{}) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	if e.present {
		address = e.address
	}
	return address, e.client.changed
}

// current returns the keys of new connections, and what is closed when others are in force.
func (e *endpoint) current() (keys *curve.Client, rekeyed <-chan struct{}) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	return e.keys, e.rekeyed
}

// carry lets calls use a connection until it is lost, or retired and without calls, and ends those it has.
func (e *endpoint) carry(ctx context.Context, slot int, l *link) {
	defer close(l.gone)
	defer context.AfterFunc(ctx, l.socket.Interrupt)()
	if ctx.Err() == nil {
		_ = l.socket.Run() // why it was lost, the session says
	}
	e.withdraw(ctx, slot, l)
	l.end()
	_ = l.socket.Close()
}

// place gives calls a connection. That of before ends when it has no calls any more.
func (e *endpoint) place(slot int, l *link) {
	c := e.client
	c.mu.Lock()
	if old := e.links[slot]; old != nil {
		e.retired = append(e.retired, old)
		old.retired = true
		old.endIfIdle()
	}
	e.links[slot] = l
	again := e.present && e.state == gateway.Down
	if e.faults = (client.Outage{}); again {
		e.state = gateway.Up
	}
	replaced := e.endRenewal()
	c.announce()
	c.mu.Unlock()
	if again {
		e.log.Info("connections to the broker can be opened again")
	}
	if replaced {
		e.log.Info(keysReplaced)
	}
}

// withdraw takes a connection from calls.
func (e *endpoint) withdraw(ctx context.Context, slot int, l *link) {
	c := e.client
	c.mu.Lock()
	reason := closedLost
	switch {
	case ctx.Err() != nil:
		reason = closedShutdown
	case l.retired:
		reason = closedKeys
	}
	if e.links[slot] == l {
		e.links[slot] = nil
	}
	e.retired = slices.DeleteFunc(e.retired, func(old *link) bool { return old == l })
	replaced := e.endRenewal()
	c.closed[reason]++
	c.announce()
	c.mu.Unlock()
	if replaced {
		e.log.Info(keysReplaced)
	}
}

// unopened is for a connection that could not be opened though the broker is there. Without any, calls go elsewhere.
func (e *endpoint) unopened(cause error) {
	c := e.client
	c.mu.Lock()
	if !e.present {
		c.mu.Unlock()
		return
	}
	if !e.hasLink() {
		e.state = gateway.Down
		c.announce()
	}
	tell, attempts, lasts := e.faults.Note(time.Now())
	c.mu.Unlock()
	if tell {
		e.log.Warn("no connection for calls could be opened", zap.Int("attempts", attempts), zap.Duration("took", lasts), zap.Error(cause))
	}
}

// dial opens a connection by these keys. services, if set, is told what the broker tells of its services.
func (e *endpoint) dial(ctx context.Context, address string, keys *curve.Client, services func([]mdpx.Service)) (*link, error) {
	l := &link{endpoint: e, keys: keys, services: services, gone: make(chan struct{}), calls: map[mdpx.ID]*call{}}
	limit := e.client.cfg.MaxReply
	if services != nil {
		limit = maxWord
	}
	limit += replyHeadroom
	var err error
	if host, found := strings.CutPrefix(address, "tcp://"); found && keys == nil {
		l.socket, err = e.connect(ctx, host, limit, l.take)
	} else {
		l.socket, err = e.share(ctx, address, keys, limit, l.take)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// connect opens a connection without libzmq.
func (e *endpoint) connect(ctx context.Context, host string, limit int64, take func([][]byte, bool)) (socket, error) {
	ctx, cancel := context.WithTimeout(ctx, e.client.cfg.ConnectTimeout)
	defer cancel()
	return zmtp.Dial(ctx, host, zsock.RandomRoutingID(), limit, take)
}

// share opens a connection of libzmq's.
func (e *endpoint) share(ctx context.Context, address string, keys *curve.Client, limit int64, take func([][]byte, bool)) (socket, error) {
	s, err := e.client.zctx.Share(zsock.DealerOptions{MaxMessage: limit, Curve: keys}, take)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.Interrupt)
	err = s.Connect(address, time.Now().Add(e.client.cfg.ConnectTimeout))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

const (
	replyHeadroom = 64 << 10 // for what a message has beside a reply's body
	maxWord       = 64 << 20 // bytes of what a broker says of its services: those of 200,000 with the longest names
)
