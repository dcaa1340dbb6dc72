// Package worker serves services at a Majordomo broker: it registers, sends and
// expects heartbeats, hands requests to a Handler and registers again, on a new
// socket, whenever the broker says so or is lost.
//
// It runs no process and no interpreter of its own, and it does not retry: a
// request whose handler fails is gone for this worker, and the broker is told so
// by a DISCONNECT.
package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// A Handler answers one request. It may call partial, on its own goroutine and
// until it returns, to send parts of the reply ahead; dialects without PARTIAL
// send nothing then. Its context ends when the connection to the broker is lost
// or the Worker closes: whatever it does then is in vain. Its error means that
// there is no reply.
//
// The frames of body are its own.
type Handler func(ctx context.Context, body [][]byte, partial func(frames [][]byte) error) ([][]byte, error)

// Config configures a Worker.
type Config struct {
	// Endpoint is the broker's, such as tcp://127.0.0.1:5555.
	Endpoint string

	// Dialect is mdp/0.1 (the default), mdp/0.2 or loudify.
	Dialect *mdp.Dialect

	// Services are the handlers by service name.
	Services map[string]Handler

	// Concurrency is how many times each service registers: a registration has
	// one socket and works on one request at a time. Default 1.
	Concurrency int

	// Heartbeat is how often the broker is sent one, and expected to send one.
	// Default 2.5s.
	Heartbeat time.Duration

	// Liveness is how many heartbeats the broker may miss. Default 4.
	Liveness int

	// Curve are the keys for a broker with CURVE; nil means one without.
	Curve *curve.Client

	// Log gets what the broker and the handlers did wrong. Nil means none.
	Log *zap.Logger
}

func (c Config) withDefaults() Config {
	c.Dialect = cmp.Or(c.Dialect, mdp.V01)
	if c.Concurrency == 0 {
		c.Concurrency = 1
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 2500 * time.Millisecond
	}
	if c.Liveness == 0 {
		c.Liveness = 4
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Endpoint == "":
		return errors.New("the endpoint is empty")
	case !c.Dialect.HasWorkers():
		return fmt.Errorf("dialect is %s, which has no workers", c.Dialect)
	case len(c.Services) == 0:
		return errors.New("there are no services")
	case c.Concurrency < 1:
		return fmt.Errorf("concurrency is %d, want at least 1", c.Concurrency)
	case c.Heartbeat < time.Millisecond:
		return fmt.Errorf("heartbeat is %s, want at least 1ms", c.Heartbeat)
	case c.Liveness < 1:
		return fmt.Errorf("liveness is %d, want at least 1", c.Liveness)
	}
	for name, handler := range c.Services {
		if err := mdp.CheckService(name); err != nil {
			return err
		}
		if mdp.IsMMI(name) {
			return fmt.Errorf("the service name %q belongs to the broker", name)
		}
		if handler == nil {
			return fmt.Errorf("the service %q has no handler", name)
		}
	}
	return nil
}

// A Worker is a set of registrations at one broker.
type Worker struct {
	// Set once.
	cfg    Config
	zctx   *zsock.Context
	ctx    context.Context // ends when the Worker closes
	cancel context.CancelFunc
	stop   context.Context // ends when the Worker takes no more requests
	quit   context.CancelFunc

	running sync.WaitGroup
	close   func() error
}

// linger is how long a closing worker tries to send its last messages.
const linger = 100 * time.Millisecond

// New starts a Worker. The broker need not be there yet.
func New(cfg Config) (*Worker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	registrations := len(cfg.Services) * cfg.Concurrency
	// A socket that was closed still counts until libzmq's own thread has seen
	// to it, so there must be room for more than those in use.
	zctx, err := zsock.NewContext(2*registrations + 16)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	if cfg.Curve != nil {
		if err := zctx.UseTwoThreads(); err != nil {
			return nil, errors.Join(fmt.Errorf("worker: %w", err), zctx.Close())
		}
	}
	w := &Worker{cfg: cfg, zctx: zctx}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.stop, w.quit = context.WithCancel(w.ctx)
	w.close = sync.OnceValue(w.shutDown)
	for name, handler := range cfg.Services {
		for range cfg.Concurrency {
			r := &registration{worker: w, service: []byte(name), handler: handler, log: cfg.Log.With(zap.String("service", name))}
			w.running.Go(r.run)
		}
	}
	return w, nil
}

// Close ends the handlers' contexts, sends what they still return, takes leave
// of the broker, and waits until every goroutine and socket is gone.
func (w *Worker) Close() error { return w.close() }

// Shutdown takes leave of the broker, lets the handlers that run end until ctx does, sends
// their replies, and closes the Worker. A request that is on its way from the broker
// meanwhile is worked on, too: the broker of this module takes the reply, others drop it.
func (w *Worker) Shutdown(ctx context.Context) error {
	w.quit()
	done := make(chan struct{})
	go func() { w.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	err := w.Close()
	<-done
	return err
}

func (w *Worker) shutDown() error {
	w.cancel()
	w.running.Wait()
	return w.zctx.Close()
}
