package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// A cache finds series by their labels without the hashing and the locks of
// prometheus' vectors. It only grows, so its keys must be bounded.
type cache[K comparable, V any] struct {
	all atomic.Pointer[map[K]V] // replaced whole, never written to
	add sync.Mutex
}

// get returns the value of k.
func (c *cache[K, V]) get(k K) (v V, ok bool) {
	if all := c.all.Load(); all != nil {
		v, ok = (*all)[k]
	}
	return v, ok
}

// put returns the value of k, which is made by create if it is not there yet. It
// returns false instead if it is not there and there are max others.
func (c *cache[K, V]) put(k K, max int, create func() V) (v V, ok bool) {
	c.add.Lock()
	defer c.add.Unlock()
	if v, ok = c.get(k); ok {
		return v, true
	}
	next := make(map[K]V)
	if all := c.all.Load(); all != nil {
		if len(*all) >= max {
			return v, false
		}
		maps.Copy(next, *all)
	}
	v = create()
	next[k] = v
	c.all.Store(&next)
	return v, true
}

// full reports whether there are max values.
func (c *cache[K, V]) full(max int) bool {
	all := c.all.Load()
	return all != nil && len(*all) >= max
}
