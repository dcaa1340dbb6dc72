package broker

import "time"

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
