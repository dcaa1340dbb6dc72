package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// configuration is what openssl ca needs to act as an authority in its working directory.
const configuration = `
[ca]
default_ca = this
[this]
database = index.txt
serial = serial
crlnumber = serial
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = any
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[client]
extendedKeyUsage = clientAuth
subjectAltName = DNS:a.hall.lab, URI:spiffe://lab/hall/a
[server]
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[any-use]
basicConstraints = CA:FALSE
`

// An authority is the directory of an authority that openssl keeps.
type authority struct {
	t   *testing.T
	dir string
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{t, t.TempDir()}
	a.prepare()
	a.openssl("req", "-config", "ca.cnf", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN="+name, "-extensions", "authority", "-days", "30")
	return a
}

func (a authority) prepare() {
	a.t.Helper()
	for name, text := range map[string]string{"ca.cnf": configuration, "index.txt": "", "serial": "1000"} {
		if err := os.WriteFile(a.path(name), []byte(text), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a authority) openssl(args ...string) {
	a.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = a.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// issue makes a certificate and its key, of the extensions in that section of the configuration.
func (a authority) issue(name, section string, args ...string) {
	a.t.Helper()
	a.openssl("req", "-config", "ca.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", name+".key", "-out", name+".csr", "-subj", "/CN="+name)
	a.openssl(append([]string{"ca", "-batch", "-notext", "-config", "ca.cnf", "-in", name + ".csr", "-out", name + ".crt", "-extensions", section}, args...)...)
}

// below makes an intermediate authority.
func (a authority) below(name string) authority {
	a.t.Helper()
	a.issue(name, "authority")
	b := authority{a.t, a.t.TempDir()}
	b.prepare()
	for from, to := range map[string]string{name + ".crt": "ca.crt", name + ".key": "ca.key"} {
		if err := os.WriteFile(b.path(to), a.read(from), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return b
}

// revoke makes the list of revoked certificates, in ca.crl.
func (a authority) revoke(args []string, names ...string) {
	a.t.Helper()
	for _, name := range names {
		a.openssl("ca", "-config", "ca.cnf", "-revoke", name+".crt")
	}
	a.openssl(append([]string{"ca", "-config", "ca.cnf", "-gencrl", "-out", "ca.crl"}, args...)...)
}

func (a authority) read(name string) []byte {
	a.t.Helper()
	data, err := os.ReadFile(a.path(name))
	if err != nil {
		a.t.Fatal(err)
	}
	return data
}

// pair returns a certificate, what is sent after it, and its key.
func (a authority) pair(name string, after ...[]byte) *tls.Certificate {
	a.t.Helper()
	chain := a.read(name + ".crt")
	for _, data := range after {
		chain = append(chain, data...)
	}
	pair, err := tls.X509KeyPair(chain, a.read(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return &pair
}

// join writes several files into one.
func join(t *testing.T, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "joined")
	if err := os.WriteFile(path, []byte(strings.Join(stringsOf(parts), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func stringsOf(parts [][]byte) (all []string) {
	for _, part := range parts {
		all = append(all, string(part))
	}
	return all
}

// handshake returns what a listener with that Set makes of a caller.
func handshake(t *testing.T, set *Set, roots *x509.CertPool, version uint16, pair *tls.Certificate) (*tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	left := make(chan struct{})
	go func() {
		defer close(left)
		config := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: version, MaxVersion: version}
		if pair != nil { // also if the listener's authorities do not include its own
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
		}
		c, err := tls.Dial("tcp", l.Addr().String(), config)
		if err == nil {
			_, _ = c.Read(make([]byte, 1)) // until the listener has decided
			c.Close()
		}
	}()
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := NewStore(set).Server(raw)
	defer func() {
		raw.Close()
		<-left
	}()
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	return c.State()
}

// Chains that openssl has made hold or do not, by both versions of TLS.
func TestAChainOfOpenSSLHoldsOrNot(t *testing.T) {
	t.Parallel()
	root, other := newAuthority(t, "root"), newAuthority(t, "other")
	root.issue("listener", "server")
	root.issue("good", "client")
	root.issue("revoked", "client")
	root.issue("expired", "client", "-startdate", "20200101000000Z", "-enddate", "20210101000000Z")
	root.issue("early", "client", "-startdate", "20980101000000Z", "-enddate", "20990101000000Z")
	root.issue("server", "server")
	root.issue("any", "any-use")
	other.issue("foreign", "client")
	middle, gone := root.below("middle"), root.below("gone")
	middle.issue("leaf", "client")
	gone.issue("leaf", "client")
	root.revoke(nil, "revoked", "gone")
	middle.revoke(nil)
	gone.revoke(nil)
	lists := join(t, root.read("ca.crl"), middle.read("ca.crl"), gone.read("ca.crl"))
	root.revoke([]string{"-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20210101000000Z"})
	outdated := root.path("ca.crl")
	rootList := join(t, middle.read("ca.crl")) // of another issuer than most
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root.read("ca.crt"))

	for _, c := range []struct {
		name, auth, crl string
		pair            *tls.Certificate
		want            string // in the error; "" if it holds
	}{
		{"good", Require, "", root.pair("good"), ""},
		{"good, and a list", Request, lists, root.pair("good"), ""},
		{"for any use", Require, "", root.pair("any"), ""},
		{"by an intermediate", Require, lists, middle.pair("leaf", middle.read("ca.crt")), ""},
		{"by an intermediate that is not sent", Require, "", middle.pair("leaf"), "unknown authority"},
		{"by an intermediate that was revoked", Require, lists, gone.pair("leaf", gone.read("ca.crt")), "is revoked"},
		{"expired", Request, "", root.pair("expired"), "expired or is not yet valid"},
		{"not yet valid", Request, "", root.pair("early"), "expired or is not yet valid"},
		{"of another authority", Request, "", other.pair("foreign"), "unknown authority"},
		{"for servers", Request, "", root.pair("server"), "incompatible key usage"},
		{"revoked, and no list", Require, "", root.pair("revoked"), ""},
		{"revoked", Request, lists, root.pair("revoked"), "is revoked"},
		{"good, and a list that is out of date", Request, outdated, root.pair("good"), "out of date"},
		{"good, and no list of its issuer", Request, rootList, root.pair("good"), "there is no list"},
		{"none", Request, lists, nil, ""},
		{"none, where one is required", Require, "", nil, "didn't provide a certificate"},
		{"not asked for", None, "", root.pair("expired"), ""},
	} {
		set, err := Read(Files{
			Cert: root.path("listener.crt"), Key: root.path("listener.key"), ClientCA: root.path("ca.crt"), ClientCRL: c.crl, ClientAuth: c.auth,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			state, err := handshake(t, set, roots, version, c.pair)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s, %s: got %v, want an error with %q", c.name, tls.VersionName(version), err, c.want)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", c.name, tls.VersionName(version), err)
				continue
			}
			if shown := c.pair != nil && c.auth != None; (len(state.VerifiedChains) == 1) != shown {
				t.Errorf("%s, %s: %d chains hold", c.name, tls.VersionName(version), len(state.VerifiedChains))
			}
		}
	}
}

func TestAListOfOneAuthorityIsSignedByIt(t *testing.T) {
	t.Parallel()
	root, namesake := newAuthority(t, "root"), newAuthority(t, "root")
	root.issue("listener", "server")
	root.revoke(nil)
	namesake.revoke(nil)
	files := Files{Cert: root.path("listener.crt"), Key: root.path("listener.key"), ClientCA: root.path("ca.crt"), ClientAuth: Require}
	root.openssl("crl", "-in", "ca.crl", "-outform", "DER", "-out", "ca.der")
	for list, want := range map[string]bool{root.path("ca.crl"): true, root.path("ca.der"): true, namesake.path("ca.crl"): false, root.path("ca.crt"): false} {
		files.ClientCRL = list
		if _, err := Read(files); (err == nil) != want {
			t.Errorf("%s: got %v, want it taken: %v", list, err, want)
		}
	}
}
