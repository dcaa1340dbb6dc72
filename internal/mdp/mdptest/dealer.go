package mdptest

import (
	"sync"
	"testing"
	"time"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp/internal/zsock"
)

// A Dealer is a raw socket: it sends and receives frames as they are, as a
// client, a worker, or something that is neither. It belongs to one goroutine,
// the test's.
type Dealer struct {
	t      testing.TB
	zctx   *zsock.Context
	socket *zsock.Socket
	close  func()
}

// NewDealer connects a Dealer.
func NewDealer(t testing.TB, endpoint string) *Dealer {
	t.Helper()
	return NewCurveDealer(t, endpoint, nil)
}

// NewCurveDealer connects a Dealer to a broker that wants a key.
func NewCurveDealer(t testing.TB, endpoint string, c *curve.Client) *Dealer {
	t.Helper()
	zctx, err := zsock.NewContext(4)
	if err != nil {
		t.Fatal(err)
	}
	d := &Dealer{t: t, zctx: zctx}
	d.close = sync.OnceFunc(d.shutDown)
	t.Cleanup(d.Close)
	if d.socket, err = zctx.Dealer(zsock.DealerOptions{Curve: c}); err != nil {
		t.Fatal(err)
	}
	d.socket.SetDeadline(time.Now().Add(patience))
	if err := d.socket.Connect(endpoint); err != nil {
		t.Fatal(err)
	}
	if err := d.socket.WaitWritable(); err != nil {
		t.Fatalf("connect to %s: %v", endpoint, err)
	}
	return d
}

// Send sends one message.
func (d *Dealer) Send(frames [][]byte) {
	d.t.Helper()
	err := d.socket.Send(frames)
	if err == zsock.ErrAgain {
		d.socket.SetDeadline(time.Now().Add(patience))
		if err = d.socket.WaitWritable(); err == nil {
			err = d.socket.Send(frames)
		}
	}
	if err != nil {
		d.t.Fatalf("send: %v", err)
	}
}

// Receive returns the next message.
func (d *Dealer) Receive() [][]byte {
	d.t.Helper()
	d.socket.SetDeadline(time.Now().Add(patience))
	frames, err := d.socket.Receive()
	if err != nil {
		d.t.Fatalf("receive: %v", err)
	}
	return frames
}

// Quiet waits that long and fails the test if a message comes.
func (d *Dealer) Quiet(wait time.Duration) {
	d.t.Helper()
	d.socket.SetDeadline(time.Now().Add(wait))
	switch frames, err := d.socket.Receive(); {
	case err == nil:
		d.t.Fatalf("received %q, want nothing", frames)
	case !zsock.IsInterrupted(err):
		d.t.Fatalf("receive: %v", err)
	}
}

// Lost waits until the connection is lost and fails the test if a message comes
// before.
func (d *Dealer) Lost() {
	d.t.Helper()
	d.socket.SetDeadline(time.Now().Add(patience))
	if frames, err := d.socket.Receive(); err != zsock.ErrLost {
		d.t.Fatalf("received %q, %v, want the connection lost", frames, err)
	}
}

// Close closes the connection. The test's end does it too.
func (d *Dealer) Close() { d.close() }

func (d *Dealer) shutDown() {
	if d.socket != nil {
		_ = d.socket.Close()
	}
	if err := d.zctx.Close(); err != nil {
		d.t.Errorf("close dealer: %v", err)
	}
}
