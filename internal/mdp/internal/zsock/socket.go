package zsock

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"
	"golang.org/x/sys/unix"
)

// A Socket is a ZeroMQ socket whose waits go through Go's poller.
//
// ZMQ_FD is edge-triggered and becomes readable for any change, also when the
// socket can be written. The order below loses no wake-up: the poller is armed
// first (RawConn.Read does that before it calls the step), then the step asks
// ZMQ_EVENTS, which alone always processes the socket's commands, takes what is
// there, and only if nothing is does the goroutine wait. What comes after the look
// wakes it.
type Socket struct {
	// Set once.
	soc    *zmq.Socket
	wake   *os.File // a duplicate of ZMQ_FD: closing it must not close libzmq's
	raw    syscall.RawConn
	detect bool  // a socket that cannot be written any more has lost its connection
	limit  int64 // bytes of one received message; 0 means no limit

	onSendReceive, onReceive, onWrite func(uintptr) bool // the steps; set once

	// Owned by the goroutine that uses the socket.
	messages messages
	request  [][]byte // what SendReceive is yet to send
	sent     func()   // its argument
	message  [][]byte // result of the last step
	err      error
}

func newSocket(soc *zmq.Socket, wake *os.File) (*Socket, error) {
	raw, err := wake.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, wake.Close(), soc.Close())
	}
	messages, err := newMessages(soc)
	if err != nil {
		return nil, errors.Join(err, wake.Close(), soc.Close())
	}
	s := &Socket{soc: soc, wake: wake, raw: raw, messages: messages}
	s.onSendReceive = s.stepSendReceive
	s.onReceive = s.stepReceive
	s.onWrite = s.stepWrite
	return s, nil
}

// wakeFile returns a duplicate of the socket's ZMQ_FD that is in Go's poller.
func wakeFile(soc *zmq.Socket) (*os.File, error) {
	fd, err := soc.GetFd()
	if err != nil {
		return nil, err
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	wake := os.NewFile(uintptr(dup), "zmq")
	if err := wake.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("ZMQ_FD is not pollable: %w", err), wake.Close())
	}
	return wake, nil
}

// Connect starts a connection; it does not wait for it.
func (s *Socket) Connect(endpoint string) error { return translate(s.soc.Connect(endpoint)) }

// Bind listens on endpoint, where port * means any, and returns the endpoint
// with its real port.
func (s *Socket) Bind(endpoint string) (string, error) {
	if strings.Contains(endpoint, "[") {
		if err := ipv6(s.soc); err != nil {
			return "", translate(err)
		}
	}
	if err := s.soc.Bind(endpoint); err != nil {
		return "", fmt.Errorf("bind %s: %w", endpoint, translate(err))
	}
	actual, err := s.soc.GetLastEndpoint()
	return actual, translate(err)
}

// Send sends one message without waiting: ErrAgain if it cannot go now,
// ErrUnreachable if a ROUTER knows no such peer. After ErrTorn a part of it went
// and the socket can only be closed. The frames are copied.
func (s *Socket) Send(frames [][]byte) error { return s.messages.send(frames, false) }

// TryReceive returns a whole message, or ErrAgain if there is none. ErrTooLarge
// and ErrTorn leave the rest of a message behind: the socket can only be closed.
func (s *Socket) TryReceive() ([][]byte, error) { return s.messages.receive(s.limit) }

// SendReceive sends a message on a Dealer's socket that rests between two calls, calls
// sent, and waits for a message. Beside the errors of Send and Receive it returns,
// with nothing sent, ErrStray if a message waits in the socket already.
//
// After the request was sent it looks once more, as every wait must: to send takes what
// libzmq's thread has told the socket, too.
func (s *Socket) SendReceive(request [][]byte, sent func()) ([][]byte, error) {
	s.request, s.sent = request, sent
	message, err := s.wait(s.onSendReceive)
	s.request = nil // if the deadline had passed it is still there
	return message, err
}

// Receive waits for a whole message. Beside TryReceive's errors it returns
// ErrLost, on sockets that detect it, and os.ErrDeadlineExceeded.
func (s *Socket) Receive() ([][]byte, error) { return s.wait(s.onReceive) }

func (s *Socket) wait(step func(uintptr) bool) ([][]byte, error) {
	s.message, s.err = nil, nil
	if err := s.raw.Read(step); err != nil {
		return nil, err
	}
	message := s.message
	s.message = nil
	return message, s.err
}

// stepSendReceive reports whether SendReceive is done.
func (s *Socket) stepSendReceive(fd uintptr) bool {
	if s.request == nil {
		return s.stepReceive(fd)
	}
	if s.err = s.messages.send(s.request, true); s.err != nil {
		return true
	}
	s.request = nil
	s.sent()
	return s.stepReceive(fd)
}

// stepReceive reports whether Receive is done.
func (s *Socket) stepReceive(uintptr) bool {
	var lost bool
	if s.message, lost, s.err = s.messages.look(s.limit); s.err == ErrAgain && lost && s.detect {
		s.err = ErrLost
	}
	return s.err != ErrAgain
}

// WaitWritable waits until a message can be sent: on a fresh DEALER, until its
// handshake is done.
func (s *Socket) WaitWritable() error {
	s.err = nil
	if err := s.raw.Read(s.onWrite); err != nil {
		return err
	}
	return s.err
}

// stepWrite reports whether WaitWritable is done.
func (s *Socket) stepWrite(uintptr) bool {
	_, out, err := s.messages.events()
	s.err = err
	return out || err != nil
}

// Check says whether a socket that rests between two calls is fit for the next:
// ErrStray if a message waits in it, ErrLost if its connection is gone.
func (s *Socket) Check() error {
	in, out, err := s.messages.events()
	switch {
	case err != nil:
		return err
	case in:
		return ErrStray
	case !out:
		return ErrLost
	}
	return nil
}

// SetDeadline sets when waits end with os.ErrDeadlineExceeded; the zero time
// means never. Any goroutine may call it.
func (s *Socket) SetDeadline(t time.Time) { _ = s.wake.SetReadDeadline(t) }

// Interrupt ends this wait and all that follow, until SetDeadline. Any goroutine
// may call it, also after Close.
func (s *Socket) Interrupt() { s.SetDeadline(time.Unix(1, 0)) }

// Close drops what was not sent and closes the socket. libzmq frees its
// descriptors a little later, at the latest when the context is closed.
func (s *Socket) Close() error {
	s.messages.free()
	return errors.Join(s.wake.Close(), s.soc.Close())
}
