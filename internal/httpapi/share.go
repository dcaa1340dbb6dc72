package httpapi

import (
	"net/http"
	"net/netip"
	"sync"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
)

// Bodies of at most smallBody bytes may use all of the budget; larger ones leave them a
// reserve.
const smallBody = 64 << 10

// shares bounds what one caller's bodies, and what is decoded from them, hold of the budget, so
// that nobody alone takes it from all others.
type shares struct {
	// Set once.
	budget  *budget.Budget
	most    int64 // bytes of one caller
	reserve int64 // bytes that are left to small bodies: of what two of the largest bodies leave

	mu   sync.Mutex
	held map[string]int64 // by caller; guarded by mu
}

// newShares gives a caller a quarter of the budget, and room for one request at least.
func newShares(b *budget.Budget, maxBody int64) *shares {
	return &shares{
		budget: b, most: max(b.Max()/4, maxBody), reserve: min(b.Max()/16, max(0, b.Max()-2*maxBody)), held: map[string]int64{},
	}
}

// share returns that of a new request.
func (s *shares) share(caller string) share {
	return share{of: s, caller: caller, lease: s.budget.Lease()}
}

// A share is what one request's body, and what is decoded from it, holds of its caller's bytes. The
// zero share holds nothing.
type share struct {
	of     *shares
	caller string
	lease  budget.Lease
	body   int64 // what the body holds: Resize counts beside it
}

// fits refuses a request that would hold n bytes if there is no room for all of them now.
// A caller that declares a large body gets a prompt answer, and holds only what has come.
func (s *share) fits(n int64) error {
	reserve := int64(0)
	if n > smallBody {
		reserve = s.of.reserve
	}
	if held := s.lease.Bytes(); n > held && s.of.budget.Bytes()+n-held > s.of.budget.Max()-reserve {
		return gateway.Refused(gateway.ReasonMemory, gateway.NoMemory)
	}
	return nil
}

// take makes n the number of bytes held, if they are to be had. A caller's only request may have more
// than its share: others would never be decoded.
func (s *share) take(n int64) error {
	if err := s.fits(n); err != nil {
		return err
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	held := s.lease.Bytes()
	others := s.of.held[s.caller] - held
	if n > held && others > 0 && others+n > s.of.most {
		return gateway.Refused(gateway.ReasonMemory, "the bodies of this caller hold as many bytes as one caller's may")
	}
	if !s.lease.Resize(n) {
		return gateway.Refused(gateway.ReasonMemory, gateway.NoMemory)
	}
	if s.of.held[s.caller] = others + n; others+n == 0 {
		delete(s.of.held, s.caller)
	}
	return nil
}

// Resize is gateway.Room: it makes n the number of bytes held beside the body.
func (s *share) Resize(n int64) bool { return s.take(s.body+n) == nil }

// release gives back everything.
func (s *share) release() {
	if s.of != nil && s.lease.Bytes() > 0 {
		_ = s.take(0) // which cannot fail
	}
	s.body = 0
}

// callerOf names who holds what a request holds: the caller that was proven, else the address that it comes
// from. One host often has a whole /64 of IPv6.
func callerOf(w *response, r *http.Request) string {
	if caller := w.pass.Caller(); caller != "" {
		return "principal " + caller
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
