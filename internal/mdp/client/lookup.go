package client

import (
	"context"
	"time"

	"mdpgateway/internal/mdp"
)

// lookupTimeout bounds the broker's answer to a question about a service. Some
// brokers never answer one.
const lookupTimeout = 500 * time.Millisecond

// Lookup asks a broker, by its index, whether a service has workers (RFC 8/MMI).
// The answer is one of the mdp.Status constants and no more than a hint: brokers
// say 200 of names that were ever asked for, and 404 while all workers are busy.
// Questions go one at a time, over a connection of their own: an answer does not
// say which service it is about. The error is an *mdp.Error: Timeout if the
// broker does not answer such questions.
func (p *Pool) Lookup(ctx context.Context, broker int, service string) (status string, err error) {
	if err := p.begin(); err != nil {
		return "", err
	}
	defer p.calls.Done()
	e := p.endpoints[broker]
	var c *conn
	select {
	case c = <-e.asker:
	case <-ctx.Done():
		return "", ended(ctx, false)
	}
	defer func() { e.asker <- c }()
	if c != nil && c.sock.Check() != nil {
		c.close()
		c = nil
	}
	if c == nil {
		if c, err = e.open(ctx); err != nil {
			return "", err
		}
	}
	if status, err = c.ask(ctx, service); err != nil {
		c.close()
		c = nil
	}
	return status, err
}

// ask asks about a service. After an error the connection must be closed.
func (c *conn) ask(ctx context.Context, service string) (string, error) {
	d := c.endpoint.Dialect
	question, err := d.AppendLookup(c.scratch[:0], []byte(service))
	if err != nil {
		return "", &mdp.Error{Kind: mdp.BadRequest, Detail: err.Error()}
	}
	c.sock.SetDeadline(time.Now().Add(lookupTimeout))
	stop := context.AfterFunc(ctx, c.sock.Interrupt)
	defer stop()
	if err := c.sock.Send(question); err != nil {
		return "", unavailable(err)
	}
	answer, err := c.sock.Receive()
	if ctx.Err() != nil {
		return "", ended(ctx, true)
	}
	if err != nil {
		return "", &mdp.Error{Kind: mdp.Timeout, Err: err}
	}
	return d.ParseStatus(answer)
}

// State says whether a broker, by its index, can be reached.
func (p *Pool) State(broker int) mdp.EndpointState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endpoints[broker].state
}

// Brokers returns how many there are; their indexes begin at 0.
func (p *Pool) Brokers() int { return len(p.endpoints) }
