package httpapi

import (
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/access"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/oidc"
	"mdpgateway/internal/oidc/oidctest"
)

// tokens are principals like those of keys, by the claim groups of an issuer's tokens, and one whose key has two dots.
func tokens(t *testing.T, issuer string) *access.Store {
	t.Helper()
	issuers := []access.Issuer{{Issuer: issuer, Audience: oidctest.Audience, Algorithms: []string{"ES256"}, Skew: time.Second}}
	list, err := access.ParseList("access", []byte(strings.ReplaceAll(`
- {id: all, token: {issuer: ISSUER, claims: {groups: all}}, services: ['*']}
- {id: other, token: {issuer: ISSUER, claims: {groups: other}}, services: [other]}
- {id: old, token: {issuer: ISSUER, claims: {groups: old}}, services: ['*'], expires: 2020-01-01}
- {id: scraper, token: {issuer: ISSUER, claims: {groups: scraper}}, metrics: true}
- {id: slow, token: {issuer: ISSUER, claims: {groups: slow}}, services: ['*'], rate: 2/h, max_in_flight: 1}
`, "ISSUER", `"`+issuer+`"`)), issuers)
	if err != nil {
		t.Fatal(err)
	}
	known := oidc.New(nil)
	if err := known.Swap(issuers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(known.Close)
	return access.NewStore(list, known)
}

func TestEveryRouteNeedsATokenButTheProbesAndThePage(t *testing.T) {
	s := oidctest.NewSigner(t)
	g := serve(t, Config{Access: tokens(t, s.URL), Metrics: someMetrics})
	of := func(group string, more ...any) []string {
		claims := map[string]any{"groups": []string{"lab", group}}
		for i := 0; i < len(more); i += 2 {
			claims[more[i].(string)] = more[i+1]
		}
		return []string{"Authorization: Bearer " + s.Token(t, claims)}
	}
	g.proves(t, []showing{
		{"no token", nil, nil, "_none missing"},
		{"a token of nobody", nil, of("nobody"), "_invalid invalid"},
		{"a token for another audience", nil, of("all", "aud", "other"), "_invalid invalid"},
		{"a token of another issuer", nil, of("all", "iss", "https://evil.lab"), "_invalid invalid"},
		{"a token cut off", nil, []string{of("all")[0][:200]}, "_invalid invalid"},
		{"an expired token", nil, of("all", "exp", time.Now().Add(-time.Minute).Unix()), "all expired"},
		{"a token of an expired principal", nil, of("old"), "old expired"},
		{"a token of another service", nil, of("other"), "other ok"},
		{"the right token", nil, of("all"), "all ok"},
		{"a token for the metrics", nil, of("scraper"), "scraper ok"},
	})
}

func TestEachSubjectOfATokenHasARateOfItsOwn(t *testing.T) {
	s := oidctest.NewSigner(t)
	g := serve(t, Config{Access: tokens(t, s.URL)})
	of := func(subject string) string {
		return "Authorization: Bearer " + s.Token(t, map[string]any{"groups": "slow", "sub": subject})
	}
	for _, subject := range []string{"alice", "bob"} {
		for range 2 { // each call by another token
			g.post("/services/echo", "x", of(subject)).wantBody(t, 200, "x")
		}
		g.post("/services/echo", "x", of(subject)).wantProblem(t, gateway.RateLimited)
	}
}

// A long token is not read: neither its parts nor its signature.
func TestALongTokenIsRefusedBeforeItIsParsed(t *testing.T) {
	s := oidctest.NewSigner(t)
	g := serve(t, Config{Access: tokens(t, s.URL)})
	for size, want := range map[int]gateway.Kind{5 << 10: "", 16 << 10: gateway.Unauthorized} {
		token := s.Token(t, map[string]any{"groups": "all", "long": strings.Repeat("x", size)})
		a := g.get("/version", "Authorization: Bearer "+token)
		if (a.StatusCode == 401) != (want != "") {
			t.Errorf("a token of %d bytes: got %d %s, want %q", len(token), a.StatusCode, a.body, want)
		}
		<-g.seen.done
	}
	g.stop()
	for _, entry := range g.logs.FilterMessage("request").All() {
		if text, _ := entry.ContextMap()["error"].(string); strings.Contains(text, "jose") {
			t.Errorf("the long token was parsed: %s", text)
		}
	}
}
