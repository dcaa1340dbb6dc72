package oidc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/access"
	"mdpgateway/internal/oidc/oidctest"
	"mdpgateway/internal/testport"
)

// A real provider: its tokens, its keys, and what becomes of them while it is away.
func TestTokensOfARealProviderAreTaken(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := take(t, access.Issuer{Issuer: p.URL, Audience: oidctest.Audience, Algorithms: []string{"RS256"}, Skew: time.Second})
	verify := func(token string, at time.Time) (*access.Verified, error) { return s.Verify(t.Context(), token, at) }
	first := p.Login(t, oidctest.Audience)
	v, err := verify(first, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	rule, err := access.ParseList("access", []byte(`
- id: students
  token: {issuer: "`+p.URL+`", claims: {groups: stud*, email_verified: true, email: "*@zitadel.ch"}}
  services: [echo]
`), []access.Issuer{{Issuer: p.URL}})
	if err != nil {
		t.Fatal(err)
	}
	store := access.NewStore(rule, s)
	pass, err := store.Authenticate(t.Context(), access.Shown{Authorization: []string{"Bearer " + first}}, time.Now())
	if err != nil || pass.ID != "students" || pass.Subject != v.Subject || pass.Subject == "" || !pass.May("echo") {
		t.Errorf("got %+v, %v, want students", pass, err)
	}
	if _, err := verify(p.Login(t, oidctest.Other), time.Now()); err == nil || !strings.Contains(err.Error(), "audience") {
		t.Errorf("a token for another client: got %v, want its audience refused", err)
	}
	if v, err := verify(first, time.Now().Add(2*time.Hour)); !errors.Is(err, access.ErrExpired) || v == nil {
		t.Errorf("in two hours: got %v, want it expired", err)
	}
	if _, err := verify(first[:len(first)-6]+"AAAAAA", time.Now()); err == nil {
		t.Error("a token with another signature is taken")
	}

	keys := (*s.current.Load())[p.URL].keys
	p.Rotate(t)
	second := p.Login(t, oidctest.Audience)
	keys.mu.Lock()
	keys.begun = time.Now().Add(-atMost) // as if the last fetch were some time ago
	keys.mu.Unlock()
	for name, token := range map[string]string{"the new key": second, "the key of before": first} {
		if _, err := verify(token, time.Now()); err != nil {
			t.Errorf("after a rotation, a token of %s: got %v", name, err)
		}
	}

	p.Stop()
	keys.again()
	if _, err := verify(second, time.Now()); err != nil || s.Status()[0].Up {
		t.Errorf("while the provider is away: got %v, up %v, want the token taken", err, s.Status()[0].Up)
	}
	restarted := oidctest.StartAt(t, strings.TrimPrefix(p.URL, "http://"), "http://127.0.0.1/callback")
	keys.again()
	if _, err := verify(restarted.Login(t, oidctest.Audience), time.Now()); err != nil {
		t.Errorf("after the provider has lost its keys and made others: got %v", err)
	}
	if _, err := verify(second, time.Now()); err == nil {
		t.Error("a token of a key that is no longer published is taken")
	}
}

// A gateway may start before its provider.
func TestAProviderThatComesLaterIsFound(t *testing.T) {
	t.Parallel()
	address := testport.Address(t)
	s := take(t, access.Issuer{Issuer: "http://" + address, Audience: oidctest.Audience, Algorithms: []string{"RS256"}})
	if s.Status()[0].Up {
		t.Fatal("an issuer that is not there is up")
	}
	p := oidctest.StartAt(t, address, "http://127.0.0.1/callback")
	token := p.Login(t, oidctest.Audience)
	(*s.current.Load())[p.URL].keys.again()
	if _, err := s.Verify(t.Context(), token, time.Now()); err != nil {
		t.Error(err)
	}
}
