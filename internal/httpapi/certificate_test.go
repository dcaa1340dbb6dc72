package httpapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"mdpgateway/internal/access"
	"mdpgateway/internal/gateway"
)

// An authority signs certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "tests"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signed := a.issue(template)
	a.cert, a.key = signed.Leaf, signed.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

// issue signs a certificate; the first is the authority's own.
func (a *authority) issue(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// client returns a client that shows a certificate for a DNS name, or none.
func (a *authority) client(name string) *http.Client {
	config := &tls.Config{RootCAs: a.pool, ServerName: "gateway.lab"}
	if name != "" {
		config.Certificates = []tls.Certificate{a.issue(&x509.Certificate{
			DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})}
	}
	transport := &http.Transport{TLSClientConfig: config}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// serveTLS starts a gateway that asks for certificates of the authority.
func (a *authority) serveTLS(cfg Config) *testServer {
	a.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	g := serveOn(a.t, tls.NewListener(ln, &tls.Config{
		Certificates: []tls.Certificate{a.issue(&x509.Certificate{DNSNames: []string{"gateway.lab"}})},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: a.pool,
	}), new(net.Dialer).DialContext, cfg)
	g.tls = true
	return g
}

// certificates are principals like those of keys.
func certificates(t *testing.T) *access.Store {
	t.Helper()
	list, err := access.ParseList("access", []byte(`
- {id: all, certificate: {dns: "*.all.lab"}, services: ['*']}
- {id: other, certificate: {dns: other.lab}, services: [other]}
- {id: old, certificate: {dns: old.lab}, services: ['*'], expires: 2020-01-01}
- {id: scraper, certificate: {dns: scraper.lab}, metrics: true}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	return access.NewStore(list, nil)
}

func TestEveryRouteNeedsACertificateButTheProbesAndThePage(t *testing.T) {
	a := newAuthority(t)
	g := a.serveTLS(Config{Access: certificates(t), Metrics: someMetrics})
	g.proves(t, []showing{
		{"no certificate", a.client(""), nil, "_none missing"},
		{"a certificate of nobody", a.client("nobody.lab"), nil, "_invalid invalid"},
		{"the right certificate and a wrong key", a.client("web.all.lab"), []string{bearer("nobody")}, "_invalid invalid"},
		{"a certificate of an expired principal", a.client("old.lab"), nil, "old expired"},
		{"a certificate of another service", a.client("other.lab"), nil, "other ok"},
		{"the right certificate", a.client("web.all.lab"), nil, "all ok"},
		{"a certificate for the metrics", a.client("scraper.lab"), nil, "scraper ok"},
	})
}

// A page of another origin must not call by the certificate of the browser that shows it.
func TestAForeignPageCannotCallByTheBrowsersCertificate(t *testing.T) {
	a := newAuthority(t)
	g := a.serveTLS(Config{Access: certificates(t)})
	client := a.client("web.all.lab")
	g.do(client, "POST", "/services/echo", nil, "Origin: https://evil.example").wantProblem(t, gateway.OriginRefused)
	g.do(client, "POST", "/services/echo", nil, "Origin: "+g.url("")).wantBody(t, 200, "")
}
