package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

// certificate returns one with names such as "uri:spiffe://lab/a", "dns:a.lab" and "cn:a".
func certificate(t *testing.T, names ...string) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{NotAfter: now.Add(time.Hour)}
	for _, name := range names {
		switch kind, text, _ := strings.Cut(name, ":"); kind {
		case "uri":
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		case "dns":
			c.DNSNames = append(c.DNSNames, text)
		case "cn":
			c.Subject = pkix.Name{CommonName: text}
		}
	}
	return c
}

func TestACertificateMatchesByTheNamesThatAreAskedFor(t *testing.T) {
	for _, c := range []struct {
		want string   // of the principal
		has  []string // names of the certificate
		name string   // that matches; empty if none
	}{
		{"dns: a.lab", []string{"dns:a.lab"}, "a.lab"},
		{"dns: a.lab", []string{"dns:b.lab", "dns:A.Lab"}, "A.Lab"},
		{"dns: a.lab", []string{"dns:xa.lab", "dns:a.lab.evil", "dns:a.lab.", "dns:"}, ""},
		{"dns: a.lab", []string{"cn:a.lab", "uri:a.lab"}, ""}, // the name of another kind
		{"dns: '*.hall.lab'", []string{"dns:x.hall.lab"}, "x.hall.lab"},
		{"dns: '*.hall.lab'", []string{"dns:hall.lab", "dns:x.y.hall.lab", "dns:.hall.lab", "dns:*.hall.lab"}, ""},
		{"dns: 'a.*.lab'", []string{"dns:a.b.lab"}, "a.b.lab"},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:spiffe://lab/hall/7"}, "spiffe://lab/hall/7"},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:spiffe://lab/hall"}, ""},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:spiffe://lab/hall/"}, ""},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:spiffe://lab/hall/7/8"}, ""},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:spiffe://lab.evil/hall/7"}, ""},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:https://lab/hall/7"}, ""},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:spiffe://lab/hall%2f7"}, ""},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:spiffe://lab/hall/7?x=/y"}, "spiffe://lab/hall/7?x=/y#never"},
		{"uri: 'spiffe://lab/hall/*'", []string{"uri:spiffe://lab/hall/7", "uri:spiffe://lab/other"}, ""}, // no SVID has two
		{"uri: 'spiffe://lab/*/7'", []string{"uri:spiffe://lab/hall/7"}, "spiffe://lab/hall/7"},
		{"uri: 'urn:lab:7'", []string{"uri:urn:lab:7"}, "urn:lab:7"},
		{"uri: 'urn:lab:7'", []string{"uri:urn:lab:8"}, ""},
		{"cn: hall", []string{"cn:hall"}, "hall"},
		{"cn: hall", []string{"dns:hall"}, ""},
		{"cn: 'hall-*'", []string{"cn:hall-7"}, "hall-7"},
		{"cn: '*'", nil, ""}, // a certificate without a common name
		{"uri: 'spiffe://lab/*', dns: a.lab", []string{"uri:spiffe://lab/a", "dns:a.lab"}, "spiffe://lab/a"},
		{"uri: 'spiffe://lab/*', dns: a.lab", []string{"uri:spiffe://lab/a"}, ""},
		{"uri: 'spiffe://lab/*', dns: a.lab", []string{"dns:a.lab"}, ""},
	} {
		s := NewStore(parse(t, "- {id: it, certificate: {"+c.want+"}, services: [echo]}\n"), nil)
		pass, err := s.Authenticate(t.Context(), Shown{Certificate: certificate(t, c.has...)}, now)
		if strings.HasSuffix(c.name, "#never") {
			c.name = ""
		}
		switch {
		case c.name == "" && (kind(err) != gateway.Unauthorized || pass.ID != Unknown || pass.Result != Invalid || pass.May("echo")):
			t.Errorf("%s with %q: got %+v, %v, want it refused", c.want, c.has, pass, err)
		case c.name != "" && (err != nil || pass.ID != "it" || pass.Subject != c.name || !pass.May("echo")):
			t.Errorf("%s with %q: got %+v, %v, want it let in by %s", c.want, c.has, pass, err, c.name)
		}
	}
}

// The first of the list counts, and one proof decides.
func TestOneProofDecides(t *testing.T) {
	s := NewStore(parse(t,
		"- {id: old, certificate: {dns: old.hall.lab}, services: ['*'], expires: 2027-01-01}\n",
		"- {id: first, certificate: {dns: '*.hall.lab'}, services: [echo]}\n",
		"- {id: second, certificate: {dns: x.hall.lab}, services: ['*']}\n",
		line("key", "[echo]", "")), nil)
	hall, stranger := certificate(t, "dns:x.hall.lab"), certificate(t, "dns:evil.lab")
	past := certificate(t, "dns:x.hall.lab")
	past.NotAfter = now.Add(-time.Second)
	right, wrong := []string{"Bearer " + secret("key")}, []string{"Bearer " + secret("x")}
	for _, c := range []struct {
		name       string
		shown      Shown
		id, result string
	}{
		{"two match", Shown{Certificate: hall}, "first", OK},
		{"the first has expired", Shown{Certificate: certificate(t, "dns:old.hall.lab")}, "old", Expired},
		{"a certificate that ended on an open connection", Shown{Certificate: past}, "first", Expired},
		{"nobody's certificate", Shown{Certificate: stranger}, Unknown, Invalid},
		{"a key before a certificate", Shown{right, hall}, "key", OK},
		{"a key beside nobody's certificate", Shown{right, stranger}, "key", OK},
		{"a wrong key beside a certificate", Shown{wrong, hall}, Unknown, Invalid},
		{"another scheme beside a certificate", Shown{[]string{"Basic x"}, hall}, Unknown, Invalid},
		{"nothing", Shown{}, Nobody, Missing},
	} {
		pass, err := s.Authenticate(t.Context(), c.shown, now)
		if pass.ID != c.id || pass.Result != c.result || (err == nil) != (c.result == OK) {
			t.Errorf("%s: got %s %s, %v, want %s %s", c.name, pass.ID, pass.Result, err, c.id, c.result)
		}
	}
	keysOnly := NewStore(parse(t, line("key", "[echo]", "")), nil)
	if pass, _ := keysOnly.Authenticate(t.Context(), Shown{Certificate: hall}, now); pass.Result != Missing {
		t.Errorf("a certificate where only keys count: got %s, want it told that a key is missing", pass.Result)
	}
}

func TestAFaultyProofIsToldInOneLine(t *testing.T) {
	const uri = "want a URI such as spiffe://lab/hall/*, in which a whole segment of the path may be *"
	const dns = "want a DNS name such as *.hall.lab, in which a whole label but the last may be *"
	const claim = "want text in which * is any text, a whole number, true, false, or claims within this one"
	for _, c := range []struct{ proof, want string }{
		{"certificate: {}", "keys[0].certificate has no name, want at least one of uri, dns, cn"},
		{"certificate: hall", `keys[0].certificate is "hall", want keys and values`},
		{"certificate: {email: a}", "keys[0].certificate.email is no key here, want one of uri, dns, cn"},
		{"certificate: {uri: hall}", `keys[0].certificate.uri is "hall", ` + uri},
		{"certificate: {uri: 'spiffe://*/hall'}", `keys[0].certificate.uri is "spiffe://*/hall", ` + uri},
		{"certificate: {uri: 'spiffe://lab/h*'}", `keys[0].certificate.uri is "spiffe://lab/h*", ` + uri},
		{"certificate: {uri: 'spiffe://lab/a?b'}", `keys[0].certificate.uri is "spiffe://lab/a?b", ` + uri},
		{"certificate: {dns: '*'}", `keys[0].certificate.dns is "*", ` + dns},
		{"certificate: {dns: 'a*.lab'}", `keys[0].certificate.dns is "a*.lab", ` + dns},
		{"certificate: {dns: 'a..lab'}", `keys[0].certificate.dns is "a..lab", ` + dns},
		{"certificate: {cn: ''}", `keys[0].certificate.cn is "", want a common name, in which * is any text`},
		{"certificate: {dns: a.lab}, token: {issuer: https://login.lab, claims: {sub: x}}", "keys[0] has 2 proofs of who calls, want one of key, certificate, token"},
		{"key: {}", "keys[0].key has no sha256, want the hash of the key"},
		{"key: hunter2", "keys[0].key is not what it should be, want {sha256: …}, the hash of the key"},
		{"owner: _x, certificate: {dns: a.lab}", `keys[0].owner is "_x", want ` + idWanted},
		{"max_jobs: 0, certificate: {dns: a.lab}", `keys[0].max_jobs is "0", want a whole number from 1 to 1000000`},
		{"token: {claims: {sub: x}}", "keys[0].token has no issuer, want one of issuers"},
		{"token: {issuer: https://other.lab, claims: {sub: x}}", `keys[0].token.issuer is "https://other.lab", want one of https://login.lab`},
		{"token: {issuer: https://login.lab}", `keys[0].token has no claims, want what the token must say, such as {groups: students}, or {sub: "*"} for every token`},
		{"token: {issuer: https://login.lab, claims: {}}", "keys[0].token.claims has 0 claims, want 1 to 100"},
		{"token: {issuer: https://login.lab, claims: {sub: [a]}}", "keys[0].token.claims.sub is a list, " + claim},
		{"token: {issuer: https://login.lab, claims: {sub: 1.5}}", `keys[0].token.claims.sub is "1.5", ` + claim},
		{"token: {issuer: https://login.lab, claims: {a: {b: {}}}}", "keys[0].token.claims.a.b has 0 claims, want 1 to 100"},
		{"token: eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "keys[0].token is a token itself, want keys and values"},
	} {
		_, err := ParseList("keys", []byte("- {id: a, services: [echo], "+c.proof+"}\n"), testIssuers)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.proof, err, c.want)
		}
	}
}
