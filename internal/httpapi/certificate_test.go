package httpapi

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"

	"mdpgateway/internal/access"
	"mdpgateway/internal/certs"
	"mdpgateway/internal/certs/certstest"
	"mdpgateway/internal/edge"
	"mdpgateway/internal/gateway"
)

// serveTLS starts a gateway over TLS that asks for certificates of the authority.
func serveTLS(t *testing.T, authority *certstest.Authority, cfg Config) *testServer {
	t.Helper()
	dir := t.TempDir()
	files := certs.Files{ClientAuth: certs.Request, ClientCA: certstest.Write(t, dir, "ca.crt", authority.PEM)}
	files.Cert, files.Key = authority.Server().Write(dir)
	set, err := certs.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := edge.Listen(raw, edge.Config{Max: 100}).Secure(certs.NewStore(set))
	t.Cleanup(listener.Wait) // after that of serveOn
	g := serveOn(t, listener, new(net.Dialer).DialContext, cfg)
	g.tls = true
	return g
}

// clientOf returns a client that shows a certificate for a DNS name, or none.
func clientOf(t *testing.T, authority *certstest.Authority, name string) *http.Client {
	config := &tls.Config{RootCAs: authority.Pool()}
	if name != "" {
		config.Certificates = []tls.Certificate{authority.Client(name).TLS}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
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
	a := certstest.New(t, "lab")
	g := serveTLS(t, a, Config{Access: certificates(t), Metrics: someMetrics})
	g.proves(t, []showing{
		{"no certificate", clientOf(t, a, ""), nil, "_none missing"},
		{"a certificate of nobody", clientOf(t, a, "nobody.lab"), nil, "_invalid invalid"},
		{"the right certificate and a wrong key", clientOf(t, a, "web.all.lab"), []string{bearer("nobody")}, "_invalid invalid"},
		{"a certificate of an expired principal", clientOf(t, a, "old.lab"), nil, "old expired"},
		{"a certificate of another service", clientOf(t, a, "other.lab"), nil, "other ok"},
		{"the right certificate", clientOf(t, a, "web.all.lab"), nil, "all ok"},
		{"a certificate for the metrics", clientOf(t, a, "scraper.lab"), nil, "scraper ok"},
	})
}

// A page of another origin must not call by the certificate of the browser that shows it.
func TestAForeignPageCannotCallByTheBrowsersCertificate(t *testing.T) {
	a := certstest.New(t, "lab")
	g := serveTLS(t, a, Config{Access: certificates(t)})
	client := clientOf(t, a, "web.all.lab")
	g.do(client, "POST", "/services/echo", nil, "Origin: https://evil.example").wantProblem(t, gateway.OriginRefused)
	g.do(client, "POST", "/services/echo", nil, "Origin: "+g.url("")).wantBody(t, 200, "")
}
