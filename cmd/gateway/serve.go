package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// lastWords is how long, after the drain, the answers of interrupted calls may
// take to be written.
const lastWords = 2 * time.Second

// goodbyes is how long callers who come though the gateway drains are answered at most
// before no connection is taken.
const goodbyes = 5 * time.Second

// serve runs the gateway until the process shall stop, and then drains it. A
// SIGHUP that comes while it starts must not end it, so it listens for them
// first.
func serve(p *process, s *settings) error {
	hangups := make(chan os.Signal, 1) // one that waits stands for all
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	logs, err := newLogs(p.stderr, s.LogLevel, s.LogFormat)
	if err != nil {
		return err
	}
	defer logs.close() // also if it panics
	limitMemory(s).tell(logs.main)
	d, err := newDaemon(s, logs)
	if err != nil {
		return err
	}
	d.manager = supervisor(p.resolver.env["NOTIFY_SOCKET"])
	d.config = p
	return d.serve(p.ctx, hangups)
}

// serve serves until ctx ends or a listener fails, and takes everything down. At
// each of hangups it reads the configuration again.
func (d *daemon) serve(ctx context.Context, hangups <-chan os.Signal) error {
	serving, failed := errgroup.WithContext(ctx)
	for _, s := range d.servers {
		for _, l := range s.listeners {
			serving.Go(func() error {
				err := s.http.Serve(l)
				if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) { // by shutdown
					return nil
				}
				return err
			})
		}
	}
	if d.certs != nil {
		serving.Go(func() error {
			d.certs.Watch(failed, d.certsChanged)
			return nil
		})
	}
	serving.Go(func() error {
		d.reloadOn(failed, hangups)
		return nil
	})
	warn(d.log, d.settings.exposures()...)
	d.warnOfShortDrain()
	if d.broker != nil {
		serving.Go(func() error { return d.watchBroker(failed) })
	}
	serving.Go(func() error {
		d.announce(failed)
		return nil
	})
	d.log.Info("serving")
	d.manager.tell(nowReady, d.log)
	<-failed.Done()
	d.drain()
	return errors.Join(serving.Wait(), d.close(context.Background()))
}

// announce logs that calls can be made, once a broker is reached, and how to make the first.
func (d *daemon) announce(ctx context.Context) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !d.takesCalls() {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
	url := d.settings.sockets()[0].url(d.servers[0].listeners[0].Addr().String())
	d.log.Info(readyMessage, zap.String("url", url), zap.String("try", d.firstCall(url)))
}

// takesCalls reports whether a broker was reached and, if there is a demo worker, whether it is registered.
func (d *daemon) takesCalls() bool {
	reached, _, _, _, _ := health{d.pool, d.calls}.Brokers()
	return reached && (d.demo == nil || d.broker.Service(demoService).Workers > 0)
}

// demoService is the service of the demo worker that a first call is made to.
const demoService = "echo"

// firstCall returns a command that shows something, to be pasted.
func (d *daemon) firstCall(url string) string {
	curl := "curl "
	if d.access.Enabled() {
		curl += `-H "Authorization: Bearer $KEY" `
	}
	if d.demo != nil {
		return curl + "-H Content-Type:application/octet-stream -d hello " + url + "/services/" + demoService
	}
	return curl + url + "/services"
}

// watchBroker returns an error if the embedded broker ends before ctx does.
func (d *daemon) watchBroker(ctx context.Context) error {
	select {
	case <-d.broker.Done():
		return errors.New("the embedded broker has ended")
	case <-ctx.Done():
		return nil
	}
}

// drain lets go of the callers: whoever routes them here is told first, then new
// calls are refused while open ones end, and what is open at last is ended.
func (d *daemon) drain() {
	s := d.settings
	d.log.Info("draining", zap.Duration("delay", s.DrainDelay), zap.Duration("drain", s.Drain))
	d.manager.tell(nowStopping, d.log)
	d.api.NotReady()
	<-time.After(s.DrainDelay)
	d.api.Drain()
	d.drainJobs()
	d.letGo(min(s.Drain, goodbyes))
	end := time.Now().Add(s.Drain)
	if d.shutdown(s.Drain) != nil || !d.awaitJobs(end) {
		d.log.Warn("calls are still open after the drain, they are ended")
		d.api.Interrupt()
		if d.shutdown(lastWords) != nil {
			for _, server := range d.servers {
				_ = server.http.Close()
			}
		}
	}
}

// letGo answers callers that they should go elsewhere until none comes any more.
func (d *daemon) letGo(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = d.api.AwaitIdle(ctx) // if they go on calling, or calls are open, shutdown waits for the latter
}

// shutdown closes the API's listeners and waits, no longer than that, for the requests
// that are open. Callers who still send over connections of before are answered. Then it
// closes everything that is idle.
func (d *daemon) shutdown(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d.servers[0].dismiss(ctx) // that of the API; the second time its listeners are closed
	if err := d.api.AwaitIdle(ctx); err != nil {
		return err
	}
	var closing errgroup.Group
	for _, s := range d.servers {
		closing.Go(func() error { return s.http.Shutdown(ctx) })
	}
	return closing.Wait()
}

// close takes down every part that was made, in the opposite order. It waits for
// their goroutines and sockets.
func (d *daemon) close(ctx context.Context) error {
	var errs []error
	for _, s := range d.servers {
		_ = s.close()
		s.listeners[0].Wait()
	}
	errs = append(errs, d.closeJobs(ctx))
	if d.pool != nil {
		errs = append(errs, d.pool.Close(ctx))
	}
	if d.store != nil { // with which another gateway may connect as this one did
		errs = append(errs, d.store.Close())
	}
	if d.tracer != nil {
		errs = append(errs, d.tracer.Close())
	}
	d.tokens.Close()
	if d.demo != nil {
		errs = append(errs, d.demo.Close())
	}
	if d.broker != nil {
		errs = append(errs, d.broker.Close())
	}
	if d.audit != nil {
		errs = append(errs, d.audit.Close())
	}
	d.log.Info("stopped")
	return errors.Join(errs...)
}
