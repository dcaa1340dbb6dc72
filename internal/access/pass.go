package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"strings"
	"time"

	"mdpgateway/internal/gateway"
)

// The ids of a Pass without a key that is known. No key can have them.
const (
	NoKey      = "_none"
	UnknownKey = "_invalid"
)

// The results of Authenticate, fit for a label.
const (
	OK      = "ok"      // a valid key
	Missing = "missing" // no key
	Invalid = "invalid" // one that is none of ours
	Expired = "expired" // one that was
)

// A Pass is what a request may do. The zero Pass may do everything, as everybody
// may where no key is needed.
type Pass struct {
	ID     string // of the key, or NoKey or UnknownKey
	Result string // of Authenticate

	key *Key
	use *use
}

// Authenticate reads the values of a request's Authorization headers. The error
// is an *gateway.Error; with it too the pass has its ID and Result.
//
// The request's key is compared with every one in constant time, wherever a match
// is found: how long that takes tells a caller nothing about the keys there are.
func (s *Store) Authenticate(authorization []string, now time.Time) (Pass, error) {
	snap := s.snapshot()
	switch {
	case len(snap.keys) == 0:
		return Pass{}, nil
	case len(authorization) == 0:
		return Pass{ID: NoKey, Result: Missing}, unauthorized("the request has no key; send it as Authorization: Bearer <key>")
	}
	token, ok := bearer(authorization)
	found := snap.find(token)
	if !ok || found < 0 {
		return Pass{ID: UnknownKey, Result: Invalid}, unauthorized("the key is not valid")
	}
	key := snap.keys[found]
	if !key.valid(now) {
		return Pass{ID: key.ID, Result: Expired}, unauthorized("the key has expired")
	}
	return Pass{key.ID, OK, key, snap.uses[found]}, nil
}

// find returns the index of the key that a token is, or -1.
func (s *snapshot) find(token string) int {
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i, key := range s.keys {
		equal := subtle.ConstantTimeCompare(sum[:], key.SHA256[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	return found
}

func unauthorized(detail string) error {
	return &gateway.Error{Kind: gateway.Unauthorized, Detail: detail}
}

// longest bounds the bytes that are hashed for a stranger.
const longest = 256

// bearer returns the token of the one Authorization header (RFC 6750 section
// 2.1). Several might be read differently by whoever stands in front of the
// gateway.
func bearer(authorization []string) (token string, ok bool) {
	if len(authorization) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > longest {
		return "", false
	}
	return token, true
}

// May reports whether the pass is for a service of that name. That of a key that
// was refused is for none.
func (p Pass) May(service string) bool {
	return p.ID == "" || p.key != nil && p.key.may(service)
}

// MayReadMetrics reports whether the pass is for /metrics, which shows the ids of all keys and
// the names of all services.
func (p Pass) MayReadMetrics() bool { return p.ID == "" || p.key != nil && p.key.Metrics }

// Check returns an *gateway.Error if the pass is not for a service of that name. It
// is the same whether or not there is such a service.
func (p Pass) Check(service string) error {
	if p.May(service) {
		return nil
	}
	return &gateway.Error{Kind: gateway.Forbidden, Service: service, Detail: "this key is not for this service"}
}

// Enter takes a place among the calls that the key may have in flight, and one
// call of its rate. Leave, to be called once, gives the place back. The error is
// an *gateway.Error.
func (p Pass) Enter(now time.Time) (leave func(), err error) {
	if p.key == nil {
		return func() {}, nil
	}
	most := int64(p.key.MaxInFlight)
	if most == 0 {
		most = math.MaxInt64
	}
	// The place first: it can be given back, what the limiter gave can't.
	if p.use.inFlight.Add(1) > most {
		p.use.inFlight.Add(-1)
		return nil, limited("the key has as many calls in flight as it may")
	}
	if err := p.Count(now); err != nil {
		p.use.inFlight.Add(-1)
		return nil, err
	}
	return func() { p.use.inFlight.Add(-1) }, nil
}

// Count takes one request of the key's rate. The error is a *gateway.Error.
func (p Pass) Count(now time.Time) error {
	if p.key == nil || p.use.limiter == nil || p.use.limiter.AllowN(now, 1) {
		return nil
	}
	return limited("the key is used more often than it may")
}

func limited(detail string) error {
	return &gateway.Error{Kind: gateway.RateLimited, Reason: gateway.ReasonRate, Detail: detail}
}
