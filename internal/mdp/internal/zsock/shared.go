package zsock

import (
	"cmp"
	"errors"
	"sync"
	"time"
)

// A Shared is a DEALER that carries many messages at once. Those who send and the one who
// receives take turns under one lock. Whoever has it takes all messages that have come before
// it lets go: what comes after that look wakes Run. All methods may be called at once.
type Shared struct {
	// Set once.
	take func(frames [][]byte, whole bool)

	mu     sync.Mutex
	socket *Socket // guarded by mu, but for its Interrupt
	lost   bool    // guarded by mu: it was closed, or its connection is gone
}

// Share returns a Shared for one connection, which never reconnects. take is given each
// message, while others wait: it must not block, nor call the Shared. Of a message over
// o.MaxMessage it gets the first frames, and whole is false; the connection stays.
func (c *Context) Share(o DealerOptions, take func(frames [][]byte, whole bool)) (*Shared, error) {
	limit := o.MaxMessage
	o.MaxMessage = 0 // with which libzmq would drop the connection, and all calls with it
	s, err := c.dealer(o, unbounded)
	if err != nil {
		return nil, err
	}
	s.limit, s.messages.skips = limit, true
	return &Shared{take: take, socket: s}, nil
}

// Connect connects, and waits for the handshake until the deadline.
func (s *Shared) Connect(endpoint string, deadline time.Time) error {
	s.socket.SetDeadline(deadline)
	if err := s.socket.Connect(endpoint); err != nil {
		return err
	}
	if err := s.socket.WaitWritable(); err != nil {
		return err
	}
	s.socket.SetDeadline(time.Time{})
	return nil
}

// Send sends one message, and takes those that have come. ErrLost says that nothing was
// sent. The frames are copied.
func (s *Shared) Send(frames [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return ErrLost
	}
	if err := s.socket.Send(frames); err != nil {
		s.lose()
		if errors.Is(err, ErrTorn) { // as if the connection broke a moment later
			return nil
		}
		return ErrLost
	}
	_ = s.drain() // Run is told of a loss by the socket, and of an error by lose
	return nil
}

// Run takes messages until the connection is lost, or Interrupt.
func (s *Shared) Run() error {
	var ended error
	err := s.socket.raw.Read(func(uintptr) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		ended = s.drain()
		return ended != nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
	return cmp.Or(ended, err)
}

// drain takes all messages that have come. The lock must be held.
func (s *Shared) drain() error {
	for !s.lost {
		frames, lost, err := s.socket.messages.look(s.socket.limit)
		switch {
		case err == nil:
			s.take(frames, true)
		case err == ErrTooLarge:
			s.take(frames, false)
		case err != ErrAgain:
			s.lose()
			return err
		case lost:
			s.lost = true
		default:
			return nil
		}
	}
	return ErrLost
}

// lose ends Run. The lock must be held.
func (s *Shared) lose() {
	s.lost = true
	s.socket.Interrupt()
}

// Interrupt ends Run, and the wait of Connect.
func (s *Shared) Interrupt() { s.socket.Interrupt() }

// Close closes the connection. Run and Connect must have returned.
func (s *Shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
	return s.socket.Close()
}
