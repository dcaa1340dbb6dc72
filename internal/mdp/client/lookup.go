package client

import (
	"context"
	"time"

	"mdpgateway/internal/gateway"
)

// lookupTimeout bounds a question about a service, unless the broker is far. Some brokers never answer one: the first
// that waits in vain must not make the others wait one after the other.
const lookupTimeout = 500 * time.Millisecond

// lookupTimeout is that of this endpoint: twice as long as a handshake took, which is more
// than three round trips.
func (e *endpoint) lookupTimeout() time.Duration {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	return max(lookupTimeout, 2*e.handshake)
}

// Lookup asks a broker, by its index, whether a service has workers (RFC 8/MMI).
// The answer is one of the mdp.Status constants and no more than a hint: brokers
// say 200 of names that were ever asked for, and 404 while all workers are busy.
// Questions go one at a time, over a connection of their own: an answer does not
// say which service it is about. The error is an *gateway.Error: Timeout if the
// broker does not answer such questions, Busy if too many were asked before.
func (p *Pool) Lookup(ctx context.Context, broker int, service string) (status string, err error) {
	e := p.endpoints[broker]
	p.mu.Lock()
	err = p.begin()
	p.mu.Unlock()
	if err != nil {
		return "", err
	}
	defer p.calls.Done()
	if err := e.awaitVerdict(ctx); err != nil {
		return "", err
	}
	c, err := e.takeAsker(ctx)
	if err != nil {
		return "", err
	}
	defer func() { e.asker <- c }()
	if status, err = c.ask(ctx, service); err != nil {
		c.close()
		c = nil
	}
	return status, err
}

// takeAsker takes the connection for look-ups, which is opened if it is not there or not
// fit. Who takes it gives it back.
func (e *endpoint) takeAsker(ctx context.Context) (*conn, error) {
	for {
		c, err := e.awaitAsker(ctx)
		if err != nil {
			return nil, err
		}
		if c != nil && c.sock.Check() == nil && c.keys == e.inForce() {
			return c, nil
		}
		if c != nil {
			c.close()
		}
		opened := make(chan error, 1)
		e.pool.opening.Go(func() { // whatever becomes of this caller
			c, err := e.dial()
			if err != nil && c != nil {
				c.close()
				c = nil
			}
			e.asker <- c
			opened <- err
		})
		select {
		case err := <-opened:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, gateway.Ended(ctx, false)
		}
	}
}

// awaitAsker waits for those who ask before, one of whom may have to open the connection. For that they have
// ConnectTimeout, which may be far longer than it takes: it is no bound for those behind a mute broker's.
func (e *endpoint) awaitAsker(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*e.lookupTimeout())
	defer cancel()
	select {
	case c := <-e.asker:
		return c, nil
	case <-ctx.Done():
		return nil, gateway.Ended(ctx, false)
	}
}

// awaitVerdict waits until the broker is up or known to be down.
func (e *endpoint) awaitVerdict(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, e.pool.cfg.FirstVerdict(), unavailable(nil))
	defer cancel()
	for {
		e.pool.mu.Lock()
		state, changed := e.state, e.pool.changed
		e.pool.mu.Unlock()
		switch state {
		case gateway.Up:
			return nil
		case gateway.Down:
			return unavailable(nil)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return gateway.Ended(ctx, false)
		}
	}
}

// ask asks about a service. After an error the connection must be closed.
func (c *conn) ask(ctx context.Context, service string) (string, error) {
	d := c.endpoint.Dialect
	question, err := d.AppendLookup(c.scratch[:0], []byte(service))
	if err != nil {
		return "", &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	asked, cancel := context.WithTimeout(ctx, c.endpoint.lookupTimeout())
	defer cancel()
	stop := context.AfterFunc(asked, c.sock.Interrupt)
	answer, err := c.answer(question)
	quiet := stop()
	switch {
	case err == nil && quiet:
		status, err := d.ParseStatus(answer)
		if err != nil {
			return "", badReply(err)
		}
		c.endpoint.noteAnswer()
		return status, nil
	case ctx.Err() != nil: // the broker had less than its time
		return "", gateway.Ended(ctx, false)
	case asked.Err() != nil:
		c.endpoint.noteMissed()
		return "", &gateway.Error{Kind: gateway.Timeout, Err: err}
	}
	return "", unavailable(err)
}

// noteAnswer counts the answer to a look-up: the broker speaks the dialect.
func (e *endpoint) noteAnswer() {
	e.pool.mu.Lock()
	e.answered = true
	e.pool.mu.Unlock()
}

// noteMissed counts a look-up that was not answered.
func (e *endpoint) noteMissed() {
	e.pool.mu.Lock()
	e.missed++
	e.pool.mu.Unlock()
	e.noteSilence()
}

func (c *conn) answer(question [][]byte) ([][]byte, error) {
	if err := c.sock.Send(question); err != nil {
		return nil, err
	}
	return c.sock.Receive()
}

// State says whether a broker, by its index, can be reached, and how often it was
// connected before: what it was sent in an earlier epoch is no longer its work.
func (p *Pool) State(broker int) (state gateway.EndpointState, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.endpoints[broker]
	return e.state, e.reconnects
}
