package dispatch

import (
	"context"
	"errors"
	"time"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
)

// errSilence is the cause of a stream's end if nothing came for too long.
var errSilence error = &gateway.Error{Kind: gateway.Timeout}

// limit says how long a call may take, and what set that: the caller's wish, else the
// service's timeout, else the default; cut to the maxima.
func (d *Dispatcher) limit(call *gateway.Call, spec *catalogue.Service) (limit time.Duration, by string) {
	limit, by = d.cfg.Timeout, "--timeout"
	if spec != nil && spec.Timeout > 0 {
		limit, by = spec.Timeout, "services."+spec.Name+".timeout"
	}
	if call.Timeout > 0 {
		limit, by = call.Timeout, call.TimeoutBy
	}
	if spec != nil && spec.MaxTimeout > 0 && limit > spec.MaxTimeout {
		limit, by = spec.MaxTimeout, "services."+spec.Name+".max_timeout"
	}
	if limit > d.cfg.MaxTimeout {
		limit, by = d.cfg.MaxTimeout, "--max-timeout"
	}
	return limit, by
}

// most is the largest timeout that a caller may ask for.
func (d *Dispatcher) most(spec *catalogue.Service) time.Duration {
	if spec != nil && spec.MaxTimeout > 0 {
		return min(spec.MaxTimeout, d.cfg.MaxTimeout)
	}
	return d.cfg.MaxTimeout
}

// A clock bounds the time of one call. That of a call whose parts are passed on
// bounds the silence between them, and the whole by the largest timeout.
type clock struct {
	ctx      context.Context // of the call; without deadline, if there is one
	deadline time.Time       // which the request has then
	timed    context.Context // ctx with deadline; nil until waiting
	stop     func()
	start    time.Time
	whole    time.Duration // limit of all of it
	wholeBy  string
	silence  time.Duration // limit between two parts, if streaming
	by       string
	parts    int           // passed on so far; owned by the call's goroutine
	most     time.Duration // the largest limit that a caller may ask for; 0 if it is not a caller who waits
}

func (d *Dispatcher) start(ctx context.Context, call *gateway.Call, spec *catalogue.Service) *clock {
	c := &clock{start: time.Now()}
	if call.Within > 0 { // it counts from the send, and the caller has cut it
		c.whole, c.wholeBy = call.Within, call.TimeoutBy
		c.ctx, c.stop = ctx, func() {}
		return c
	}
	c.most = d.most(spec)
	limit, by := d.limit(call, spec)
	if call.Partial == nil {
		c.whole, c.wholeBy = limit, by
		c.ctx, c.stop = ctx, func() {}
		c.deadline = c.start.Add(limit)
		call.Deadline = c.deadline
		return c
	}
	c.silence, c.by = limit, by
	c.whole, c.wholeBy = d.cfg.MaxTimeout, "--max-timeout"
	ctx, stop := context.WithTimeout(ctx, c.whole)
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(errSilence) })
	c.ctx = ctx
	c.stop = func() { timer.Stop(); cancel(nil); stop() }
	pass := call.Partial
	call.Partial = func(frames [][]byte) error {
		timer.Stop() // while it is passed on, the reader is slow, not the service
		c.parts++
		err := pass(frames)
		timer.Reset(limit)
		return err
	}
	return c
}

// waiting returns the context of a wait before the request is sent, which few
// calls have.
func (c *clock) waiting() context.Context {
	switch {
	case c.deadline.IsZero():
		return c.ctx
	case c.timed == nil:
		c.timed, c.stop = context.WithDeadline(c.ctx, c.deadline)
	}
	return c.timed
}

func (c *clock) end() { c.stop() }

// detail describes the limit that ended the call.
func (c *clock) detail() *gateway.TimeoutDetail {
	t := &gateway.TimeoutDetail{Stage: gateway.StageBroker, Limit: c.whole, Most: c.most, LimitBy: c.wholeBy, Elapsed: time.Since(c.start), LastOK: -1}
	if c.parts > 0 {
		t.Stage = gateway.StageStream
	}
	if errors.Is(context.Cause(c.ctx), errSilence) {
		t.Limit, t.LimitBy = c.silence, c.by
	}
	return t
}
