package oidc

import (
	"crypto/sha256"
	"sync"

	"mdpgateway/internal/access"
)

// mostCached bounds the tokens that are remembered. The claims of one take some KiB.
const mostCached = 2_000

// A cache remembers tokens whose signature, issuer and audience were found right, by their hash. To verify one takes 70 µs
// (RS256) to 90 µs (ES256) of CPU, as much as all the rest of a small request; to find it here takes 2 µs. Only tokens that
// are right are in it, so strangers can't fill it.
type cache struct {
	mu  sync.RWMutex
	all map[[sha256.Size]byte]judged // guarded by mu
}

// judged is a token that was right, by this issuer as configured and by these keys.
type judged struct {
	by   *issuer
	keys *known
	says *access.Verified
}

// get returns what a token says, and who said so, if that holds by the issuers and keys of now.
func (c *cache) get(hash [sha256.Size]byte, current map[string]*issuer) (*issuer, *access.Verified) {
	c.mu.RLock()
	found, ok := c.all[hash]
	c.mu.RUnlock()
	if !ok || current[found.says.Issuer] != found.by || found.by.keys.current.Load() != found.keys {
		return nil, nil
	}
	return found.by, found.says
}

// put remembers a token. Those of before are forgotten if there are too many: most have expired.
func (c *cache) put(hash [sha256.Size]byte, j judged) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) >= mostCached {
		c.all = make(map[[sha256.Size]byte]judged)
	}
	c.all[hash] = j
}
