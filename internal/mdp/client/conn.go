package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// A conn is one connection to a broker, which carries one call at a time. It
// belongs to the call that leased it, and to the pool while it is idle.
type conn struct {
	// Set once.
	endpoint *endpoint
	sock     *zsock.Socket
	id       string        // the socket's routing id
	onSent   func()        // noteSent
	keys     *curve.Client // of CURVE, by which it was opened

	// Owned by whoever owns the conn.
	current *call     // nil between two calls
	scratch [][]byte  // frames of a request, reused
	service []byte    // name in the last request, reused
	before  []byte    // name in the one before that, reused
	opened  time.Time // when it came about
	used    time.Time // when its last call ended; zero if it had none
	next    *conn     // in the endpoint's list of idle ones
	asker   *call     // for which it was opened; nil once a call had it

	// abandoned says why others interrupted the call: its caller left, the endpoint
	// was lost, or the pool was closed.
	abandoned atomic.Pointer[gateway.Kind]
}

// close closes the socket. What it may say is of no use to anyone.
func (c *conn) close() { _ = c.sock.Close() }

// abandon ends the call on c with an error of that kind. Any goroutine may call
// it.
func (c *conn) abandon(kind gateway.Kind) {
	if c.abandoned.CompareAndSwap(nil, &kind) {
		c.sock.Interrupt()
	}
}

// givenUp says why others interrupted the call on c, and why c is closed for it.
// Both are empty if none did.
func (c *conn) givenUp() (kind gateway.Kind, reason string) {
	given := c.abandoned.Load()
	switch {
	case given == nil:
		return "", ""
	case *given == gateway.Canceled, *given == gateway.Timeout:
		return *given, string(*given)
	}
	return *given, closedLost
}

// A call is one request on its way: it waits for a connection, and is then carried
// by it.
type call struct {
	ctx   context.Context // the caller's
	req   gateway.Request
	reply gateway.Reply
	start time.Time

	maxReply int64 // bytes of the reply

	counted bool      // the pool's Close waits for it
	sent    time.Time // zero until the request is sent
	heard   bool      // a message of the reply came
	strays  int       // replies of other services came before it
	size    int64     // of what was received
	room    int64     // that it holds of req.Room
	reason  string    // why the connection can't be used again; empty if it can
	alone   bool      // the connection carries no other call
	overdue bool      // its time-out was counted: someone waits on

	// Guarded by Pool.mu while the call waits for a connection.
	ready   chan struct{} // closed when it is settled; nil if nobody waits for that
	settled bool
	conn    *conn
	err     error       // of the last broker that took no connection; if settled, the call's
	failed  []*endpoint // those brokers
	dial    *dial       // a connection that is being opened for it
}

func newCall(ctx context.Context, req *gateway.Request) *call {
	return &call{ctx: ctx, req: *req, reply: gateway.Reply{Broker: -1}, start: time.Now()}
}

// wait is for when the call begins to wait for a connection.
func (x *call) wait() { x.ready, x.settled, x.conn, x.err, x.failed = nil, false, nil, nil, nil }

func (x *call) late() bool {
	return !x.req.Deadline.IsZero() && !time.Now().Before(x.req.Deadline)
}

// roundTrip sends the request and waits for its reply. Afterwards x.reason says
// whether the connection may carry another call.
func (c *conn) roundTrip(x *call) error { return c.during(x, c.converse) }

// during has a connection carry a call for as long as talk takes.
func (c *conn) during(x *call, talk func(*call) error) error {
	c.sock.SetDeadline(x.req.Deadline)
	if c.abandoned.Load() != nil { // the interrupt may have come before the deadline
		c.sock.Interrupt()
	}
	stop := context.AfterFunc(x.ctx, func() { c.abandon(gateway.Canceled) })
	c.current = x
	err := talk(x)
	c.current, x.reason = nil, ""
	quiet := stop()
	switch {
	case err != nil:
		x.reason, err = c.explain(x, err)
	case !quiet: // the interrupt may be yet to come: it must not meet the next call
		x.reason = string(gateway.Canceled)
	case x.strays > 0:
		x.reason = closedStray
	case x.alone:
		x.reason = closedFresh
	}
	return err
}

func (c *conn) converse(x *call) error {
	c.before, c.service = c.service, append(c.before[:0], x.req.Service...)
	message, err := c.endpoint.Dialect.AppendRequest(c.scratch[:0], c.service, x.req.Frames)
	if err != nil {
		return &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	c.scratch = message
	frames, err := c.sock.SendReceive(message, c.onSent)
	clear(message) // the body must not live as long as the connection
	if err == zsock.ErrStray {
		c.accuse()
	}
	if err != nil {
		return err
	}
	if final, err := c.accept(x, frames); final || err != nil {
		return err
	}
	return c.listen(x)
}

// listen waits for what is still to come of the reply.
func (c *conn) listen(x *call) error {
	for {
		frames, err := c.sock.Receive()
		if err != nil {
			return err
		}
		if final, err := c.accept(x, frames); final || err != nil {
			return err
		}
	}
}

// accept takes one message as the reply or, unless it is final, a part of it.
func (c *conn) accept(x *call, frames [][]byte) (final bool, err error) {
	c.trace(false, frames)
	body, final, err := c.endpoint.Dialect.ParseReply(x.req.Service, frames)
	if err != nil {
		return false, c.unfit(x, frames, err)
	}
	x.heard = true
	size := mdp.Size(body)
	if !final && x.req.Partial == nil {
		size += mdp.FrameOverhead
	}
	if err := x.fits(size); err != nil {
		return false, err
	}
	if err := c.endpoint.pool.received(x, final); err != nil {
		return false, err
	}
	if final {
		x.reply.Frames = body
		return true, nil
	}
	return false, x.partial(body)
}

// mostStrays is how many replies of other services a call passes over.
const mostStrays = 16

// unfit is for a message that is no reply to the request. One of another service, before
// anything of ours came, is a stray: a late reply that a call before had. The call goes on,
// and the connection is closed after it.
func (c *conn) unfit(x *call, frames [][]byte, err error) error {
	if x.strays == 0 {
		c.endpoint.logBadReply(x.req.Service, frames, err)
	}
	told := badReply(err)
	if told.Reason == mdp.ReasonAsked {
		c.endpoint.repeated(serviceOf(err))
	}
	if told.Reason != mdp.ReasonAsked || x.heard || x.strays == mostStrays {
		return told
	}
	x.strays++
	return nil
}

// noteSent is for the moment at which the request has been sent.
func (c *conn) noteSent() {
	c.trace(true, c.scratch)
	c.current.sent = time.Now()
}

func (c *conn) trace(out bool, frames [][]byte) {
	if show := c.endpoint.pool.cfg.Trace; show != nil {
		show(out, frames)
	}
}

// partial passes a PARTIAL on, or keeps it.
func (x *call) partial(body [][]byte) error {
	if x.req.Partial != nil {
		var told *gateway.Error
		err := x.req.Partial(body)
		if err != nil && !errors.As(err, &told) {
			err = &gateway.Error{Kind: gateway.Canceled, Sent: true, Err: err}
		}
		return err
	}
	x.reply.Partials = append(x.reply.Partials, body)
	return nil
}

// fits checks the size of one message or, if the parts of a reply are kept, of
// all so far.
func (x *call) fits(size int64) error {
	if x.req.Partial != nil {
		x.size = 0
	}
	if x.size += size; x.size > x.maxReply {
		return zsock.ErrTooLarge
	}
	return nil
}

// explain turns what ended a round trip into the caller's error, and says why the
// connection is closed.
func (c *conn) explain(x *call, err error) (reason string, told error) {
	sent := !x.sent.IsZero()
	var e *gateway.Error
	switch {
	case errors.As(err, &e): // whatever it wraps
		if e.Detail == "" {
			e.Detail = details[e.Kind]
		}
		return string(e.Kind), e
	case zsock.IsInterrupted(err):
		kind, reason := c.givenUp()
		if reason == closedLost {
			return reason, &gateway.Error{Kind: kind, Detail: details[kind]}
		}
		e = gateway.Overdue(sent)
		if x.ctx.Err() != nil {
			e = gateway.Ended(x.ctx, sent)
		}
		return string(e.Kind), e
	case errors.Is(err, zsock.ErrTooLarge):
		return closedTooLarge, &gateway.Error{Kind: gateway.ReplyTooLarge, Detail: details[gateway.ReplyTooLarge], Err: err}
	case errors.Is(err, zsock.ErrStray):
		return closedStray, unavailable(err)
	case !sent && (errors.Is(err, zsock.ErrLost) || errors.Is(err, zsock.ErrAgain)):
		return closedLost, unavailable(err)
	default:
		return closedLost, &gateway.Error{Kind: gateway.BrokerLost, Detail: details[gateway.BrokerLost], Err: err}
	}
}

// details are what callers are told of the errors that begin here.
var details = map[gateway.Kind]string{
	gateway.BadReply:          "the broker sent something that is no reply to this request",
	gateway.ReplyTooLarge:     "the reply is larger than the gateway takes",
	gateway.BrokerLost:        "the connection to the broker broke while the call was in flight",
	gateway.Interrupted:       "the gateway shut down while the call was in flight",
	gateway.BrokerUnavailable: gateway.NoBroker,
}

// badReply is the error of a call that was answered by no message of the protocol.
func badReply(cause error) *gateway.Error {
	e := &gateway.Error{Kind: gateway.BadReply, Detail: details[gateway.BadReply], Err: cause}
	if m := (*mdp.MessageError)(nil); errors.As(cause, &m) {
		e.Reason, e.Err = m.Reason, m.Err
	}
	return e
}

func unavailable(cause error) error {
	return &gateway.Error{Kind: gateway.BrokerUnavailable, Detail: details[gateway.BrokerUnavailable], Err: cause}
}

func noDescriptors(cause error) error {
	return &gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonDescriptors, Detail: "the gateway can open no more connections", Err: cause}
}
