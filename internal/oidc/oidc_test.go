package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"mdpgateway/internal/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the time of tokens in tests.
var now = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)

// rsaKey and ecKey sign tokens; to make an RSA key takes long.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newECKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// public returns a key as an issuer publishes it.
func public(kid string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig"}
}

// claims are those of a good token, but for what more says; nil leaves one out.
func claims(issuer string, more map[string]any) map[string]any {
	all := map[string]any{
		"iss": issuer, "sub": "alice", "aud": "mdp-gateway", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"groups": []string{"staff", "students"},
	}
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// sign makes a token.
func sign(t testing.TB, algorithm jose.SignatureAlgorithm, kid string, key any, claims map[string]any) string {
	t.Helper()
	options := new(jose.SignerOptions)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, options.WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	return must(jws.CompactSerialize())
}

// A login is an issuer that publishes keys.
type login struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []jose.JSONWebKey // guarded by mu
	fetches atomic.Int64      // of the keys
}

func newLogin(t testing.TB, keys ...jose.JSONWebKey) *login {
	t.Helper()
	l := &login{keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": l.URL, "jwks_uri": l.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		l.fetches.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: l.keys})
	})
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

func (l *login) publish(keys ...jose.JSONWebKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = keys
}

// issuer is how the login is configured.
func (l *login) issuer() access.Issuer {
	return access.Issuer{Issuer: l.URL, Audience: "mdp-gateway", Algorithms: []string{"RS256", "ES256"}, Skew: time.Minute}
}

// take returns the issuers, once the keys of each were fetched.
func take(t testing.TB, list ...access.Issuer) *Issuers {
	t.Helper()
	s := New(nil)
	if err := s.Swap(list); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for _, i := range *s.current.Load() {
		i.keys.again()
	}
	return s
}

// again fetches the keys once more: the second time it begins after the call.
func (k *keys) again() {
	<-k.begin()
	<-k.begin()
}

// part replaces a part of a token.
func part(token string, n int, text string) string {
	parts := strings.Split(token, ".")
	parts[n] = base64.RawURLEncoding.EncodeToString([]byte(text))
	return strings.Join(parts, ".")
}

func TestOnlyTokensOfTheIssuerForThisGatewayAreTaken(t *testing.T) {
	other := public("rs384", rsaKey())
	other.Algorithm = "RS384"
	l := newLogin(t, public("rsa", rsaKey()), public("ec", ecKey()), other)
	s := take(t, l.issuer())
	before := l.fetches.Load()
	good := claims(l.URL, nil)
	with := func(more map[string]any) string { return sign(t, jose.ES256, "ec", ecKey(), claims(l.URL, more)) }
	rs := sign(t, jose.RS256, "rsa", rsaKey(), good)
	payload := strings.Split(rs, ".")[1]
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(rsaKey().Public()))})
	stranger := newECKey()
	embedded := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger}, &jose.SignerOptions{EmbedJWK: true}))
	for _, c := range []struct{ name, token, want string }{
		{"RS256", rs, ""},
		{"ES256", with(nil), ""},
		{"no kid", sign(t, jose.ES256, "", ecKey(), good), ""},
		{"several audiences", with(map[string]any{"aud": []string{"other", "mdp-gateway"}}), ""},
		{"it has just expired", with(map[string]any{"exp": now.Add(-59 * time.Second).Unix()}), ""},
		{"it is valid in a moment", with(map[string]any{"nbf": now.Add(59 * time.Second).Unix()}), ""},
		{"alg none", part(rs[:strings.LastIndex(rs, ".")+1], 0, `{"alg":"none"}`), "unexpected signature algorithm"},
		{"alg none, with its signature", part(rs, 0, `{"alg":"none","kid":"rsa"}`), "unexpected signature algorithm"},
		{"HS256 with the public key", sign(t, jose.HS256, "rsa", secret, good), "unexpected signature algorithm"},
		{"PS256, which is not allowed", sign(t, jose.PS256, "rsa", rsaKey(), good), "unexpected signature algorithm"},
		{"the key of another algorithm", sign(t, jose.ES256, "rsa", ecKey(), good), "failed to verify signature"},
		{"a key for another algorithm", sign(t, jose.RS256, "rs384", rsaKey(), good), `the key "rs384" is not known`},
		{"a stranger's key", sign(t, jose.ES256, "ec", stranger, good), "failed to verify signature"},
		{"a stranger's key without kid", sign(t, jose.ES256, "", stranger, good), "failed to verify signature"},
		{"a key within the token", must(must(embedded.Sign(must(json.Marshal(good)))).CompactSerialize()), "failed to verify signature"},
		{"an unknown kid", sign(t, jose.ES256, "other", ecKey(), good), `the key "other" is not known`},
		{"other claims", part(rs, 1, `{"iss":"`+l.URL+`","sub":"root","aud":"mdp-gateway","exp":4000000000}`), "failed to verify signature"},
		{"a critical header", part(rs, 0, `{"alg":"RS256","kid":"rsa","crit":["exp"],"exp":1}`), "failed to verify signature"},
		{"unencoded payload", part(rs, 0, `{"alg":"RS256","kid":"rsa","crit":["b64"],"b64":false}`), "failed to verify signature"},
		{"another audience", with(map[string]any{"aud": "other"}), "expected audience"},
		{"no audience", with(map[string]any{"aud": nil}), "expected audience"},
		{"expired", with(map[string]any{"exp": now.Add(-time.Minute).Unix()}), "the token has expired"},
		{"never expires", with(map[string]any{"exp": nil}), "the token has no exp"},
		{"exp is text", with(map[string]any{"exp": "4000000000"}), "the token has no exp"},
		{"not yet valid", with(map[string]any{"nbf": now.Add(61 * time.Second).Unix()}), "the token is not valid before"},
		{"nbf is a list", with(map[string]any{"nbf": []int{1}}), "oidc"},
		{"no sub", with(map[string]any{"sub": nil}), "the token's sub has 0 bytes"},
		{"a long sub", with(map[string]any{"sub": strings.Repeat("a", 256)}), "the token's sub has 256 bytes"},
		{"another issuer", sign(t, jose.ES256, "ec", ecKey(), claims("https://evil.lab", nil)), access.ErrNoToken.Error()},
		{"another issuer, by a slash", sign(t, jose.ES256, "ec", ecKey(), claims(l.URL+"/", nil)), access.ErrNoToken.Error()},
		{"no issuer", with(map[string]any{"iss": nil}), access.ErrNoToken.Error()},
		{"four parts", rs + ".x", access.ErrNoToken.Error()},
		{"no parts", "mdpgw_x", access.ErrNoToken.Error()},
		{"no base64", "a.b%.c", access.ErrNoToken.Error()},
		{"padded", strings.Replace(rs, payload, payload+"=", 1), access.ErrNoToken.Error()},
		{"no JSON", part(rs, 1, "x"), access.ErrNoToken.Error()},
	} {
		v, err := s.Verify(t.Context(), c.token, now)
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		case c.want == "" && (v.Issuer != l.URL || v.Subject != "alice" || len(v.Claims["groups"].([]any)) != 2):
			t.Errorf("%s: got %+v, want what it says", c.name, v)
		case c.name == "expired" && (!errors.Is(err, access.ErrExpired) || v == nil || v.Subject != "alice"):
			t.Errorf("%s: got %+v, %v, want ErrExpired with what it says", c.name, v, err)
		}
	}
	if n := l.fetches.Load() - before; n > 2 {
		t.Errorf("the keys were fetched %d times for tokens with unknown keys, want it at most once in %v", n, atMost)
	}
}

func TestTokensGoOnWhileTheirIssuerIsAway(t *testing.T) {
	l := newLogin(t, public("ec", ecKey()))
	s := take(t, l.issuer())
	token := sign(t, jose.ES256, "ec", ecKey(), claims(l.URL, nil))
	l.Close()
	keys := (*s.current.Load())[l.URL].keys
	keys.again()
	if _, err := s.Verify(t.Context(), token, now); err != nil {
		t.Errorf("without the issuer: got %v, want its keys kept", err)
	}
	if status := s.Status(); len(status) != 1 || status[0].Keys != 1 || status[0].Up {
		t.Errorf("the status is %+v, want one key of an issuer that is not up", status)
	}
}

func TestASwapKeepsTheKeysOfTheSameSource(t *testing.T) {
	l, other := newLogin(t, public("ec", ecKey())), newLogin(t, public("ec", ecKey()))
	s := take(t, l.issuer())
	before := l.fetches.Load()
	strict := l.issuer()
	strict.Audience, strict.Skew = "other", 0
	if err := s.Swap([]access.Issuer{strict, other.issuer()}); err != nil {
		t.Fatal(err)
	}
	token := func(issuer, audience string) error {
		_, err := s.Verify(t.Context(), sign(t, jose.ES256, "ec", ecKey(), claims(issuer, map[string]any{"aud": audience})), now)
		return err
	}
	if err := token(l.URL, "mdp-gateway"); err == nil {
		t.Error("the audience of before is still taken")
	}
	if err := errors.Join(token(l.URL, "other"), token(other.URL, "mdp-gateway")); err != nil {
		t.Error(err) // the second waits for the first fetch
	}
	if n := l.fetches.Load(); n != before {
		t.Errorf("the keys were fetched %d times more, want them kept", n-before)
	}
	if err := s.Swap(nil); err != nil {
		t.Fatal(err)
	}
	if err := token(l.URL, "other"); !errors.Is(err, access.ErrNoToken) {
		t.Errorf("an issuer that was removed: got %v, want %v", err, access.ErrNoToken)
	}
}

func TestAnIssuersCertificateIsCheckedAgainstItsAuthority(t *testing.T) {
	l := newLogin(t, public("ec", ecKey()))
	secure := httptest.NewTLSServer(l.Config.Handler)
	t.Cleanup(secure.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]int{"": 0, authority: 1} {
		issuer := l.issuer()
		issuer.JWKSURL, issuer.CAFile = secure.URL+"/keys", file
		if got := take(t, issuer).Status()[0].Keys; got != want {
			t.Errorf("with ca_file %q: got %d keys, want %d", file, got, want)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"/nowhere.pem": "no such file or directory", empty: "it has none"} {
		err := Check([]access.Issuer{{CAFile: file}})
		if err == nil || !strings.HasSuffix(err.Error(), want) || !strings.HasPrefix(err.Error(), "issuers[0].ca_file is ") {
			t.Errorf("%s: got %v, want it to end with %s", file, err, want)
		}
	}
}

// What an issuer publishes may be anything.
func TestOnlyKeysFitForSigningAreTaken(t *testing.T) {
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	encryption := public("enc", newECKey())
	encryption.Use = "enc"
	l := newLogin(t, public("weak", weak), encryption, jose.JSONWebKey{Key: []byte("secret"), KeyID: "oct"}, jose.JSONWebKey{Key: newECKey(), KeyID: "private"})
	if got := take(t, l.issuer()).Status()[0]; got.Keys != 0 || got.Up {
		t.Errorf("got %+v, want no key", got)
	}
	for name, document := range map[string]string{
		"no JSON": "<html>", "a list": "[]", "no keys": `{"keys":[]}`, "too many": `{"keys":[` + strings.Repeat(`{},`, mostKeys) + `{}]}`,
		"endless": `{"keys":[` + strings.Repeat(" ", 2*mostBytes) + `]}`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) }))
		if keys, err := fetcher(source{jwksURL: server.URL})(t.Context()); err == nil && len(keys) > 0 {
			t.Errorf("%s: got %d keys", name, len(keys))
		}
		server.Close()
	}
	from := newLogin(t, public("ec", ecKey()))
	redirect := httptest.NewServer(http.RedirectHandler(from.URL+"/keys", http.StatusFound))
	t.Cleanup(redirect.Close)
	if keys, err := fetcher(source{jwksURL: redirect.URL})(t.Context()); err == nil {
		t.Errorf("a redirect: got %d keys, want it refused", len(keys))
	}
}

func BenchmarkVerify(b *testing.B) {
	l := newLogin(b, public("rsa", rsaKey()), public("ec", ecKey()))
	s := take(b, l.issuer())
	i := (*s.current.Load())[l.URL]
	for name, token := range map[string]string{
		"alg=RS256": sign(b, jose.RS256, "rsa", rsaKey(), claims(l.URL, nil)), "alg=ES256": sign(b, jose.ES256, "ec", ecKey(), claims(l.URL, nil)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/remembered", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Verify(b.Context(), token, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A token that was right once is judged anew when anything changes by which it was.
func TestATokenThatIsRememberedIsNotTakenForLonger(t *testing.T) {
	l := newLogin(t, public("1", ecKey()))
	s := take(t, l.issuer())
	token := sign(t, jose.ES256, "1", ecKey(), claims(l.URL, nil))
	verify := func(at time.Time) error {
		_, err := s.Verify(t.Context(), token, at)
		return err
	}
	if err := errors.Join(verify(now), verify(now)); err != nil || len(s.cache.all) != 1 {
		t.Fatalf("got %v and %d tokens remembered, want one", err, len(s.cache.all))
	}
	if err := verify(now.Add(2 * time.Hour)); !errors.Is(err, access.ErrExpired) {
		t.Errorf("after its end: got %v, want it expired", err)
	}
	if err := verify(now); err != nil {
		t.Error(err)
	}
	other := l.issuer()
	other.Audience = "other"
	if err := s.Swap([]access.Issuer{other}); err != nil {
		t.Fatal(err)
	}
	if err := verify(now); err == nil {
		t.Error("after a reload with another audience: it is taken")
	}
	if err := s.Swap([]access.Issuer{l.issuer()}); err != nil {
		t.Fatal(err)
	}
	if err := verify(now); err != nil {
		t.Error(err)
	}
	l.publish(public("2", newECKey()))
	(*s.current.Load())[l.URL].keys.again()
	if err := verify(now); err == nil {
		t.Error("after its key was withdrawn: it is taken")
	}
	for i := range mostCached + 10 {
		s.cache.put([32]byte{byte(i), byte(i >> 8)}, judged{})
	}
	if n := len(s.cache.all); n > mostCached {
		t.Errorf("%d tokens are remembered, want at most %d", n, mostCached)
	}
}
