package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"math"
	"strings"
	"time"

	"mdpgateway/internal/gateway"
)

// The ids of a Pass without a principal that is known. No principal can have them.
const (
	Nobody  = "_none"
	Unknown = "_invalid"
)

// The results of Authenticate, fit for a label.
const (
	OK      = "ok"      // a valid proof
	Missing = "missing" // no proof
	Invalid = "invalid" // one that is no principal's
	Expired = "expired" // one that was
)

// A Pass is what a request may do. The zero Pass may do everything, as everybody
// may where anyone may call.
type Pass struct {
	ID      string // of the principal, or Nobody or Unknown
	Result  string // of Authenticate
	Subject string // of the token, or the name in the certificate, that proved the principal; empty for a key

	principal *Principal
	use       *use
}

// Shown is what a request shows to prove who calls.
type Shown struct {
	Authorization []string          // the values of its headers of this name
	Certificate   *x509.Certificate // of its connection, verified by TLS; nil if there is none
}

// Authenticate finds the principal of a request. The error is an *gateway.Error; with it too the pass has its ID and
// Result.
//
// One proof decides. Authorization comes first: a token of a known issuer, else a key; if it is wrong the certificate
// counts for nothing. Of the principals that a token or certificate matches, it is the first of the list, expired or
// not.
func (s *Store) Authenticate(ctx context.Context, shown Shown, now time.Time) (Pass, error) {
	snap := s.snapshot()
	switch {
	case snap.list == nil:
		return Pass{}, nil
	case len(shown.Authorization) > 0:
		return s.bearer(ctx, snap, shown.Authorization, now)
	case shown.Certificate != nil && len(snap.certificates) > 0:
		return snap.certificate(shown.Certificate, now)
	}
	return Pass{ID: Nobody, Result: Missing}, unauthorized("the request has no key; send it as Authorization: Bearer <key>", nil)
}

// bearer finds the principal of a token or key.
func (s *Store) bearer(ctx context.Context, snap *snapshot, authorization []string, now time.Time) (Pass, error) {
	text, ok := bearer(authorization)
	if ok && s.tokens != nil && strings.Count(text, ".") == 2 {
		verified, err := s.tokens.Verify(ctx, text, now)
		if !errors.Is(err, ErrNoToken) {
			return snap.token(verified, err, now)
		}
	}
	if !ok || len(text) > longestKey {
		return refuse("the key is not valid", nil)
	}
	e := snap.find(text)
	if e == nil {
		return refuse("the key is not valid", nil)
	}
	return e.pass("", e.uses.all, now, "the key has expired")
}

// find returns the entry of a key, or nil. The key is compared with every one in constant time, wherever a match is
// found: how long that takes tells a caller nothing about the keys there are.
func (s *snapshot) find(key string) *entry {
	sum := sha256.Sum256([]byte(key))
	found := -1
	for i, e := range s.keys {
		equal := subtle.ConstantTimeCompare(sum[:], e.Key.SHA256[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return nil
	}
	return s.keys[found]
}

// token returns the pass of what a token says, with the error of Verify.
func (s *snapshot) token(v *Verified, err error, now time.Time) (Pass, error) {
	expired := errors.Is(err, ErrExpired)
	if err != nil && !expired {
		return refuse("the token is not valid", err)
	}
	for _, e := range s.tokens {
		switch {
		case !e.Token.matches(v):
		case expired:
			return Pass{ID: e.ID, Result: Expired, Subject: v.Subject}, unauthorized("the token has expired", nil)
		default:
			return e.pass(v.Subject, e.uses.of(v.Subject, now), now, "the token has expired")
		}
	}
	return refuse("the token is not valid", errors.New("its claims are no principal's"))
}

// certificate returns the pass of a verified certificate. A connection may outlive its certificate.
func (s *snapshot) certificate(c *x509.Certificate, now time.Time) (Pass, error) {
	const expired = "the certificate has expired"
	for _, e := range s.certificates {
		name, ok := e.Certificate.matches(c)
		switch {
		case !ok:
		case now.After(c.NotAfter):
			return Pass{ID: e.ID, Result: Expired, Subject: name}, unauthorized(expired, nil)
		default:
			return e.pass(name, e.uses.all, now, expired)
		}
	}
	return refuse("the certificate is not valid here", errors.New("its names are no principal's"))
}

// pass returns the pass of a principal that was proven.
func (e *entry) pass(subject string, use *use, now time.Time, expired string) (Pass, error) {
	if !e.valid(now) {
		return Pass{ID: e.ID, Result: Expired, Subject: subject}, unauthorized(expired, nil)
	}
	return Pass{e.ID, OK, subject, e.Principal, use}, nil
}

// refuse returns the pass of a proof that is wrong. The cause is for the operator.
func refuse(detail string, cause error) (Pass, error) {
	return Pass{ID: Unknown, Result: Invalid}, unauthorized(detail, cause)
}

func unauthorized(detail string, cause error) error {
	return &gateway.Error{Kind: gateway.Unauthorized, Detail: detail, Err: cause}
}

// The bytes of a key and of a token that are looked at, so that a stranger can't have more read.
const (
	longestKey   = 256
	longestToken = 8 << 10
)

// bearer returns the token of the one Authorization header (RFC 6750 section
// 2.1). Several might be read differently by whoever stands in front of the
// gateway.
func bearer(authorization []string) (token string, ok bool) {
	if len(authorization) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > longestToken {
		return "", false
	}
	return token, true
}

// Caller names who calls, for limits of each: the principal and, of a token's, its subject. It is empty where anyone
// may call.
func (p Pass) Caller() string {
	if p.principal == nil || p.principal.Token == nil {
		return p.ID
	}
	return p.ID + "/" + p.Subject
}

// Owner names whose the jobs of this caller are, and which it may read: the owner of its principal, else the
// principal's id, so that a rotated key or certificate reads on. The subjects of tokens own theirs alone, unless
// their principal has an owner. It is at most 320 bytes, of any kind, and empty where anyone may call.
func (p Pass) Owner() string {
	if p.principal == nil {
		return ""
	}
	return cmp.Or(p.principal.Owner, p.Caller())
}

// MaxJobs is how many jobs the owner may have at once; 0 means any number.
func (p Pass) MaxJobs() int {
	if p.principal == nil {
		return 0
	}
	return p.principal.MaxJobs
}

// May reports whether the pass is for a service of that name. That of a caller that
// was refused is for none.
func (p Pass) May(service string) bool {
	return p.ID == "" || p.principal != nil && p.principal.may(service)
}

// MayReadMetrics reports whether the pass is for /metrics, which shows the ids of all principals and
// the names of all services.
func (p Pass) MayReadMetrics() bool { return p.ID == "" || p.principal != nil && p.principal.Metrics }

// Check returns an *gateway.Error if the pass is not for a service of that name. It
// is the same whether or not there is such a service.
func (p Pass) Check(service string) error {
	if p.May(service) {
		return nil
	}
	return &gateway.Error{Kind: gateway.Forbidden, Service: service, Detail: "the caller may not use this service"}
}

// Enter takes a place among the calls that the caller may have in flight, and one
// call of its rate. Leave, to be called once, gives the place back. The error is
// an *gateway.Error.
func (p Pass) Enter(now time.Time) (leave func(), err error) {
	if p.principal == nil {
		return func() {}, nil
	}
	most := int64(p.principal.MaxInFlight)
	if most == 0 {
		most = math.MaxInt64
	}
	// The place first: it can be given back, what the limiter gave can't.
	if p.use.inFlight.Add(1) > most {
		p.use.inFlight.Add(-1)
		return nil, limited("the caller has as many calls in flight as it may")
	}
	if err := p.Count(now); err != nil {
		p.use.inFlight.Add(-1)
		return nil, err
	}
	return func() { p.use.inFlight.Add(-1) }, nil
}

// Count takes one request of the caller's rate. The error is a *gateway.Error.
func (p Pass) Count(now time.Time) error {
	if p.principal == nil || p.use.limiter == nil || p.use.limiter.AllowN(now, 1) {
		return nil
	}
	return limited("the caller calls more often than it may")
}

func limited(detail string) error {
	return &gateway.Error{Kind: gateway.RateLimited, Reason: gateway.ReasonRate, Detail: detail}
}
