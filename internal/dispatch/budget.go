package dispatch

import (
	"sync"

	"golang.org/x/time/rate"
)

const (
	// Names that no broker ever confirmed share these, per broker.
	unknownLookupsPerSecond = 20
	unknownInFlight         = 2

	// lookupsOfOneCaller leaves some of them to others: otherwise the first call of a new service
	// waits for as long as anybody goes on asking for invented names.
	lookupsOfOneCaller = 15

	// maxCallers bounds the callers that are remembered; beyond it all are forgotten.
	maxCallers = 4096
)

// A lookupBudget bounds the look-ups of names that no broker confirmed: of all callers, and of
// each of them.
type lookupBudget struct {
	all *rate.Limiter

	mu      sync.Mutex
	callers map[string]*rate.Limiter // guarded by mu
}

func newLookupBudget() *lookupBudget {
	return &lookupBudget{
		all:     rate.NewLimiter(unknownLookupsPerSecond, unknownLookupsPerSecond),
		callers: map[string]*rate.Limiter{},
	}
}

// allow takes a look-up from what a caller may ask for.
func (b *lookupBudget) allow(caller string) bool { return b.of(caller).Allow() && b.all.Allow() }

func (b *lookupBudget) of(caller string) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.callers[caller]
	if own == nil {
		if len(b.callers) >= maxCallers {
			clear(b.callers)
		}
		own = rate.NewLimiter(lookupsOfOneCaller, lookupsOfOneCaller)
		b.callers[caller] = own
	}
	return own
}
