package client

// Load returns how many calls are in flight to a broker, by its index.
func (p *Pool) Load(broker int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.endpoints[broker].busy)
}
