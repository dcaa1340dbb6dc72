package main

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/certs/certstest"
	"mdpgateway/internal/oidc/oidctest"
)

func TestTheCheckSaysWhatACallerMayDoAndWhy(t *testing.T) {
	signer, authority, dir := oidctest.NewSigner(t), certstest.New(t, "lab"), t.TempDir()
	certFile, keyFile := authority.Server().Write(dir)
	pemOf := func(name string) string { return string(authority.Client(name).PEM) + string(authority.PEM) }
	expired := authority.Issue(func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage, c.NotAfter = []string{"x.hall.lab"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, time.Now().Add(-time.Minute)
	})
	secret, entry := newKey(t, "web")
	config := indented("access", strings.Replace(entry, "['*']", "[echo, 'lora_*'], rate: 50/s, max_jobs: 7, expires: 2099-01-01", 1), `- id: hall
  owner: halls
  certificate: {dns: "*.hall.lab"}
  services: ["*"]
- id: students
  token: {issuer: "`+signer.URL+`", claims: {groups: students}}
  services: [fm_demod]
- {id: scraper, certificate: {dns: scraper.lab}, metrics: true}
`) + "tls-cert: " + certFile + "\ntls-key: " + keyFile + "\ntls-client-ca: " + certstest.Write(t, dir, "ca.crt", authority.PEM) + "\n" +
		"issuers:\n  - {issuer: '" + signer.URL + "', audience: mdp-gateway}\n"
	past := time.Now().Add(-time.Minute)
	student := signer.Token(t, map[string]any{"groups": []string{"students"}})
	const limits = "  rate: any\n  max_in_flight: any\n  max_jobs: any\n"
	for _, c := range []struct {
		name, proof, args string
		code              int
		stdout, stderr    string
	}{
		{"a key", secret + "\n", "", exitOK, "the key is that of the principal web\n  owner: web\n  services: echo, lora_*\n  metrics: false\n" +
			"  expires: 2099-01-01T00:00:00Z\n  rate: 50/s\n  max_in_flight: any\n  max_jobs: 7\n", ""},
		{"a key and services", secret, "--service lora_decode", exitOK, "it may call lora_decode\n", ""},
		{"a key and another service", secret, "--service echo --service sleep", exitFailed, "it may call echo\n", "it may not call sleep: none of its services matches"},
		{"a wrong key", "mdpgw_wrong", "", exitFailed, "", "the key is refused: the key is not valid"},
		{"a certificate", pemOf("x.hall.lab"), "", exitOK, "the certificate is that of the principal hall\n  subject: x.hall.lab\n  owner: halls\n  services: *\n  metrics: false\n  expires: never\n" + limits, ""},
		{"a certificate that has expired", string(expired.PEM), "", exitFailed, "", "the certificate is refused in the handshake: x509: certificate has expired or is not yet valid"},
		{"a certificate of another authority", string(certstest.New(t, "evil").Client("x.hall.lab").PEM), "", exitFailed, "", "the certificate is refused in the handshake: x509: certificate signed by unknown authority"},
		{"nobody's certificate", pemOf("evil.lab"), "", exitFailed, "", `its names are no principal's; its names are uri [], dns ["evil.lab"], cn "leaf"`},
		{"a scraper", pemOf("scraper.lab"), "--service echo", exitFailed, "  owner: scraper\n  metrics: true\n  expires: never\n" + limits, "it may not call echo"},
		{"a token", student, "--service fm_demod", exitOK, "the token is that of the principal students\n  subject: alice\n  owner: students/alice\n  services: fm_demod\n  metrics: false\n  expires: never\n" + limits + "it may call fm_demod\n", ""},
		{"a token of other claims", signer.Token(t, map[string]any{"groups": "staff"}), "", exitFailed, "", `its claims are no principal's; it says "{`},
		{"a token for others", signer.Token(t, map[string]any{"aud": "x"}), "", exitFailed, "", "audience"},
		{"an expired token", signer.Token(t, map[string]any{"groups": "students", "exp": past.Add(-time.Hour).Unix()}), "", exitFailed, "", "the token has expired (it is that of the principal students)"},
		{"no certificate", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "", exitUsage, "", "--as has no certificate in its PEM"},
	} {
		path := write(t, t.TempDir(), "proof", c.proof)
		code, stdout, stderr := runGateway(t, "access check --config FILE --as "+path+" "+c.args, nil, config)
		if code != c.code || !strings.HasSuffix(stdout, c.stdout) || c.stdout == "" && stdout != "" || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("%s: got %d\n%s\n%s, want %d\n%s\n%s", c.name, code, stdout, stderr, c.code, c.stdout, c.stderr)
		}
		if strings.Contains(stdout+stderr, secret) {
			t.Errorf("%s: the output shows the key", c.name)
		}
	}
	if code, _, stderr := runGateway(t, "access check --as "+secret, nil, ""); code != exitUsage || strings.Contains(stderr, secret) {
		t.Errorf("a key in place of a file: got %d %s, want it refused and not shown", code, stderr)
	}
	path := write(t, t.TempDir(), "proof", secret)
	if code, stdout, _ := runGateway(t, "access check --as "+path, nil, ""); code != exitOK || !strings.HasPrefix(stdout, "anyone who reaches the port may call every service") {
		t.Errorf("without a list: got %d %s", code, stdout)
	}
}
