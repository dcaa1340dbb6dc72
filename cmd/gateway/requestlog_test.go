package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestARequestIsOneLineWithAllThatIsKnownOfIt holds the fields of the log, which
// people search and count by.
func TestARequestIsOneLineWithAllThatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	secret, entry := newKey(t, "web")
	g := start(t, "--keys-file", write(t, t.TempDir(), "keys.yaml", entry), "--slow-log", "3s")
	key := []string{"Authorization", "Bearer " + secret}
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`, key...).status == http.StatusOK })
	g.post("echo", `{"body":"hello"}`, append(key, "X-Request-Id", "quick", "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")...)
	g.post("sleep?timeout=3100ms", `{"body":"1m"}`, append(key, "X-Request-Id", "slow")...)
	if code := g.end(); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}

	quick, slow := g.requestLine(t, "quick"), g.requestLine(t, "slow")
	const always = "broker in level logger method msg out peer principal queue request_id route service status time took"
	if got := strings.Join(slices.Sorted(maps.Keys(quick)), " "); got != sorted(always+" trace_id") {
		t.Errorf("an answered call has the fields %s, want %s and trace_id", got, always)
	}
	if got := strings.Join(slices.Sorted(maps.Keys(slow)), " "); got != sorted(always+" code error") {
		t.Errorf("a call that timed out has the fields %s, want %s, code and error", got, always)
	}
	for field, want := range map[string]any{
		"level": "info", "route": "/services/{name}", "method": "POST", "service": "echo", "status": 200.0, "principal": "web", "trace_id": traceID, "in": 16.0,
	} {
		if quick[field] != want {
			t.Errorf("an answered call: %s is %v, want %v", field, quick[field], want)
		}
	}
	for field, want := range map[string]any{"level": "warn", "service": "sleep", "status": 504.0, "code": "timeout", "principal": "web"} {
		if slow[field] != want {
			t.Errorf("a slow call: %s is %v, want %v", field, slow[field], want)
		}
	}
	if took, broker := slow["took"].(float64), slow["broker"].(float64); took < 3.1 || broker <= 0 || took < broker {
		t.Errorf("a call with a timeout of 3.1 s took %v s, of which the broker %v", took, broker)
	}
}

// requestLine returns the one line of a request.
func (g *running) requestLine(t *testing.T, id string) map[string]any {
	t.Helper()
	lines := slices.DeleteFunc(g.lines(), func(line map[string]any) bool { return line["request_id"] != id })
	if len(lines) != 1 || fmt.Sprint(lines[0]["msg"]) != "request" {
		t.Fatalf("the log has of %s %v, want one line", id, lines)
	}
	delete(lines[0], "text") // the line itself, which the reader of the log has added
	return lines[0]
}

func sorted(words string) string {
	all := strings.Fields(words)
	slices.Sort(all)
	return strings.Join(all, " ")
}
