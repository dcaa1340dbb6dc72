package broker

import (
	"time"

	"mdpgateway/internal/mdp/internal/zsock"
)

// AuthenticatorAddress is where libzmq asks whether a key is let in, for the sockets of Context.
const AuthenticatorAddress = "inproc://zeromq.zap.01"

// Context returns the context of the broker's sockets.
func (b *Broker) Context() *zsock.Context { return b.context }

// WithFarewell returns a configuration whose broker reads on for so long.
func WithFarewell(c Config, long time.Duration) Config {
	c.farewell = long
	return c
}

// Stall runs f while the broker takes no message and looks at no clock, as if
// its process had been stopped.
func (b *Broker) Stall(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}
