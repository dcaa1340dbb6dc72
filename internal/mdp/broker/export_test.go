package broker

// Stall runs f while the broker takes no message and looks at no clock, as if
// its process had been stopped.
func (b *Broker) Stall(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}
