package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every call of a valid key is a line, whatever came of it; a stranger fills no file.
func TestTheAuditLogHasALineForEachCall(t *testing.T) {
	secret, entry := newKey(t, "web")
	dir := t.TempDir()
	keys := write(t, dir, "keys.yaml", strings.Replace(entry, "'*'", "echo, sleep", 1))
	file := filepath.Join(dir, "audit.jsonl")
	g := start(t, "--keys-file", keys, "--audit-log", file)
	key := []string{"Authorization", "Bearer " + secret}
	post := func(path, body, id string) { g.post(path, body, append(key, "X-Request-Id", id)...) }
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`, key...).status == http.StatusOK })
	post("echo", `{"body":"hello"}`, "answered")
	post("sleep?timeout=1s", `{"body":"1m"}`, "late")
	post("fail", `{}`, "forbidden")
	post("echo", `{`, "malformed")
	post("echo/dry-run", `{}`, "dry")
	g.post("echo", `{}`, "X-Request-Id", "stranger")
	g.get("/services/echo")
	if code := g.end(); code != exitOK {
		t.Errorf("exit code %d", code)
	}

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if l["time"] == "" || !strings.HasPrefix(fmt.Sprint(l["peer"]), "127.0.0.1:") {
			t.Errorf("the line has no time or peer: %s", line)
		}
		got[fmt.Sprint(l["request_id"])] = fmt.Sprintf("%v %v %v %v in %v", l["principal"], l["service"], l["outcome"], l["executed"], l["in"])
	}
	for id, want := range map[string]string{
		"answered": "web echo ok yes in 16", "late": "web sleep timeout maybe in 13",
		"forbidden": "web fail forbidden no in 0", "malformed": "web echo bad_request no in 1",
		"dry": "", "stranger": "",
	} {
		if got[id] != want {
			t.Errorf("the line of %s is %q, want %q", id, got[id], want)
		}
	}
}

// /dev/full takes nothing.
func TestNoCallIsMadeThatCannotBeRecorded(t *testing.T) {
	g := start(t, "--audit-log", "/dev/full", "--admin-listen", "127.0.0.1:0")
	var last answered
	eventually(t, "calls are refused", func() bool {
		last = g.post("echo", `{}`)
		return last.json("reason") == "audit"
	})
	problem(t, last, 503, "busy", "no")
	if a := g.get("/livez"); a.status != http.StatusOK {
		t.Errorf("/livez: got %d, want 200", a.status)
	}
	if code := g.end(); code != exitFailed {
		t.Errorf("exit code %d, want that of a failure: lines were not written", code)
	}
}

func TestCallsGoOnIfTheAuditLogMayLoseLines(t *testing.T) {
	g := start(t, "--audit-log", "/dev/full", "--audit-log-mode", "best-effort")
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	eventually(t, "the lines are counted", func() bool {
		return strings.Contains(string(g.get("/metrics").body), "mdp_gateway_audit_dropped_total ") &&
			!strings.Contains(string(g.get("/metrics").body), "mdp_gateway_audit_dropped_total 0\n")
	})
	if a := g.post("echo", `{}`); a.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", a.status, a.body)
	}
}

func TestAnAuditLogThatCannotBeOpenedStopsTheStart(t *testing.T) {
	code, _, stderr := runGateway(t, "serve --listen 127.0.0.1:0 --embedded-bind tcp://127.0.0.1:* --audit-log "+t.TempDir(), nil, "")
	if code != exitFailed || !strings.Contains(stderr, "gateway: audit log: open ") {
		t.Errorf("got %d %s, want that the file can't be opened", code, stderr)
	}
}
