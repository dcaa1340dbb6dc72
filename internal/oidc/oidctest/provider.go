// Package oidctest runs a real OpenID provider in tests: tools/provider, which `make provider` builds.
package oidctest

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The provider's clients, and a user of it with the groups lab and students.
const (
	Audience = "mdp-gateway"
	Other    = "other"
	User     = "test-user@localhost"
	Password = "verysecure"
)

// required is set where a test must not be skipped for want of the provider.
const required = "MDP_PROVIDER_REQUIRED"

// callback is where a login returns to. Nothing listens there.
const callback = "http://127.0.0.1/callback"

// A Provider is a running one.
type Provider struct {
	URL   string // of the issuer
	cmd   *exec.Cmd
	lines *bufio.Scanner // of its output
}

// Start runs a provider with a new signing key until the test ends. Where it is not built the test is skipped, unless
// MDP_PROVIDER_REQUIRED is set.
func Start(t testing.TB) *Provider {
	t.Helper()
	return StartAt(t, "127.0.0.1:0", callback)
}

// StartAt is Start with an address, and the page that a login returns to.
func StartAt(t testing.TB, address, page string) *Provider {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	binary := filepath.Join(filepath.Dir(here), "../../../bin/provider")
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv(required) != "" {
			t.Fatalf("%v; make provider builds it", err)
		}
		t.Skipf("%v; make provider builds it", err)
	}
	p := &Provider{cmd: exec.Command(binary, address, page)}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = withTest()
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	p.lines = bufio.NewScanner(out)
	p.URL = p.line(t)
	return p
}

// Stop ends the provider; once more it does nothing.
func (p *Provider) Stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Rotate makes it sign by a new key. That of before stays published.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	p.line(t)
}

func (p *Provider) line(t testing.TB) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("the provider has ended: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// Login returns an ID token of the user for a client, as a program or page gets one: by the authorization code flow with
// PKCE (RFC 7636).
func (p *Provider) Login(t testing.TB, client string) string {
	t.Helper()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	browser := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	location := p.follow(t, browser, p.URL+"/auth?"+url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email"}, "state": {"x"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
	location = p.follow(t, browser, p.URL+"/login/username", url.Values{
		"username": {User}, "password": {Password}, "id": {location.Query().Get("authRequestID")},
	})
	location = p.follow(t, browser, location.String(), nil)
	response, err := browser.PostForm(p.URL+"/oauth/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {location.Query().Get("code")}, "redirect_uri": {callback},
		"client_id": {client}, "code_verifier": {verifier},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var tokens struct {
		ID string `json:"id_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&tokens); err != nil || strings.Count(tokens.ID, ".") != 2 {
		t.Fatalf("the provider answers %s, %v, want a token", response.Status, err)
	}
	return tokens.ID
}

// follow returns where a page leads to; with a form it is posted.
func (p *Provider) follow(t testing.TB, browser *http.Client, address string, form url.Values) *url.URL {
	t.Helper()
	var response *http.Response
	var err error
	if form == nil {
		response, err = browser.Get(address)
	} else {
		response, err = browser.PostForm(address, form)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	to, err := response.Location()
	if err != nil {
		t.Fatalf("%s answers %s, want a redirect", address, response.Status)
	}
	return to
}
