// Package oidc checks tokens of OpenID Connect issuers (JWT, RFC 7519) for package access.
//
// The keys of an issuer are fetched in the background and kept while it can't be reached: no request makes a
// connection. A token with a key that is not known makes one fetch due, at most every 10 s, and waits for it for at
// most 2 s, so that no call fails when an issuer begins to use a new key.
//
// Passwords, sessions and login pages are not here: a program or a page gets its token from the issuer itself.
package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.uber.org/zap"

	"mdpgateway/internal/access"
)

// Issuers are the issuers whose tokens are taken. They are an access.Verifier. All methods are safe for concurrent use.
type Issuers struct {
	log     *zap.Logger
	swap    sync.Mutex // held while another map is made
	current atomic.Pointer[map[string]*issuer]
	cache   cache
}

// An issuer is one of them. It never changes.
type issuer struct {
	access.Issuer
	source   source
	keys     *keys
	verifier *oidc.IDTokenVerifier
}

// A source is where an issuer's keys come from. Issuers of the same source have the same keys.
type source struct {
	issuer, jwksURL string
	ca              string // PEM; empty: the system's authorities
}

// New returns no issuers yet. Without a log nothing is logged.
func New(log *zap.Logger) *Issuers {
	if log == nil {
		log = zap.NewNop()
	}
	s := &Issuers{log: log}
	s.current.Store(new(map[string]*issuer))
	return s
}

// Check reads what the issuers name, and says what can't be used. It starts nothing.
func Check(list []access.Issuer) error {
	for i, each := range list {
		if _, err := readSource(each); err != nil {
			return fmt.Errorf("issuers[%d].ca_file is %q, want a file with certificates (PEM): %w", i, each.CAFile, err)
		}
	}
	return nil
}

func readSource(i access.Issuer) (source, error) {
	s := source{issuer: i.Issuer, jwksURL: i.JWKSURL}
	if i.CAFile == "" {
		return s, nil
	}
	pem, err := os.ReadFile(i.CAFile)
	switch {
	case err != nil:
		return s, errors.Unwrap(err)
	case !x509.NewCertPool().AppendCertsFromPEM(pem):
		return s, errors.New("it has none")
	}
	s.ca = string(pem)
	return s, nil
}

// Swap makes these the issuers. Those that come from where one came from before go on with its keys. The error is that of
// Check, and then nothing has changed.
func (s *Issuers) Swap(list []access.Issuer) error {
	if err := Check(list); err != nil {
		return err
	}
	s.swap.Lock()
	defer s.swap.Unlock()
	old, next := *s.current.Load(), make(map[string]*issuer)
	for _, each := range list {
		from, err := readSource(each)
		if err != nil {
			return err // it was changed since Check
		}
		i := &issuer{Issuer: each, source: from}
		if before := old[each.Issuer]; before != nil && before.source == from {
			i.keys = before.keys
		}
		next[each.Issuer] = i
	}
	for _, i := range next {
		if i.keys == nil {
			i.keys = startKeys(fetcher(i.source), s.log.With(zap.String("issuer", i.Issuer.Issuer)))
		}
		i.verifier = oidc.NewVerifier(i.Issuer.Issuer, i.keys, &oidc.Config{
			ClientID: i.Audience, SupportedSigningAlgs: i.Algorithms,
			SkipExpiryCheck: true, // its leeway for nbf can't be set; see checkTimes
		})
	}
	s.current.Store(&next)
	for name, i := range old {
		if next[name] == nil || next[name].keys != i.keys {
			i.keys.close()
		}
	}
	return nil
}

// Close ends the fetching of keys, and waits for it. Verify goes on with those that are known.
func (s *Issuers) Close() {
	s.swap.Lock()
	defer s.swap.Unlock()
	for _, i := range *s.current.Load() {
		i.keys.close()
	}
}

// Status is what is known of an issuer's keys.
type Status struct {
	Issuer string
	Keys   int  // that can be used
	Up     bool // they could be fetched when that was tried last
}

// Status returns what is known of every issuer's keys, by name.
func (s *Issuers) Status() (all []Status) {
	current := *s.current.Load()
	for _, name := range slices.Sorted(maps.Keys(current)) {
		k := current[name].keys
		all = append(all, Status{name, len(k.current.Load().keys), !k.failing.Load()})
	}
	return all
}

// Verify is access.Verifier.
func (s *Issuers) Verify(ctx context.Context, token string, now time.Time) (*access.Verified, error) {
	current, hash := *s.current.Load(), sha256.Sum256([]byte(token))
	if i, v := s.cache.get(hash, current); v != nil {
		return v, i.checkTimes(v, now)
	}
	i := current[issuerOf(token)]
	if i == nil {
		return nil, access.ErrNoToken
	}
	keys := i.keys.current.Load() // before: what is judged by older ones must not pass for judged by newer ones
	v, err := i.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	s.cache.put(hash, judged{i, keys, v})
	return v, i.checkTimes(v, now)
}

// verify checks all but the times.
func (i *issuer) verify(ctx context.Context, token string) (*access.Verified, error) {
	t, err := i.verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	v := &access.Verified{Issuer: t.Issuer, Subject: t.Subject, Expires: t.Expiry}
	if err := t.Claims(&v.Claims); err != nil {
		return nil, err
	}
	if v.Subject == "" || len(v.Subject) > longestSubject {
		return nil, fmt.Errorf("the token's sub has %d bytes, want 1 to %d", len(v.Subject), longestSubject)
	}
	return v, nil
}

// longestSubject is OpenID Connect's own bound (Core 1.0, section 2).
const longestSubject = 255

// issuerOf returns the claim iss of what looks like a token, before anything of it is verified; else nothing.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// checkTimes returns access.ErrExpired for a token whose time is over. One without an end is refused.
func (i *issuer) checkTimes(v *access.Verified, now time.Time) error {
	if _, ok := v.Claims["exp"].(float64); !ok {
		return errors.New("the token has no exp")
	}
	if from, there := v.Claims["nbf"]; there {
		seconds, ok := from.(float64)
		if !ok || now.Add(i.Skew).Before(time.Unix(int64(seconds), 0)) {
			return fmt.Errorf("the token is not valid before %v", from)
		}
	}
	if !now.Before(v.Expires.Add(i.Skew)) {
		return access.ErrExpired
	}
	return nil
}
