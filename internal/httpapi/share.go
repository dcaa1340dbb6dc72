package httpapi

import (
	"net/http"
	"net/netip"
	"sync"
)

// Bodies of at most smallBody bytes may use all of the budget; larger ones leave them a
// reserve.
const smallBody = 64 << 10

// shares bounds what one caller's bodies hold of the budget, so that nobody alone takes it
// from all others.
type shares struct {
	most int64 // bytes of one caller

	mu   sync.Mutex
	held map[string]int64 // by caller; guarded by mu
}

// newShares gives a caller a quarter of the budget, and room for one body at least.
func newShares(budget, maxBody int64) *shares {
	return &shares{most: max(budget/4, maxBody), held: map[string]int64{}}
}

// A share is what one request's body holds of its caller's bytes.
type share struct {
	of     *shares
	caller string
	held   int64
}

// resize makes n the number of bytes held and reports whether the caller may have them.
func (s *share) resize(n int64) bool {
	if s.of == nil || n == s.held {
		return true
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	all := s.of.held[s.caller] + n - s.held
	if n > s.held && all > s.of.most {
		return false
	}
	s.held = n
	if s.of.held[s.caller] = all; all == 0 {
		delete(s.of.held, s.caller)
	}
	return true
}

// callerOf names who holds what a request holds: its key, else the address that it comes
// from. One host often has a whole /64 of IPv6.
func callerOf(w *response, r *http.Request) string {
	if w.pass.ID != "" {
		return "key " + w.pass.ID
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	address := from.Addr().Unmap().WithZone("")
	if address.Is6() {
		return netip.PrefixFrom(address, 64).Masked().String()
	}
	return address.String()
}
