package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/certs/certstest"
)

// secureClient returns a client that believes an authority and may show a certificate, over HTTP/1.1 or HTTP/2.
func secureClient(t *testing.T, h2 bool, authority *certstest.Authority, pairs ...certstest.Pair) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	config := &tls.Config{RootCAs: authority.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(10)}
	for _, p := range pairs {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p.TLS, nil }
	}
	transport := &http.Transport{Protocols: &protocols, TLSClientConfig: config, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// shown asks over a new connection, and returns the certificate that it was shown and whether an old session went on.
func shown(t *testing.T, c *http.Client, url string) (serial string, resumed bool) {
	t.Helper()
	c.CloseIdleConnections()
	r, err := c.Get(url + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return r.TLS.PeerCertificates[0].SerialNumber.String(), r.TLS.DidResume
}

func TestCallsGoOverTLSAndBesideItInTheClearOnlyIfAskedFor(t *testing.T) {
	authority := certstest.New(t, "lab")
	cert, key := authority.Server().Write(t.TempDir())
	g := start(t, "--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(g.urls[0], "https://") || !strings.HasPrefix(g.urls[1], "http://") {
		t.Fatalf("it listens at %v", g.urls)
	}
	eventually(t, "the demo worker answers in the clear", func() bool {
		return request(t, newClient(t), "POST", g.urls[1]+"/services/echo", "application/json", `{}`).status == 200
	})
	for _, h2 := range []bool{false, true} {
		a := request(t, secureClient(t, h2, authority), "POST", g.url+"/services/echo", "application/json", `{"body":"hi"}`)
		if fmt.Sprint(a.data()) != "[hi]" {
			t.Errorf("HTTP/2 %v: got %d %s", h2, a.status, a.body)
		}
	}
	if a := request(t, newClient(t), "GET", "http"+strings.TrimPrefix(g.url, "https")+"/livez", "", ""); a.status != 400 || string(a.body) != "This port speaks HTTPS.\n" {
		t.Errorf("HTTP at the port of HTTPS: got %d %s", a.status, a.body)
	}
	metrics := string(request(t, newClient(t), "GET", g.urls[1]+"/metrics", "", "").body)
	for _, line := range []string{
		`mdp_gateway_tls_handshakes_failed_total{listener="api",reason="clear_text"} 1`,
		`mdp_gateway_tls_handshakes_failed_total{listener="api",reason="client_certificate"} 0`,
		`mdp_gateway_tls_expiry_timestamp_seconds{file="tls-cert"} `, `mdp_gateway_tls_issued_timestamp_seconds{file="tls-cert"} `,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("/metrics has no line %s", line)
		}
	}
	eventually(t, "the log says how to call", func() bool {
		for _, line := range g.lines() {
			if line["msg"] == "ready for calls" {
				return line["url"] == g.url
			}
		}
		return false
	})
	if code := g.end(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestSettingsOfTLSThatMakeNoSenseStopTheStart(t *testing.T) {
	authority, dir := certstest.New(t, "lab"), t.TempDir()
	cert, key := authority.Server().Write(dir)
	_, other := authority.Server().Write(t.TempDir())
	ca, bad := certstest.Write(t, dir, "ca.crt", authority.PEM), certstest.Write(t, dir, "bad.crt", []byte("no PEM"))
	foreign := certstest.Write(t, dir, "foreign.crl", certstest.New(t, "lab").Revoke())
	both := " --tls-cert " + cert + " --tls-key " + key
	for args, want := range map[string]string{
		"--tls-cert " + cert:                                             `--tls-key is "", want the key of the certificate ` + cert,
		"--tls-key " + key:                                               `--tls-cert is "", want the certificate of the key ` + key,
		"--listen https://127.0.0.1:0":                                   `--tls-cert is "", want a certificate for https://127.0.0.1:0`,
		"--listen http://127.0.0.1:0" + both:                             `--listen is "http://127.0.0.1:0", want an address that --tls-cert is for, without http:// before it`,
		"--listen ftp://127.0.0.1:0":                                     `--listen is "ftp://127.0.0.1:0", want host:port or :port, such as 127.0.0.1:8080`,
		"--tls-client-ca " + ca:                                          `--tls-cert is "", want a certificate, or no --tls-client-ca`,
		"--tls-client-auth require" + both:                               `--tls-client-ca is "", want the authorities of callers' certificates, which --tls-client-auth asks for`,
		"--tls-client-auth maybe" + both:                                 `--tls-client-auth is "maybe", want one of none, request, require`,
		"--tls-client-crl x" + both:                                      `--tls-client-ca is "", want the authorities whose lists --tls-client-crl has`,
		"--tls-cert " + cert + " --tls-key " + other:                     `tls-cert is "` + cert + `", want a certificate in PEM, and its key in ` + other + `: tls: private key does not match public key`,
		"--tls-cert " + bad + " --tls-key " + key:                        `tls-cert is "` + bad + `", want a certificate in PEM, and its key in `,
		"--tls-cert x --tls-key " + key:                                  `tls-cert is "x", want a file that can be read: no such file or directory`,
		both + " --tls-client-ca " + bad:                                 `tls-client-ca is "` + bad + `", want certificates in PEM: it has none`,
		both + " --tls-client-ca " + ca + " --tls-client-crl " + bad:     `tls-client-crl is "` + bad + `", want lists of revoked certificates: `,
		both + " --tls-client-ca " + ca + " --tls-client-crl " + foreign: `tls-client-crl is "` + foreign + `", want lists of revoked certificates: x509: ECDSA verification failure`,
	} {
		code, _, stderr := runGateway(t, "serve --check "+args, nil, "")
		if code != exitUsage || !strings.HasPrefix(stderr, "gateway: "+want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s:\n got %d %s\nwant 2 gateway: %s", args, code, stderr, want)
		}
	}
}

func TestAReloadTakesAPairWholeOrNotAtAll(t *testing.T) {
	authority := certstest.New(t, "lab")
	first, second := authority.Server(), authority.Server()
	g := startWith(t, "tls-cert: DIR/tls.crt\ntls-key: DIR/tls.key\n", map[string]string{"tls.crt": string(first.PEM), "tls.key": string(first.Key)},
		"--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0")
	secure := g.url
	g.url = g.urls[1] // metrics
	c := secureClient(t, false, authority)
	shown(t, c, secure)
	if serial, resumed := shown(t, c, secure); serial != first.Cert.SerialNumber.String() || !resumed {
		t.Errorf("got the certificate %s, resumed %v, want %s and a session that goes on", serial, resumed, first.Cert.SerialNumber)
	}
	g.hangUp(t) // nothing has changed
	if _, resumed := shown(t, c, secure); !resumed {
		t.Error("a reload without changes ended sessions")
	}

	write(t, g.dir, "tls.crt", string(second.PEM))
	if line := g.hangUp(t); line["level"] != "error" || !strings.Contains(fmt.Sprint(line["error"]), "private key does not match") {
		t.Errorf("half a pair: got %v", line)
	}
	if serial, _ := shown(t, c, secure); serial != first.Cert.SerialNumber.String() || g.metric(t, "config_last_reload_successful") != "0" {
		t.Errorf("half a pair is in force, or the metric is not 0")
	}

	write(t, g.dir, "tls.key", string(second.Key))
	g.hangUp(t)
	if serial, resumed := shown(t, c, secure); serial != second.Cert.SerialNumber.String() || resumed || g.metric(t, "config_last_reload_successful") != "1" {
		t.Errorf("got the certificate %s, resumed %v, want %s and a new session", serial, resumed, second.Cert.SerialNumber)
	}
	if got, want := g.metric(t, `tls_expiry_timestamp_seconds{file="tls-cert"}`), fmt.Sprint(float64(second.Cert.NotAfter.Unix())); got != want {
		t.Errorf("the metric of its end is %s, want %s", got, want)
	}

	for _, config := range []string{"", "tls-cert: DIR/tls.crt\ntls-key: DIR/none\n"} {
		g.write(t, config)
		if line := g.hangUp(t); line["level"] != "error" {
			t.Errorf("%q: got %v, want an error", config, line)
		}
	}
	if serial, _ := shown(t, c, secure); serial != second.Cert.SerialNumber.String() {
		t.Error("a reload that was refused has changed the certificate")
	}
}

func TestAReloadNeverAsksCallersForLess(t *testing.T) {
	authority, next := certstest.New(t, "lab"), certstest.New(t, "next")
	pair, old := authority.Server(), authority.Client("a.lab")
	const config = "tls-cert: DIR/tls.crt\ntls-key: DIR/tls.key\ntls-client-ca: DIR/ca.crt\n"
	g := startWith(t, config, map[string]string{"tls.crt": string(pair.PEM), "tls.key": string(pair.Key), "ca.crt": string(authority.PEM)},
		"--listen", "127.0.0.1:0")
	ask := func(pairs ...certstest.Pair) error {
		r, err := secureClient(t, true, authority, pairs...).Get(g.url + "/services")
		if err == nil {
			r.Body.Close()
		}
		return err
	}
	if err := ask(); err == nil {
		t.Error("without a certificate, which tls-client-ca asks for, a caller was answered")
	}
	if err := ask(old); err != nil {
		t.Error(err)
	}
	g.write(t, config+"tls-client-auth: request\n")
	if line := g.hangUp(t); !strings.Contains(fmt.Sprint(line["error"]), `tls-client-auth is "request", want at least "require"`) {
		t.Errorf("got %v", line)
	}
	if err := ask(); err == nil {
		t.Error("a reload asks callers for less")
	}

	g.write(t, config)
	write(t, g.dir, "ca.crt", string(next.PEM))
	g.hangUp(t)
	if err := ask(old); err == nil {
		t.Error("a certificate of the authority that was is still taken")
	}
	if err := ask(next.Client()); err != nil {
		t.Errorf("a certificate of the new authority: %v", err)
	}
}

// The files change as Kubernetes changes those of a secret that is mounted: all at once, by a link. Nobody is told; the
// gateway sees it within some seconds, and no call fails.
func TestAPairThatChangesUnderLoadFailsNoCall(t *testing.T) {
	t.Parallel()
	authority, mount := certstest.New(t, "lab"), t.TempDir()
	put := func(name string, pair certstest.Pair) {
		dir := filepath.Join(mount, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		pair.Write(dir)
		if err := os.Symlink(name, filepath.Join(mount, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	put("..1", authority.Server())
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	// On a busy machine a call may wait for longer than the second that it may by default: that is not what is tested.
	c := spawn(t, "serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*", "--queue-timeout", "2m", "--connect-timeout", "2m",
		"--tls-cert", filepath.Join(mount, "tls.crt"), "--tls-key", filepath.Join(mount, "tls.key"))
	url := "https://" + c.logged(t, "listening", "address")
	c.logged(t, "ready for calls", "url")
	probe := secureClient(t, false, authority)
	eventually(t, "the demo worker is there", func() bool {
		return request(t, probe, "POST", url+"/services/echo", "application/json", `{}`).status == 200
	})

	var stop atomic.Bool
	var calls, connections atomic.Int64
	var callers sync.WaitGroup
	for i := range 8 {
		client := secureClient(t, i%2 == 0, authority)
		callers.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if n%5 == 0 { // a new connection
					client.CloseIdleConnections()
					connections.Add(1)
				}
				r, err := client.Post(url+"/services/echo", "application/json", strings.NewReader(`{"body":"hi"}`))
				if err != nil {
					t.Error(err)
					return
				}
				r.Body.Close()
				if r.StatusCode != 200 {
					t.Errorf("a call got %d", r.StatusCode)
				}
				calls.Add(1)
				<-time.After(10 * time.Millisecond)
			}
		})
	}
	second := authority.Server()
	put("..2", second)
	eventually(t, "the new certificate is shown", func() bool {
		serial, _ := shown(t, probe, url)
		return serial == second.Cert.SerialNumber.String()
	})
	after := calls.Load()
	eventually(t, "calls go on", func() bool { return calls.Load() > after+100 })
	stop.Store(true)
	callers.Wait()
	t.Logf("%d calls over %d connections", calls.Load(), connections.Load())
}

func TestOverTLSAloneAnyNameIsAnswered(t *testing.T) {
	authority := certstest.New(t, "lab")
	cert, key := authority.Server("mdp.lab").Write(t.TempDir())
	for args, want := range map[string]int{
		"--listen https://127.0.0.1:0": 200, "--listen https://127.0.0.1:0 --listen http://127.0.0.1:0": 403,
		"--listen https://0.0.0.0:0 --embedded --access open": 200,
		"--listen https://127.0.0.1:0 --allowed-hosts a.lab":  403,
	} {
		g := start(t, append(strings.Fields(args), "--tls-cert", cert, "--tls-key", key)...)
		r, err := http.NewRequest("GET", strings.Replace(g.url, "[::]", "127.0.0.1", 1)+"/services", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "mdp.lab"
		if a, err := do(secureClient(t, false, authority), r); err != nil || a.status != want {
			t.Errorf("%s: got %d, %v, want %d", args, a.status, err, want)
		}
		g.end()
	}
}

func TestHealthcheckAsksOverTLS(t *testing.T) {
	authority, dir := certstest.New(t, "lab"), t.TempDir()
	cert, key := authority.Issue(func(c *x509.Certificate) { c.DNSNames = []string{"mdp.lab"} }).Write(dir) // not for an address
	pair, ca := []string{"--tls-cert", cert, "--tls-key", key}, []string{"--tls-client-ca", certstest.Write(t, dir, "ca.crt", authority.PEM)}
	check := func(code int, stderr string, args ...string) {
		t.Helper()
		got, _, text := runGateway(t, "healthcheck "+strings.Join(args, " "), nil, "")
		if got != code || !strings.Contains(text, stderr) || stderr == "" && text != "" {
			t.Errorf("healthcheck %v: got %d %s, want %d %s", args, got, text, code, stderr)
		}
	}
	port := func(url string) string { return url[strings.LastIndexByte(url, ':'):] }

	g := start(t, append(pair, "--listen", "127.0.0.1:0")...)
	check(exitOK, "", append(pair, "--listen", port(g.url))...)
	check(exitFailed, "This port speaks HTTPS.", "--listen", port(g.url))
	g.end()

	g = start(t, append(append(pair, ca...), "--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0", "--admin-listen", "127.0.0.1:0")...)
	secure, clear, admin := port(g.urls[0]), port(g.urls[1]), port(g.admin)
	check(exitOK, "", append(append(pair, ca...), "--listen", secure, "--listen", "http://"+clear)...)
	check(exitOK, "", append(append(pair, ca...), "--listen", secure, "--admin-listen", admin)...)
	check(exitUsage, "this command has no certificate to show", append(append(pair, ca...), "--listen", secure)...)
}
