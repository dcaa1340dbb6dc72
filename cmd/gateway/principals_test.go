package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"mdpgateway/internal/certs/certstest"
)

// indented makes the entries of a list those of a key of the settings file.
func indented(key string, entries ...string) string {
	return key + ":\n  " + strings.ReplaceAll(strings.TrimSpace(strings.Join(entries, "")), "\n", "\n  ") + "\n"
}

// The list of principals is the same wherever it stands.
func TestPrincipalsStandInTheSettingsOrInAFileOfTheirOwn(t *testing.T) {
	secret, entry := newKey(t, "web")
	for name, config := range map[string]string{
		"in the settings":    indented("access", entry),
		"in an access file":  "access-file: DIR/list.yaml\n",
		"in a keys file":     "keys-file: DIR/list.yaml\n",
		"in the short form":  "keys-file: DIR/short.yaml\n",
		"among the settings": indented("access", entry) + "log-level: debug\nservices:\n  echo: {}\n",
	} {
		short := strings.NewReplacer("key: {", "", "'}, services", "', services").Replace(entry)
		g := startWith(t, config, map[string]string{"list.yaml": entry, "short.yaml": short})
		eventually(t, name+": the key lets in", func() bool {
			return g.post("echo", `{}`, "Authorization", "Bearer "+secret).status == http.StatusOK
		})
		problem(t, g.post("echo", `{}`), 401, "unauthorized", "no")
		g.end()
	}
}

func TestOnlyOneListSaysWhoMayCall(t *testing.T) {
	_, entry := newKey(t, "web")
	path := write(t, t.TempDir(), "list.yaml", entry)
	const together = " are there together, want one of them"
	for _, c := range []struct{ args, config, want string }{
		{"--config FILE --access open", indented("access", entry), "--access and gateway.yaml: access" + together},
		{"--config FILE --access-file " + path, indented("access", entry), "gateway.yaml: access and --access-file" + together},
		{"--access-file " + path + " --keys-file " + path, "", "--access-file and --keys-file" + together},
		{"--access open --access-file " + path, "", "--access and --access-file" + together},
		{"--config FILE", "access: closed\n", `gateway.yaml:1: access is "closed", want open`},
		{"--config FILE", "access: {id: a}\n", "gateway.yaml:1: access is a mapping, want a list of principals such as {id, key, services}"},
		{"--config FILE", "access: []\n", "gateway.yaml:1: access is empty, want at least one principal"},
		{"--config FILE", "log-level: info\naccess:\n- {id: a, key: {sha256: mdpgw_secret}, services: [echo]}\n", "gateway.yaml:3: access[0].key.sha256 is not what it should be, want the 64 hex digits of the key's SHA-256"},
		{"--access-file " + write(t, t.TempDir(), "cut.yaml", strings.TrimSpace(entry)), "", "want a file that ends in a line break: this one may be half written"},
	} {
		if code, stdout, stderr := runGateway(t, "serve --check "+c.args, nil, c.config); code != exitUsage || stdout != "" || !strings.HasSuffix(stderr, c.want+"\n") {
			t.Errorf("%s %q: got %d %q %s want %s", c.args, c.config, code, stdout, stderr, c.want)
		}
	}
}

// What the check prints is a file that lets the same callers in.
func TestTheCheckPrintsTheList(t *testing.T) {
	_, entry := newKey(t, "web")
	_, printed, _ := runGateway(t, "serve --check --config FILE", nil, indented("access", entry)+"listen: 0.0.0.0:0\nembedded: true\n")
	code, again, stderr := runGateway(t, "serve --check --config FILE", nil, printed)
	if code != exitOK || again != printed || !strings.Contains(printed, "id: 'web'") {
		t.Errorf("got %d %s, and\n%s, want what it was made from:\n%s", code, stderr, again, printed)
	}
}

func TestAReloadMovesTheListFromOnePlaceToAnother(t *testing.T) {
	secret, entry := newKey(t, "web")
	_, other := newKey(t, "other")
	g := startWith(t, "keys-file: DIR/keys.yaml\n", map[string]string{"keys.yaml": entry})
	try := func() string {
		return fmt.Sprint(g.post("echo", `{}`, "Authorization", "Bearer "+secret).status, g.post("echo", `{}`).status)
	}
	eventually(t, "the demo worker is there", func() bool { return try() == "200 401" })
	for _, c := range []struct{ config, level string }{
		{indented("access", entry, other), "info"},
		{indented("access", other), "info"}, // one of those in force is left
		{indented("access", entry), "error"},
		{"access: open\n", "error"},
		{indented("access", other, entry), "info"},
	} {
		g.write(t, c.config)
		line := g.hangUp(t)
		want := "200 401"
		if !strings.Contains(c.config, "'web'") && c.level == "info" || strings.Contains(c.config, "'web'") && c.level == "error" || c.config == "access: open\n" {
			want = "401 401"
		}
		if got := try(); line["level"] != c.level || got != want {
			t.Errorf("%q: logged as %v, the key and no key get %s, want level %s and %s", c.config, line, got, c.level, want)
		}
	}
	if n := g.warned("settings have changed that need a restart"); n != 0 {
		t.Errorf("the log warns %d times that a restart is needed, want it to need none", n)
	}
}

func TestACertificateLetsItsPrincipalIn(t *testing.T) {
	authority := certstest.New(t, "lab")
	server := authority.Server()
	secret, entry := newKey(t, "web")
	g := startWith(t, "tls-cert: DIR/tls.crt\ntls-key: DIR/tls.key\ntls-client-ca: DIR/ca.crt\ntls-client-auth: request\naudit-log: stderr\n"+
		indented("access", entry, "- {id: hall, certificate: {dns: '*.hall.lab'}, services: [echo]}\n"),
		map[string]string{"tls.crt": string(server.PEM), "tls.key": string(server.Key), "ca.crt": string(authority.PEM)})
	call := func(service string, h2 bool, names []string, header ...string) answered {
		var pairs []certstest.Pair
		if names != nil {
			pairs = append(pairs, authority.Client(names...))
		}
		return request(t, secureClient(t, h2, authority, pairs...), "POST", g.url+"/services/"+service, "application/json", `{}`, header...)
	}
	hall := []string{"x.hall.lab"}
	for _, h2 := range []bool{false, true} {
		eventually(t, "a certificate lets in", func() bool { return call("echo", h2, hall).status == 200 })
		problem(t, call("vars", h2, hall), 403, "forbidden", "no")
		problem(t, call("echo", h2, nil), 401, "unauthorized", "no")
		problem(t, call("echo", h2, []string{"x.mill.lab"}), 401, "unauthorized", "no")
		problem(t, call("echo", h2, hall, "Authorization", "Bearer mdpgw_wrong"), 401, "unauthorized", "no")
		if a := call("vars", h2, hall, "Authorization", "Bearer "+secret); a.status != 200 {
			t.Errorf("a key beside a certificate: got %d %s, want what the key allows", a.status, a.body)
		}
	}
	g.end()
	audited := false
	for _, line := range g.lines() {
		audited = audited || line["principal"] == "hall" && line["subject"] == "x.hall.lab" && line["outcome"] == "ok"
	}
	if !audited {
		t.Error("no line of the audit log names the principal and its certificate")
	}
}

// What could let nobody in is a mistake.
func TestACertificateThatIsNeverAskedForStopsTheStart(t *testing.T) {
	code, _, stderr := runGateway(t, "serve --check --config FILE", nil, "access:\n- {id: hall, certificate: {dns: a.lab}, services: [echo]}\n")
	if want := "gateway: --tls-client-auth is \"none\", want request or require, and --tls-client-ca, for the certificate of the principal \"hall\"\n"; code != exitUsage || stderr != want {
		t.Errorf("got %d %s want %s", code, stderr, want)
	}
}

// The complete file of docs/access.md, with files of its own, is taken, and has every key of a principal.
func TestThePageOfAccessHasACompleteFile(t *testing.T) {
	page, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "\n```yaml\n")
	block, _, _ = strings.Cut(block, "\n```\n")
	authority, dir := certstest.New(t, "lab"), t.TempDir()
	authority.Server().Write(dir)
	certstest.Write(t, dir, "callers-ca.crt", authority.PEM)
	code, printed, stderr := runGateway(t, "serve --check --config FILE", nil, strings.ReplaceAll(block, "/etc/mdp-gateway", dir))
	if code != exitOK || stderr != "" {
		t.Errorf("exit code %d, %s, for\n%s", code, stderr, block)
	}
	for _, key := range strings.Fields("owner key services expires rate max_in_flight max_jobs certificate token claims metrics issuers audience") {
		if !strings.Contains(printed, key+": ") && !strings.Contains(printed, key+":\n") {
			t.Errorf("docs/access.md does not show the key %s", key)
		}
	}
}
