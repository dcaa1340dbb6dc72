package jobs

import "sync"

// A hub tells those who wait for a job that it has changed.
type hub struct {
	mu     sync.Mutex
	topics map[string]*topic // guarded by mu; by id, of those that somebody waits for
}

type topic struct {
	changed chan struct{} // closed, and replaced, at a change
	waiters int
}

func newHub() *hub { return &hub{topics: map[string]*topic{}} }

// join begins to wait for a job; leave ends it.
func (h *hub) join(id string) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[id]
	if t == nil {
		t = &topic{changed: make(chan struct{})}
		h.topics[id] = t
	}
	t.waiters++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.waiters--; t.waiters == 0 {
			delete(h.topics, id)
		}
	}
}

// changed returns what is closed at the next change of a job that the caller waits for.
func (h *hub) changed(id string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.topics[id].changed
}

// tell tells of a change.
func (h *hub) tell(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.topics[id]; t != nil {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// waiters returns how many wait, for any job.
func (h *hub) waiters() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		n += t.waiters
	}
	return n
}
