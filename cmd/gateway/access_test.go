package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/certs/certstest"
)

// newKey makes a key as an operator does, and returns it and its entry.
func newKey(t *testing.T, id string) (secret, entry string) {
	t.Helper()
	code, stdout, stderr := runGateway(t, "key new "+id, []string{"GATEWAY_TIMEOUT=x"}, "")
	lines := strings.Split(stdout, "\n")
	if code != exitOK || stderr != "" || len(lines) != 3 || lines[2] != "" {
		t.Fatalf("key new: got %d %q %q, want a key and its entry", code, stdout, stderr)
	}
	return lines[0], lines[1] + "\n"
}

func TestANewKeyIsPrintedWithItsEntry(t *testing.T) {
	secret, entry := newKey(t, "web-2026-11")
	var read []struct {
		ID       string
		Key      struct{ SHA256 string }
		Services []string
	}
	if err := yaml.Unmarshal([]byte(entry), &read); err != nil || len(read) != 1 {
		t.Fatalf("%q: %v", entry, err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(secret))); read[0].ID != "web-2026-11" || read[0].Key.SHA256 != want || fmt.Sprint(read[0].Services) != "[*]" {
		t.Errorf("the entry is %s, want the id, the hash %s and all services", entry, want)
	}
	if strings.Contains(entry, secret) {
		t.Errorf("the entry shows the key: %s", entry)
	}
	if again, _ := newKey(t, "web-2026-11"); again == secret {
		t.Error("two keys are the same")
	}
	for args, want := range map[string]string{
		"key new":     `expected "<id>"`,
		"key new a/b": `id is "a/b", want 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit`,
	} {
		if code, stdout, stderr := runGateway(t, args, nil, ""); code != exitUsage || stdout != "" || stderr != "gateway: "+want+"\n" {
			t.Errorf("gateway %s: got %d %q %q, want %s", args, code, stdout, stderr, want)
		}
	}
}

func TestABadKeysFileStopsTheStartWithOneLine(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "keys.yaml", "# keys\n- {id: a, sha256: mdpgw_secret, services: [echo]}\n")
	for _, c := range []struct{ args, env, config, want string }{
		{"--keys-file " + path, "", "", "keys.yaml:2: keys[0].sha256 is not what it should be, want the 64 hex digits of the key's SHA-256"},
		{"--keys-file /nowhere/keys.yaml", "", "", `--keys-file is "/nowhere/keys.yaml", want a file that can be read: no such file or directory`},
		{"--config FILE", "", "keys-file: " + dir, fmt.Sprintf(`gateway.yaml:1: keys-file is %q, want a file that can be read: is a directory`, dir)},
		{"--cors-origin lab.example", "", "", `--cors-origin is "lab.example", want one like https://lab.example or http://localhost:3000, or * for any`},
		{"", "GATEWAY_CORS_ORIGIN=https://a,https://b/", "", `GATEWAY_CORS_ORIGIN is "https://a,https://b/", want one like https://lab.example or http://localhost:3000, or * for any`},
	} {
		code, stdout, stderr := runGateway(t, "serve --check "+c.args, strings.Fields(c.env), c.config)
		if code != exitUsage || stdout != "" || stderr != "gateway: "+c.want+"\n" {
			t.Errorf("%s %s: got %d %q %s want %s", c.env, c.args, code, stdout, stderr, c.want)
		}
	}
}

func TestTheCheckShowsNoSecret(t *testing.T) {
	_, entry := newKey(t, "web")
	path := write(t, t.TempDir(), "keys.yaml", entry)
	s := effective(t, "--keys-file "+path+" --cors-origin https://a.example,http://localhost:3000", nil, "")
	if s["keys-file"] != path || fmt.Sprint(s["cors-origin"]) != "[https://a.example http://localhost:3000]" || strings.Contains(fmt.Sprint(s), "sha256") {
		t.Errorf("the check prints %v", s)
	}
}

// write writes a file and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What strangers can reach is worth one warning each, in the log and in the check.
func TestWhatStrangersReachIsWorthAWarning(t *testing.T) {
	_, entry := newKey(t, "web")
	keys := write(t, t.TempDir(), "keys.yaml", entry)
	const open = "--listen 0.0.0.0:0 --embedded --access open"
	authority, dir := certstest.New(t, "lab"), t.TempDir()
	cert, key := authority.Server().Write(dir)
	pair, ca := " --tls-cert "+cert+" --tls-key "+key, certstest.Write(t, dir, "ca.crt", authority.PEM)
	for _, c := range []struct {
		args string
		want string // the settings that are warned of
	}{
		{"", ""},
		{"--access open", ""},
		{open, "listen"},
		{"--listen 0.0.0.0:0 --embedded --keys-file " + keys, "listen"}, // they travel in clear text
		{"--listen 0.0.0.0:0 --embedded --keys-file " + keys + pair, ""},
		{"--listen https://0.0.0.0:0 --listen http://127.0.0.1:0 --embedded --keys-file " + keys + pair, ""},
		{"--listen https://127.0.0.1:0 --listen http://0.0.0.0:0 --embedded --keys-file " + keys + pair, "listen"},
		{open + pair, "listen"},
		{open + pair + " --tls-client-ca " + ca, ""}, // strangers have no certificate
		{open + pair + " --tls-client-ca " + ca + " --tls-client-auth request", "listen"},
		{"--cors-origin *", "cors-origin"},
		{"--cors-origin * --keys-file " + keys, ""},
		{"--admin-listen 0.0.0.0:0", "admin-listen"},
		{"--admin-listen 127.0.0.1:0", ""},
		{"--embedded-bind tcp://0.0.0.0:*", "embedded-bind"},
		{"--embedded-bind ipc://" + filepath.Join(t.TempDir(), "broker"), ""},
		{open + " --cors-origin * --admin-listen :0 --embedded-bind tcp://*:*", "listen cors-origin embedded-bind admin-listen"},
	} {
		g := start(t, strings.Fields(c.args)...)
		g.end()
		var logged, listed []string
		for _, line := range g.lines() {
			if setting, ok := line["setting"].(string); ok && line["level"] == "warn" {
				logged = append(logged, setting)
			}
		}
		code, stdout, stderr := runGateway(t, "serve --check "+c.args, nil, "")
		for line := range strings.Lines(stdout) {
			if rest, ok := strings.CutPrefix(line, "# warning: "); ok {
				setting, _, _ := strings.Cut(rest, " ")
				listed = append(listed, setting)
			}
		}
		if got := strings.Join(logged, " "); got != c.want {
			t.Errorf("%s: the log warns of %q, want %q", c.args, got, c.want)
		}
		if got := strings.Join(listed, " "); code != exitOK || stderr != "" || got != c.want {
			t.Errorf("%s: the check ends with %d %s and warns of %q, want %q", c.args, code, stderr, got, c.want)
		}
	}
}

func TestAStandAloneBrokerThatStrangersReachIsWorthAWarning(t *testing.T) {
	for bind, want := range map[string]bool{"tcp://0.0.0.0:*": true, "tcp://127.0.0.1:*": false} {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		var stderr bytes.Buffer
		if code := run(ctx, []string{"broker", "--bind", bind}, nil, io.Discard, &stderr); code != exitOK {
			t.Errorf("%s: exit code %d", bind, code)
		}
		if got := strings.Contains(stderr.String(), openBroker); got != want {
			t.Errorf("%s: warned %v, want %v: %s", bind, got, want, &stderr)
		}
	}
}

func TestAKeyIsMadeForSomeServicesForSomeTime(t *testing.T) {
	code, stdout, stderr := runGateway(t, "key new web --services echo,lora_* --expires 2027-02-01 --rate 50/m", nil, "")
	if want := "services: ['echo', 'lora_*'], expires: 2027-02-01T00:00:00Z, rate: 50/m}\n"; code != exitOK || stderr != "" || !strings.HasSuffix(stdout, want) {
		t.Errorf("got %d %q %s, want an entry with %s", code, stdout, stderr, want)
	}
	for args, want := range map[string]string{
		"--services a/é": `--services is "a/é", want a service's name, in which * is any text`,
		"--expires soon": `--expires is "soon", want a date such as 2027-02-01 or 2027-02-01T12:00:00Z`,
		"--rate 50":      `--rate is "50", want 1 to 1000000 calls per s, m or h, such as 50/s`,
	} {
		if code, _, stderr := runGateway(t, "key new web "+args, nil, ""); code != exitUsage || stderr != "gateway: "+want+"\n" {
			t.Errorf("%s: got %d %s, want %s", args, code, stderr, want)
		}
	}
}

func TestKeysAndOriginsHoldForTheWholeProgram(t *testing.T) {
	secret, entry := newKey(t, "web")
	keys := write(t, t.TempDir(), "keys.yaml", strings.Replace(entry, "'*'", "echo", 1))
	g := start(t, "--keys-file", keys, "--cors-origin", "https://lab.example", "--admin-listen", "127.0.0.1:0")
	eventually(t, "the demo worker is there", func() bool {
		return g.post("echo", `{}`, "Authorization", "Bearer "+secret).status == http.StatusOK
	})
	problem(t, g.post("echo", `{}`), 401, "unauthorized", "no")
	problem(t, g.post("sleep", `{"body":"1ms"}`, "Authorization", "Bearer "+secret), 403, "forbidden", "no")
	a := g.post("echo", `{"body":"hi"}`, "Authorization", "Bearer "+secret, "Origin", "https://lab.example")
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://lab.example" {
		t.Errorf("a trusted page: got %d %s %v", a.status, a.body, a.header)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if a := g.get(path); a.status != 200 {
			t.Errorf("%s: got %d, want 200 without a key", path, a.status)
		}
	}
	client := newClient(t)
	metrics := request(t, client, http.MethodGet, g.admin+"/metrics", "", "")
	if metrics.status != 200 {
		t.Fatalf("the admin listener: got %d %s, want the metrics without a key", metrics.status, metrics.body)
	}
	for _, line := range []string{
		"mdp_gateway_auth_enabled 1\n",
		`mdp_gateway_auth_requests_total{principal="_none",result="missing"} 1` + "\n",
		`mdp_gateway_auth_requests_total{principal="web",result="forbidden"} 1` + "\n",
		"mdp_gateway_config_last_reload_successful 1\n",
	} {
		if !strings.Contains(string(metrics.body), line) {
			t.Errorf("/metrics has no line %s", line)
		}
	}
	g.end()
	for _, line := range g.lines() {
		if strings.Contains(fmt.Sprint(line), secret) {
			t.Errorf("the log shows the key: %v", line)
		}
	}
}
