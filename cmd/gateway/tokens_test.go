package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mdpgateway/internal/oidc/oidctest"
)

// A whole gateway, a real provider, and callers with its tokens.
func TestTokensOfARealProviderHoldForTheWholeProgram(t *testing.T) {
	p := oidctest.Start(t)
	const list = `issuers:
  - {issuer: URL, audience: mdp-gateway, algorithms: [RS256]}
access:
  - id: students
    token: {issuer: URL, claims: {groups: GROUP, email_verified: true}}
    services: [echo]
`
	config := func(group string) string { return strings.NewReplacer("URL", p.URL, "GROUP", group).Replace(list) }
	g := startWith(t, config("students"), nil, "--admin-listen", "127.0.0.1:0", "--audit-log", "stderr")
	bearer := []string{"Authorization", "Bearer " + p.Login(t, oidctest.Audience)}
	call := func(service string) answered { return g.post(service, `{"body":"hi"}`, bearer...) }
	eventually(t, "the demo worker is there", func() bool { return call("echo").status == http.StatusOK })
	problem(t, call("sleep"), 403, "forbidden", "no")
	problem(t, g.post("echo", `{}`), 401, "unauthorized", "no")
	problem(t, g.post("echo", `{}`, "Authorization", "Bearer "+p.Login(t, oidctest.Other)), 401, "unauthorized", "no")
	if metrics := string(request(t, newClient(t), http.MethodGet, g.admin+"/metrics", "", "").body); !strings.Contains(metrics, fmt.Sprintf("mdp_gateway_token_issuer_keys{issuer=%q} 1\n", p.URL)) ||
		!strings.Contains(metrics, `mdp_gateway_auth_requests_total{principal="students",result="forbidden"} 1`) {
		t.Errorf("the metrics do not tell of the issuer and the principal: %s", metrics)
	}

	p.Stop() // what it has signed is good for as long as it says
	if a := call("echo"); a.status != 200 {
		t.Errorf("while the provider is away: got %d %s", a.status, a.body)
	}
	g.write(t, config("nobody"))
	if line := g.hangUp(t); line["level"] != "error" {
		t.Errorf("a reload that locks everyone out is logged as %v", line)
	}
	_, entry := newKey(t, "web")
	g.write(t, config("nobody")+"  "+entry)
	if line := g.hangUp(t); line["level"] != "error" {
		t.Errorf("a reload that locks everyone out, but for a new key, is logged as %v", line)
	}
	g.write(t, config("students")+"  "+entry)
	if line := g.hangUp(t); line["level"] != "info" || call("echo").status != 200 {
		t.Errorf("a reload that adds a key is logged as %v, and then a token gets %d, want its issuer's keys kept", line, call("echo").status)
	}
	g.end()
	token := strings.TrimPrefix(bearer[1], "Bearer ")
	audited := false
	for _, line := range g.lines() {
		if text := fmt.Sprint(line); strings.Contains(text, token[len(token)-40:]) {
			t.Errorf("the log shows the token: %s", text)
		}
		audited = audited || line["principal"] == "students" && line["subject"] != nil
	}
	if !audited {
		t.Error("no line of the audit log names the principal and the subject of its token")
	}
}

// The console logs in at an issuer whose tokens are taken.
func TestTheConsolesIssuerIsOneOfTheList(t *testing.T) {
	const issuers = "issuers: [{issuer: https://a.lab, audience: x}, {issuer: https://b.lab, audience: x}]\n"
	const list = issuers + "access: [{id: a, token: {issuer: https://a.lab, claims: {sub: \"*\"}}, services: [\"*\"]}]\n"
	code, stdout, stderr := runGateway(t, "serve --check --config FILE", nil, list+"console: {oidc: {issuer: https://a.lab, client_id: page}}\n")
	if code != exitOK || !strings.Contains(stdout, "\nconsole: {oidc: {issuer: 'https://a.lab', client_id: page}}\n") {
		t.Errorf("got %d %s %s", code, stdout, stderr)
	}
	for text, want := range map[string]string{
		list + "console: {oidc: {issuer: https://c.lab, client_id: page}}":                                    `console.oidc.issuer is "https://c.lab", want one of https://a.lab, https://b.lab`,
		list + "console: {oidc: {issuer: https://a.lab}}":                                                     "console.oidc has no client_id, want what the console is called at the issuer",
		list + "console: {oidc: {issuer: https://a.lab, client_id: ''}}":                                      `console.oidc.client_id is "", want what the console is called at the issuer`,
		list + "console: {login: 1}":                                                                          "console.login is no key here, want one of oidc",
		list + "console: [true]":                                                                              "console is a list, want keys and values",
		issuers + "access: open\nconsole: {oidc: {issuer: https://a.lab, client_id: page}}":                   `console.oidc.issuer is "https://a.lab", want an issuer of the list issuers, and principals with its tokens`,
		"console: {oidc: {issuer: https://a.lab, client_id: page}}":                                           `console.oidc.issuer is "https://a.lab", want an issuer of the list issuers, and principals with its tokens`,
		strings.ReplaceAll(list, "a.lab", "*.lab") + "console: {oidc: {issuer: https://*.lab, client_id: p}}": `console.oidc.issuer is "https://*.lab", want a URL such as https://login.lab`,
	} {
		code, _, stderr := runGateway(t, "serve --check --config FILE", nil, text+"\n")
		if code != exitUsage || !strings.HasPrefix(stderr, "gateway: gateway.yaml:") || !strings.HasSuffix(stderr, want+"\n") {
			t.Errorf("%s: got %d %s want %s", text, code, stderr, want)
		}
	}
}

// An issuer that can't be used stops the start with one line.
func TestABadIssuerStopsTheStartWithOneLine(t *testing.T) {
	const url = "want a URL such as https://login.lab; http only on loopback"
	for issuer, want := range map[string]string{
		"{audience: x}":                                                              "issuers[0] has no issuer, " + url,
		"{issuer: https://a.lab}":                                                    "issuers[0] has no audience, want what tokens for this gateway name in aud",
		"{issuer: http://a.lab, audience: x}":                                        `issuers[0].issuer is "http://a.lab", ` + url,
		"{issuer: https://u:p@a.lab, audience: x}":                                   "issuers[0].issuer has a user or password, " + url,
		"{issuer: https://a.lab, audience: x, algorithms: [HS256]}":                  `issuers[0].algorithms[0] is "HS256", want one of RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512, EdDSA`,
		"{issuer: https://a.lab, audience: x, algorithms: [none]}":                   `issuers[0].algorithms[0] is "none", want one of RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512, EdDSA`,
		"{issuer: https://a.lab, audience: x, skew: 1h}":                             `issuers[0].skew is "1h", want a duration from 0s to 10m, such as 60s`,
		"{issuer: https://a.lab, audience: x, ca_file: /nowhere/ca.pem}":             `issuers[0].ca_file is "/nowhere/ca.pem", want a file with certificates (PEM): no such file or directory`,
		"{issuer: https://a.lab, audience: x}, {issuer: https://a.lab, audience: y}": `issuers[1] is "https://a.lab" once more, want each issuer once`,
	} {
		code, _, stderr := runGateway(t, "serve --check --config FILE", nil, "issuers: ["+issuer+"]\n")
		if code != exitUsage || !strings.HasPrefix(stderr, "gateway: gateway.yaml:") || !strings.HasSuffix(stderr, want+"\n") {
			t.Errorf("%s: got %d %s want %s", issuer, code, stderr, want)
		}
	}
}
