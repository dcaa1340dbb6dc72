package zsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"

	"mdpgateway/internal/curve"
)

// WatchOptions configures a Watch.
type WatchOptions struct {
	Handshake time.Duration // how long connecting and the handshake may take, each
	Interval  time.Duration // between ZMTP heartbeats (RFC 37)
	Timeout   time.Duration // without an answer to them, until the connection is lost
	Curve     *curve.Client // encrypts and says who it is; nil means a broker without CURVE
}

// A Watch is a connection that carries nothing but heartbeats: it only says when
// it is up and when it is lost.
type Watch struct {
	dealer  *zmq.Socket
	monitor *Socket
	curve   bool
}

// watched are the events that Next understands.
const watched = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED |
	zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH

// Watch starts one connection attempt to endpoint.
func (c *Context) Watch(endpoint string, o WatchOptions) (*Watch, error) {
	// The listener is there before there is anything to listen to; Close says why.
	monitor, err := c.socket(zmq.PAIR, noLinger)
	if err != nil {
		return nil, err
	}
	dealer, err := c.zctx.NewSocket(zmq.DEALER)
	if err != nil {
		return nil, errors.Join(translate(err), monitor.Close())
	}
	w := &Watch{dealer: dealer, monitor: monitor, curve: o.Curve != nil}
	if err := w.start(c, endpoint, o); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *Watch) start(c *Context, endpoint string, o WatchOptions) error {
	for _, set := range []func() error{
		func() error { return noLinger(w.dealer) },
		func() error { return noReconnect(w.dealer) },
		func() error { return ipv6(w.dealer) },
		func() error { return w.dealer.SetIdentity(string(RandomRoutingID())) },
		func() error { return w.dealer.SetConnectTimeout(o.Handshake) },
		func() error { return w.dealer.SetHandshakeIvl(o.Handshake) },
		func() error { return w.dealer.SetHeartbeatIvl(o.Interval) },
		func() error { return w.dealer.SetHeartbeatTimeout(o.Timeout) },
		func() error { return curveClient(o.Curve)(w.dealer) },
	} {
		if err := set(); err != nil {
			return translate(err)
		}
	}
	name := fmt.Sprintf("inproc://monitor-%d", c.monitors.Add(1))
	if err := w.dealer.Monitor(name, watched); err != nil {
		return translate(err)
	}
	if err := w.monitor.Connect(name); err != nil {
		return err
	}
	return translate(w.dealer.Connect(endpoint))
}

// An Event is a change of a Watch.
type Event int

// The events. Every Watch ends with WatchFailed or one of those after WatchUp.
const (
	WatchFailed     Event = iota // there was an error, so nothing is known
	WatchUp                      // the handshake is done
	WatchLost                    // the connection broke, or its heartbeats were not answered
	WatchRefused                 // nothing listens, or nothing answered in time
	WatchRejected                // what listens there does not speak ZMTP
	WatchKeyRefused              // the broker does not let this key in
	WatchOtherKey                // the broker's key is not the one that was given
	WatchWantsCurve              // there is no key for the broker, which seems to want CURVE
	WatchNoCurve                 // the broker does not speak CURVE
)

// String says what the event means.
func (e Event) String() string {
	return [...]string{"watch failed", "connected", "connection lost", "connection refused", "handshake failed",
		"the broker refused our key", "the broker's key is another", "the broker seems to want CURVE", "the broker does not speak CURVE"}[e]
}

// IsRefusal reports whether CURVE's keys are why there is no connection.
func (e Event) IsRefusal() bool { return e >= WatchKeyRefused && e <= WatchNoCurve }

// Next waits for the next event, WatchFailed with an error.
func (w *Watch) Next() (Event, error) {
	for {
		frames, err := w.monitor.Receive()
		if err != nil {
			return WatchFailed, err
		}
		if len(frames) == 0 || len(frames[0]) < 6 {
			return WatchFailed, fmt.Errorf("a monitor event of %d frames", len(frames))
		}
		switch zmq.Event(binary.NativeEndian.Uint16(frames[0])) {
		case zmq.EVENT_HANDSHAKE_SUCCEEDED:
			return WatchUp, nil
		case zmq.EVENT_DISCONNECTED:
			return WatchLost, nil
		case zmq.EVENT_CLOSED:
			return WatchRefused, nil
		case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
			return WatchKeyRefused, nil
		case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
			return w.misunderstood(binary.NativeEndian.Uint32(frames[0][2:])), nil
		case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
			return w.hungUp(syscall.Errno(binary.NativeEndian.Uint32(frames[0][2:]))), nil
		}
	}
}

// mechanismMismatch is ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: one side speaks CURVE, the other does not.
const mechanismMismatch = 0x11000002

func (w *Watch) misunderstood(code uint32) Event {
	switch {
	case code != mechanismMismatch:
		return WatchRejected
	case w.curve:
		return WatchNoCurve
	}
	return WatchWantsCurve
}

// hungUp is for a peer that ended the handshake. A server that cannot decrypt the first message of CURVE does so and
// says nothing, and so does one that wants CURVE and is greeted without.
func (w *Watch) hungUp(errno syscall.Errno) Event {
	switch {
	case errno != syscall.EPIPE && errno != syscall.ECONNRESET:
		return WatchRejected
	case w.curve:
		return WatchOtherKey
	}
	return WatchWantsCurve
}

// Interrupt ends this wait and all that follow. Any goroutine may call it.
func (w *Watch) Interrupt() { w.monitor.Interrupt() }

// Resume undoes what Interrupt did: Next waits again.
func (w *Watch) Resume() { w.monitor.SetDeadline(time.Time{}) }

// Close closes the connection. The monitor ends while its listener is there: one
// that outlives it would wait for somebody to take its next event, and with it
// the thread that frees every closed socket of the context.
func (w *Watch) Close() error {
	return errors.Join(w.dealer.Monitor("", 0), w.dealer.Close(), w.monitor.Close())
}
