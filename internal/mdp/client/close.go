package client

import (
	"context"
	"time"

	"mdpgateway/internal/gateway"
)

// Close refuses new calls, lets those in flight end until ctx does, ends the
// rest with Interrupted, and frees every socket, descriptor and goroutine. Who comes
// second waits for the first, but no longer than until their own ctx ends.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	second := p.closing
	p.closing = true
	p.mu.Unlock()
	if second {
		select {
		case <-p.freed:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer close(p.freed)

	quiet := make(chan struct{})
	go func() { p.calls.Wait(); close(quiet) }()
	select {
	case <-quiet:
	case <-ctx.Done():
		p.interrupt(quiet)
	}
	p.cancel()
	p.running.Wait()
	p.abandonOpening()
	p.opening.Wait()
	p.closeIdle()
	return p.zctx.Close()
}

// interrupt ends calls until there are none: those that wait for a connection at
// once, and those in flight. A call that was just given its connection is met on a later
// round.
func (p *Pool) interrupt(quiet <-chan struct{}) {
	close(p.ended)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		p.mu.Lock()
		for _, x := range p.waiting {
			x.settle(nil, gateway.ShuttingDown())
		}
		p.waiting = nil
		for _, e := range p.endpoints {
			e.abandonAll(gateway.Interrupted)
			e.abandonDialing()
		}
		p.mu.Unlock()
		select {
		case <-quiet:
			return
		case <-tick.C:
		}
	}
}

// abandonOpening gives up the connections that are being opened, and opens no more.
func (p *Pool) abandonOpening() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.alarm.Stop()
	for _, e := range p.endpoints {
		e.abandonDialing()
	}
}

func (p *Pool) closeIdle() {
	for _, e := range p.endpoints {
		p.mu.Lock()
		idle := e.takeIdle(closedShutdown)
		p.mu.Unlock()
		closeAll(idle)
		if c := <-e.asker; c != nil {
			c.close()
		}
	}
}
