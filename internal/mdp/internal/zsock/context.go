// Package zsock puts ZeroMQ sockets into Go's network poller, so that a
// goroutine that waits for one holds no thread. It is the only importer of
// pebbe/zmq4. Of Majordomo it knows what a frame counts, and nothing else.
//
// A Socket belongs to one goroutine at a time; handing it over needs a
// happens-before edge. Interrupt and SetDeadline alone may be called by others.
package zsock

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	zmq "github.com/pebbe/zmq4"
)

// Errors of this package. A wait that ended by Interrupt or SetDeadline is
// os.ErrDeadlineExceeded.
var (
	ErrAgain       = errors.New("would block")
	ErrLost        = errors.New("connection lost")
	ErrStray       = errors.New("a message that nobody waits for")
	ErrTooLarge    = errors.New("message too large")
	ErrUnreachable = errors.New("no such peer")
	ErrDescriptors = errors.New("no file descriptor or socket is left")
	ErrTorn        = errors.New("message broke off after a frame")
)

// A Context owns the I/O thread of its sockets. It is safe for concurrent use.
type Context struct {
	zctx     *zmq.Context
	monitors atomic.Uint64 // names the monitors' inproc endpoints
}

// NewContext returns a context for at most that many sockets.
func NewContext(sockets int) (*Context, error) {
	zctx, err := zmq.NewContext()
	if err != nil {
		return nil, fmt.Errorf("zmq context: %w", err)
	}
	if err := errors.Join(batch(zctx), zctx.SetMaxSockets(sockets)); err != nil {
		return nil, errors.Join(fmt.Errorf("zmq context for %d sockets: %w", sockets, err), zctx.Term())
	}
	return &Context{zctx: zctx}, nil
}

// Close frees the context and every descriptor of its sockets. It waits until
// they are closed.
func (c *Context) Close() error { return c.zctx.Term() }

// Version returns libzmq's version, such as 4.3.4.
func Version() string {
	major, minor, patch := zmq.Version()
	return fmt.Sprintf("%d.%d.%d", major, minor, patch)
}

func (c *Context) socket(kind zmq.Type, configure ...func(*zmq.Socket) error) (*Socket, error) {
	soc, err := c.zctx.NewSocket(kind)
	if err != nil {
		return nil, translate(err)
	}
	for _, set := range configure {
		if err := set(soc); err != nil {
			return nil, errors.Join(translate(err), soc.Close())
		}
	}
	wake, err := wakeFile(soc)
	if err != nil {
		return nil, errors.Join(translate(err), soc.Close())
	}
	return newSocket(soc, wake)
}

// translate gives libzmq's errors the names of this package.
func translate(err error) error {
	// pebbe wraps neither of them. errors.As would allocate both targets on every
	// step of a call, most of which end well or with EAGAIN.
	var errno syscall.Errno
	switch e := err.(type) {
	case zmq.Errno:
		errno = syscall.Errno(e)
	case syscall.Errno:
		errno = e
	default:
		return err
	}
	switch errno {
	case syscall.EAGAIN:
		return ErrAgain
	case syscall.EMFILE, syscall.ENFILE:
		return fmt.Errorf("%w: %w", ErrDescriptors, err)
	case syscall.EHOSTUNREACH:
		return ErrUnreachable
	}
	return err
}

// IsInterrupted reports whether a wait ended by Interrupt or SetDeadline.
func IsInterrupted(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
