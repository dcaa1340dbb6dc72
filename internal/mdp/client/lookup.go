package client

import (
	"context"
	"time"

	"mdpgateway/internal/gateway"
)

// lookupTimeout bounds a question about a service and, apart from it, its wait
// for those before it. Some brokers never answer one: the first that waits in
// vain must not make the others wait one after the other.
const lookupTimeout = 500 * time.Millisecond

// Lookup asks a broker, by its index, whether a service has workers (RFC 8/MMI).
// The answer is one of the mdp.Status constants and no more than a hint: brokers
// say 200 of names that were ever asked for, and 404 while all workers are busy.
// Questions go one at a time, over a connection of their own: an answer does not
// say which service it is about. The error is an *gateway.Error: Timeout if the
// broker does not answer such questions, Busy if too many were asked before.
func (p *Pool) Lookup(ctx context.Context, broker int, service string) (status string, err error) {
	if err := p.begin(); err != nil {
		return "", err
	}
	defer p.calls.Done()
	if err := p.awaitVerdict(&exchange{ctx: ctx, req: gateway.Request{Brokers: []int{broker}}}); err != nil {
		return "", err
	}
	waiting, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	e := p.endpoints[broker]
	var c *conn
	select {
	case c = <-e.asker:
	case <-waiting.Done():
		return "", gateway.Ended(waiting, false)
	}
	defer func() { e.asker <- c }()
	if c != nil && c.sock.Check() != nil {
		c.close()
		c = nil
	}
	if c == nil {
		if c, err = e.open(waiting); err != nil {
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
		return "", &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	asked, cancel := context.WithTimeout(ctx, lookupTimeout)
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
		return status, nil
	case ctx.Err() != nil: // the broker had less than its time
		return "", gateway.Ended(ctx, false)
	case asked.Err() != nil:
		return "", &gateway.Error{Kind: gateway.Timeout, Err: err}
	}
	return "", unavailable(err)
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
