package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// A Broker is a running broker. Its methods are safe for concurrent use.
type Broker struct {
	// Set once.
	context   *zsock.Context
	endpoints []string
	done      chan struct{} // closed when the broker has ended and err is set
	err       error         // why it ended, if not by Close

	// Owned by run.
	router *zsock.Socket // others may interrupt it
	heap   zsock.Heap    // of what it receives
	guard  *zsock.Guard
	fatal  error     // a send that left the router unusable
	told   uint64    // how many refused connections the log knows of
	tell   time.Time // when it may be told of more

	closing atomic.Bool

	// With CURVE.
	authenticator *zsock.Authenticator       // set once; nil without
	allowed       atomic.Pointer[curve.List] // as Allow was given it last
	strangers     atomic.Uint64              // handshakes that the authenticator refused
	stranger      atomic.Pointer[stranger]   // the last of them
	strangersTold uint64                     // how many the log knows of; owned by run, as is tellKeys
	tellKeys      time.Time                  // when it may be told of more

	mu    sync.Mutex
	state *state // guarded by mu
}

// linger is how long a closing broker tries to send what it has sent to peers
// that are slow to read it.
const linger = 100 * time.Millisecond

// routerQueue is how many messages ZeroMQ holds for a connection, each way,
// however large they are: what a client does not read waits in its outbox, which
// is bounded in bytes. Bursts of PARTIALs are no slower than with its default of
// 1,000.
const routerQueue = 256

// New starts a broker: once it returns, the endpoints are bound.
func New(cfg Config) (*Broker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	context, err := zsock.NewContext(16)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b := &Broker{context: context, done: make(chan struct{})}
	if err := b.bind(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("broker: %w", err), context.Close())
	}
	b.state = newState(cfg, time.Now(), shell{
		send:       b.send,
		newToken:   zsock.RandomRoutingID,
		connection: func() connection { return b.router.Connection() },
		user:       func() []byte { return b.router.User() },
	})
	go b.run()
	return b, nil
}

func (b *Broker) bind(cfg Config) error {
	if err := b.authenticate(cfg.Curve); err != nil {
		return err
	}
	options := zsock.RouterOptions{MaxMessage: cfg.QueueBytes, Queue: routerQueue, Linger: linger, Lend: true}
	if cfg.Curve != nil {
		options.Curve = &cfg.Curve.Secret
	}
	router, err := b.context.Router(options)
	if err != nil {
		return errors.Join(err, b.endAuthenticator())
	}
	guard, err := b.context.Guard(router, cmp.Or(cfg.MaxConnections, zsock.DescriptorLimit()/2))
	if err != nil {
		return errors.Join(err, router.Close(), b.endAuthenticator())
	}
	for _, endpoint := range cfg.Bind {
		actual, err := router.Bind(endpoint)
		if err != nil {
			return errors.Join(err, guard.Close(), router.Close(), b.endAuthenticator())
		}
		b.endpoints = append(b.endpoints, actual)
	}
	b.router, b.guard = router, guard
	return nil
}

// Endpoints returns what the broker is bound to, with real ports, in the order
// of Config.Bind.
func (b *Broker) Endpoints() []string { return b.endpoints }

// Stats returns a snapshot.
func (b *Broker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := b.state.snapshot()
	st.Open, st.Max, st.Refused, st.KeysRefused = b.guard.Open(), b.guard.Max(), b.guard.Refused(), b.strangers.Load()
	return st
}

// Services returns the services that have workers or queued requests now, by name.
func (b *Broker) Services() []gateway.LiveService {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.live()
}

// Service returns one of them; without workers and requests if there is none.
func (b *Broker) Service(name string) gateway.LiveService {
	b.mu.Lock()
	defer b.mu.Unlock()
	if svc := b.state.services[name]; svc != nil {
		return svc.live()
	}
	return gateway.LiveService{Name: name}
}

// Done is closed when the broker has ended, by Close or because its socket
// or its authenticator failed.
func (b *Broker) Done() <-chan struct{} { return b.done }

// Close disconnects the workers, drops what is queued, and waits until every
// goroutine and socket is gone. The error is why the broker had ended before, if
// it had.
func (b *Broker) Close() error {
	b.closing.Store(true)
	b.router.Interrupt()
	<-b.done
	return b.err
}

// run owns the router.
func (b *Broker) run() {
	defer close(b.done)
	defer b.sweep()()
	defer b.wakeWithoutAuthenticator()()
	err := b.serve()
	b.mu.Lock()
	b.state.close(time.Now())
	b.mu.Unlock()
	if err == nil {
		b.farewell()
	}
	b.err = errors.Join(err, b.guard.Close(), b.router.Close(), b.endAuthenticator(), b.context.Close())
}

// sweep gives back the memory of large messages, until the function that it returns is called.
func (b *Broker) sweep() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.heap.Sweep(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// farewell reads on for a moment if there are gateways: the end of a connection with unread messages discards what the
// peer has not read of it, the last refusals among it. What they ask for meanwhile is refused.
func (b *Broker) farewell() {
	until := time.Now().Add(b.state.cfg.farewell)
	for b.fatal == nil {
		next, gateways := b.stopping(time.Now())
		if !gateways || !time.Now().Before(until) {
			return
		}
		if next.After(until) {
			next = until
		}
		b.router.SetDeadline(next)
		frames, err := b.router.Receive()
		switch {
		case err == nil:
			b.receive(frames)
		case !zsock.IsInterrupted(err):
			return
		}
	}
}

// stopping sends gateways what they take now. It says when to look again, and whether there are any.
func (b *Broker) stopping(now time.Time) (next time.Time, gateways bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	if s.hangUpEnded(); s.stalled.len == 0 {
		return now.Add(linger / 10), len(s.muxes) > 0
	}
	if !now.Before(s.retry) {
		s.flush(now)
	}
	return s.retry, len(s.muxes) > 0
}

// batch bounds how many messages are taken before the clock and Close are looked
// at again.
const batch = 1000

// serve moves messages until the broker is closed, or its socket or its authenticator fails.
func (b *Broker) serve() error {
	var wake time.Time
	for {
		if next := b.tick(time.Now()); next != wake {
			wake = next
			b.router.SetDeadline(wake)
		}
		// Close sets the flag before it interrupts: either the deadline above
		// came first and the interruption stands, or the flag is seen here.
		if b.closing.Load() {
			return nil
		}
		if err := b.unguarded(); err != nil {
			return err
		}
		if b.allowed.Load() != b.state.allowed { // which Allow does not change
			continue
		}
		frames, err := b.router.Receive()
		if zsock.IsInterrupted(err) {
			wake = time.Time{} // Allow may have interrupted
			// What has arrived comes before what is due: after a pause of the
			// whole process the workers' heartbeats are here, and none is lost.
			frames, err = b.router.TryReceive()
		}
		for n := 1; err == nil && b.fatal == nil; n++ {
			b.receive(frames)
			if n == batch {
				break
			}
			frames, err = b.router.TryReceive()
		}
		if err := errors.Join(b.fatal, ignoreAgain(err)); err != nil {
			return err
		}
	}
}

func ignoreAgain(err error) error {
	if err == zsock.ErrAgain {
		return nil
	}
	return err
}

func (b *Broker) receive(frames [][]byte) {
	b.heap.Note(mdp.Size(frames))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.receive(time.Now(), frames)
}

// tick does what is due and returns when something is next.
func (b *Broker) tick(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takeList(now)
	b.tellStrangers(now)
	if !now.Before(b.state.next()) {
		b.state.tick(now)
	}
	if refused := b.guard.Refused(); refused > b.told && !now.Before(b.tell) {
		b.state.cfg.Log.Warn("connections beyond max-connections were ended", zap.Uint64("connections", refused-b.told))
		b.told, b.tell = refused, now.Add(reportEvery)
	}
	return b.state.next()
}

// send is the state's way out.
func (b *Broker) send(frames [][]byte) error {
	switch err := b.router.Send(frames); err {
	case nil:
		return nil
	case zsock.ErrUnreachable:
		return errGone
	case zsock.ErrAgain:
		return errSlow
	default:
		b.fatal = err
		return err
	}
}
