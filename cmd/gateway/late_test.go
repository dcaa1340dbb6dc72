package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mdpgateway/internal/mdp/mdptest"
)

// A lateGateway has keys, and a broker that answers when the test says so.
type lateGateway struct {
	keyed
	broker *mdptest.Router
	sent   chan [2]string // routing id and body
}

func startLate(t *testing.T, more string, args ...string) *lateGateway {
	t.Helper()
	g := &lateGateway{sent: make(chan [2]string, 100)}
	g.broker = mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		g.sent <- [2]string{string(id), string(m[3])}
		return nil
	})
	g.keyed = withKey(t, more, append([]string{"--broker", g.broker.Endpoint(), "--catalogue", "open", "--mmi", "off", "--late-replies", "2"}, args...)...)
	g.connected()
	return g
}

// overdue makes a call whose time passes, and returns the path of its job, which may be empty, and its routing id.
func (g *lateGateway) overdue(t *testing.T, body string) (path, id string) {
	t.Helper()
	a := g.call(t, "echo?timeout=300ms", rawBody, body, g.key("echo")...).answer
	if a.status != http.StatusGatewayTimeout || a.json("code") != "timeout" {
		t.Fatalf("a call whose time passes: %d %s", a.status, a.body)
	}
	return a.header.Get("Location"), (<-g.sent)[0]
}

func (g *lateGateway) reply(id, data string) {
	var frames [][]byte
	for _, frame := range []string{"", "MDPC01", "echo", data} {
		frames = append(frames, []byte(frame))
	}
	g.broker.Send([]byte(id), frames)
}

func TestACallWhoseTimePassesIsWhereItsReplyWillBe(t *testing.T) {
	t.Parallel()
	g := startLate(t, "max_jobs: 1", "--jobs", "memory")
	path, id := g.overdue(t, "first")
	if a := g.ask(t, http.MethodGet, path, g.key("echo")).answer; a.json("state") != "running" || a.json("executed") != "maybe" {
		t.Errorf("its job at %q: %d %s", path, a.status, a.body)
	}
	if a := g.ask(t, http.MethodGet, path, g.key("other")).answer; a.status != http.StatusNotFound {
		t.Errorf("to another: %d %s", a.status, a.body)
	}
	if other, _ := g.overdue(t, "second"); other != "" {
		t.Errorf("the caller has as many jobs as it may, and gets %q", other)
	}
	g.reply(id, "late, but here")
	if a := g.awaitJob(t, strings.TrimPrefix(path, "/jobs/"), g.key("echo")...); a.json("state") != "done" {
		t.Errorf("its job: %s", a.body)
	}
	if a := g.ask(t, http.MethodGet, path+"/reply", g.key("echo")).answer; a.status != http.StatusOK || string(a.body) != "late, but here" {
		t.Errorf("its reply: %d %s", a.status, a.body)
	}
	// A caller who leaves does not get to know an id: nothing is kept.
	ctx, leave := context.WithCancel(context.Background())
	r := g.request(t, http.MethodPost, "/services/echo?timeout=10s", strings.NewReader("x"), append(g.key("echo"), "Content-Type", rawBody, "X-Request-Id", "gone")).WithContext(ctx)
	gone := make(chan error, 1)
	go func() {
		answer, err := newClient(t).Do(r)
		if err == nil {
			err = answer.Body.Close()
		}
		gone <- err
	}()
	<-g.sent
	leave()
	<-gone
	eventually(t, "the call is given up", func() bool {
		return slices.ContainsFunc(g.lines(), func(line map[string]any) bool { return line["request_id"] == "gone" })
	})
	if a := g.ask(t, http.MethodGet, "/jobs", g.key("echo")).answer; strings.Count(string(a.body), `"id"`) != 1 {
		t.Errorf("the list after a caller left: %s", a.body)
	}
}

// A roll gives late replies the time of the drain.
func TestADrainAwaitsLateReplies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := startLate(t, "", "--jobs", dir, "--drain", "1m")
	path, id := g.overdue(t, "one")
	ended := make(chan int, 1)
	go func() { ended <- g.end() }()
	eventually(t, "the gateway drains", func() bool {
		answer, err := newClient(t).Get(g.url + "/readyz")
		if err == nil {
			err = answer.Body.Close()
		}
		return err != nil || answer.StatusCode != http.StatusOK
	})
	g.reply(id, "in time")
	if code := <-ended; code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	after := startLate(t, "", "--jobs", dir) // with other keys, but those of the same owners
	if a := after.ask(t, http.MethodGet, path, after.key("echo")).answer; a.json("state") != "done" {
		t.Errorf("got %d %s, want done", a.status, a.body)
	}
}
