package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// submit posts a call as a job and returns its id.
func (g *running) submit(t *testing.T, service, contentType, body string, header ...string) string {
	t.Helper()
	x := g.call(t, service, contentType, body, append([]string{"Prefer", "respond-async"}, header...)...)
	id, _ := x.answer.json("id").(string)
	if x.answer.status != http.StatusAccepted || x.answer.header.Get("Location") != "/jobs/"+id || len(id) != 40 {
		t.Fatalf("a job: got %d %v %s", x.answer.status, x.answer.header, x.answer.body)
	}
	return id
}

// awaitJob returns a job once it is over.
func (g *running) awaitJob(t *testing.T, id string, header ...string) answered {
	t.Helper()
	var a answered
	eventually(t, "the job is over", func() bool {
		a = g.ask(t, http.MethodGet, "/jobs/"+id+"?wait=30s", header).answer
		return a.status != 200 || a.json("ended") != nil
	})
	return a
}

// A sameAs is a request that is made both ways.
type sameAs struct {
	service, contentType, body string
	query                      string // of the call and of the reply
	header                     []string
}

var boundary = regexp.MustCompile(`[A-Z2-7]{26}`)

// The reply of a job is byte for byte what the synchronous call is answered with, in every form.
func TestTheReplyOfAJobIsTheAnswerOfTheCall(t *testing.T) {
	g := startLora(t)
	all := []sameAs{
		{service: "stream", contentType: jsonBody, body: `{"body":"3"}`},
		{service: "stream", contentType: rawBody, body: "3", header: []string{"Accept", "text/event-stream"}},
		{service: "stream", contentType: rawBody, body: "3", header: []string{"Accept", "application/x-ndjson"}},
		{service: "stream", contentType: rawBody, body: "3", query: "frame=0"},
		{service: "fail", contentType: jsonBody, body: `{"body":"x"}`},
		{service: "fail", contentType: jsonBody, body: `{"body":"x"}`, header: []string{"Accept", "text/event-stream"}},
		{service: "lora_decode", contentType: jsonBody, body: `{"body":"decode_error","vars":{"sf":7}}`},
		{service: "lora_decode", contentType: jsonBody, body: `{"body":"fine","vars":{"sf":7}}`},
		{service: "echo", contentType: jsonBody, body: `{"frames":["a","b"]}`, header: []string{"Accept", "application/octet-stream"}}, // 406
		{service: "echo", contentType: rawBody, body: "x", query: "frame=7"},                                                           // 406
		{service: "echo", contentType: rawBody, body: strings.Repeat("x", 3<<20)},
		{service: "echo", contentType: jsonBody, body: `{"frames":[` + strings.Repeat(`"f",`, 99) + `"g"]}`},
	}
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Dialect: mdp.V02, Services: map[string]worker.Handler{"lora_decode": echoBack}})
	for mediaType, content := range newJudge(t).doc.Paths.Find("/services/{name}").Post.RequestBody.Value.Content {
		for _, value := range examples(content.Example, content.Examples) {
			o := withBody(t, outgoing{}, mediaType, value)
			for _, accept := range []string{"", "application/json", "multipart/form-data", "text/plain"} {
				one := sameAs{service: "echo", contentType: o.header.Get("Content-Type"), body: string(o.body)}
				if accept != "" {
					one.header = []string{"Accept", accept}
				}
				all = append(all, one)
			}
		}
	}
	for _, c := range all {
		header := append([]string{"X-Request-Id", "the-same"}, c.header...)
		path := c.service
		if c.query != "" {
			path += "?" + c.query
		}
		want := g.call(t, path, c.contentType, c.body, header...).answer
		id := g.submit(t, c.service, c.contentType, c.body, header...)
		ways := map[string]answered{
			"reply": g.ask(t, http.MethodGet, "/jobs/"+id+"/reply?wait=30s&"+c.query, header).answer,
			"wait":  g.call(t, path, c.contentType, c.body, append([]string{"Prefer", "respond-async, wait=30"}, header...)...).answer,
		}
		for way, got := range ways {
			if got.status != want.status || !bytes.Equal(steadied(got.body), steadied(want.body)) {
				t.Errorf("%s, %+.200v: got %d\n%.500s\nthe call gives %d\n%.500s", way, c, got.status, got.body, want.status, want.body)
			}
			for _, name := range []string{"Content-Type", "Content-Disposition"} {
				if a, b := steadied([]byte(got.header.Get(name))), steadied([]byte(want.header.Get(name))); !bytes.Equal(a, b) {
					t.Errorf("%s, %+.200v: %s is %q, want %q", way, c, name, a, b)
				}
			}
		}
		if link := ways["wait"].header.Get("Content-Location"); !strings.HasSuffix(link, "/reply") {
			t.Errorf("%+.200v: Content-Location is %q", c, link)
		}
	}
	if len(all) < 40 {
		t.Errorf("%d calls were compared", len(all))
	}
}

// steadied leaves out what is drawn at random for each form.
func steadied(body []byte) []byte { return boundary.ReplaceAll(body, []byte("boundary")) }

func TestAJobIsFollowed(t *testing.T) {
	g := start(t)
	g.waitForDemo()
	id := g.submit(t, "stream", jsonBody, `{"body":"4"}`)
	g.awaitJob(t, id)
	whole := g.ask(t, http.MethodGet, "/jobs/"+id+"/events", nil).answer
	var seen []string
	for _, event := range strings.Split(strings.TrimSpace(string(whole.body)), "\n\n") {
		name, _, _ := strings.Cut(event, "\ndata: ")
		seen = append(seen, strings.ReplaceAll(name, "\n", " "))
	}
	want := []string{"event: state", "id: 0 event: partial", "id: 1 event: partial", "id: 2 event: partial", "id: 3 event: partial", "event: final"}
	if !slices.Equal(seen, want) || whole.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %q, want %q", seen, want)
	}
	rest := g.ask(t, http.MethodGet, "/jobs/"+id+"/events", []string{"Last-Event-ID", "1", "Accept", "application/x-ndjson"}).answer
	var parts []float64
	for line := range strings.Lines(string(rest.body)) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if event["event"] != "state" {
			parts = append(parts, event["seq"].(float64))
		}
	}
	if !slices.Equal(parts, []float64{2, 3, 4}) {
		t.Errorf("after part 1 come %v, want 2, 3 and the final 4", parts)
	}
}

// The events of a job come while it runs, and so does a change that a caller waits for.
func TestAJobIsFollowedWhileItRuns(t *testing.T) {
	next := make(chan struct{})
	g := start(t)
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Dialect: mdp.V02, Services: map[string]worker.Handler{
		"steps": func(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
			for range 2 {
				<-next
				if err := partial(body); err != nil {
					return nil, err
				}
			}
			<-next
			return body, nil
		},
	}})
	id := g.submit(t, "steps", rawBody, "x")
	response, err := newClient(t).Do(g.request(t, http.MethodGet, "/jobs/"+id+"/events", nil, []string{"Accept", "application/x-ndjson"}))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	events := json.NewDecoder(response.Body)
	await := func(name string) {
		t.Helper()
		for {
			var e map[string]any
			if err := events.Decode(&e); err != nil {
				t.Fatalf("no %s: %v", name, err)
			}
			if e["event"] == name {
				return
			}
		}
	}
	await("state")
	next <- struct{}{}
	await("partial")
	next <- struct{}{}
	await("partial")
	running := g.ask(t, http.MethodGet, "/jobs/"+id, nil).answer
	if running.json("state") != "running" || running.json("executed") != "maybe" || running.header.Get("Retry-After") == "" {
		t.Errorf("while it runs: %s", running.body)
	}
	if early := g.ask(t, http.MethodGet, "/jobs/"+id+"/reply", nil).answer; early.status != http.StatusConflict || early.json("code") != "job_not_done" {
		t.Errorf("its reply: %d %s", early.status, early.body)
	}
	tag := running.header.Get("ETag")
	if same := g.ask(t, http.MethodGet, "/jobs/"+id+"?wait=1ms", []string{"If-None-Match", tag}).answer; same.status != http.StatusNotModified {
		t.Errorf("unchanged: %d %s", same.status, same.body)
	}
	waited := make(chan answered, 1)
	go func() {
		waited <- g.ask(t, http.MethodGet, "/jobs/"+id+"?wait=30s", []string{"If-None-Match", tag}).answer
	}()
	g.metric(t, `mdp_gateway_jobs_waiters 2`)
	next <- struct{}{}
	await("final")
	if _, err := response.Body.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if a := <-waited; a.json("state") != "done" || a.json("executed") != "yes" || a.json("parts") != 2.0 {
		t.Errorf("who waited is told %s", a.body)
	}
	if a := g.ask(t, http.MethodPost, "/jobs/"+id+"/cancel", nil).answer; a.status != http.StatusConflict || a.json("code") != "job_over" {
		t.Errorf("cancel of what is done: %d %s", a.status, a.body)
	}
}

// metric waits for a line of /metrics.
func (g *running) metric(t *testing.T, line string) {
	t.Helper()
	eventually(t, line, func() bool { return bytes.Contains(g.get("/metrics").body, []byte(line+"\n")) })
}

func TestAJobIsCanceledAndDeleted(t *testing.T) {
	g := start(t, "--catalogue", "open", "--config", write(t, t.TempDir(), "gateway.yaml", "services: {nobody: {}, echo: {jobs: no}, slow: {jobs: only}}"))
	g.waitForDemo()
	id := g.submit(t, "nobody", rawBody, "x")
	if a := g.ask(t, http.MethodGet, "/jobs/"+id, nil).answer; a.json("state") != "queued" || a.json("executed") != "no" {
		t.Errorf("queued: %s", a.body)
	}
	if a := g.ask(t, http.MethodPost, "/jobs/"+id+"/cancel", nil).answer; a.status != 200 || a.json("state") != "canceled" || a.json("executed") != "no" {
		t.Errorf("canceled: %d %s", a.status, a.body)
	}
	if a := g.ask(t, http.MethodGet, "/jobs/"+id+"/reply", nil).answer; a.status != http.StatusGone || a.json("code") != "canceled" {
		t.Errorf("its reply: %d %s", a.status, a.body)
	}
	for i, want := range []int{http.StatusNoContent, http.StatusNotFound} {
		if a := g.ask(t, http.MethodDelete, "/jobs/"+id, nil).answer; a.status != want {
			t.Errorf("delete %d: %d %s", i, a.status, a.body)
		}
	}
	if a := g.call(t, "echo", rawBody, "x", "Prefer", "respond-async").answer; a.status != 200 || a.json("frames") == nil {
		t.Errorf("a service without jobs: %d %s, want the reply", a.status, a.body)
	}
	if a := g.call(t, "slow", rawBody, "x").answer; a.status != 400 {
		t.Errorf("a service with jobs only: %d %s", a.status, a.body)
	}
	expired := g.submit(t, "nobody?expires=10ms", rawBody, "x")
	if a := g.awaitJob(t, expired); a.json("state") != "expired" || a.json("executed") != "no" {
		t.Errorf("expired: %s", a.body)
	}
	if a := g.ask(t, http.MethodGet, "/jobs/"+expired+"/reply", nil).answer; a.status != http.StatusGone || a.json("code") != "expired" {
		t.Errorf("its reply: %d %s", a.status, a.body)
	}
}

func TestAnIdempotencyKeyStandsForOneRequest(t *testing.T) {
	g := start(t)
	g.waitForDemo()
	key := []string{"Prefer", "respond-async", "Idempotency-Key", "k"}
	var mu sync.Mutex
	ids, made := map[any]int{}, 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			a := g.call(t, "echo", rawBody, "x", key...).answer
			mu.Lock()
			defer mu.Unlock()
			ids[a.json("id")]++
			if a.header.Get("Idempotent-Replayed") == "" {
				made++
			}
			if a.status != http.StatusAccepted {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if len(ids) != 1 || made != 1 {
		t.Errorf("one key made the jobs %v, %d answers are no replays", ids, made)
	}
	if a := g.call(t, "echo", rawBody, "y", key...).answer; a.status != 422 || a.json("code") != "idempotency_mismatch" {
		t.Errorf("another request: %d %s", a.status, a.body)
	}
	if a := g.call(t, "echo", rawBody, "x", "Idempotency-Key", "k").answer; a.status != 400 {
		t.Errorf("a synchronous call with a key: %d %s", a.status, a.body)
	}
}

func TestJobsAreTheirOwners(t *testing.T) {
	g := withKey(t, "")
	eventually(t, "the demo worker is there", func() bool { return g.call(t, "echo", rawBody, "x", g.key("echo")...).answer.status == 200 })
	id := g.submit(t, "echo", rawBody, "x", g.key("echo")...)
	for _, c := range []struct{ method, path string }{
		{"GET", ""}, {"GET", "/reply"}, {"GET", "/events"}, {"POST", "/cancel"}, {"DELETE", ""},
	} {
		if a := g.ask(t, c.method, "/jobs/"+id+c.path, g.key("other")).answer; a.status != 404 || a.json("code") != "job_not_found" {
			t.Errorf("%s %s by another: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	if a := g.awaitJob(t, id, g.key("echo")...); a.json("state") != "done" {
		t.Errorf("its owner gets %s", a.body)
	}
	for id, want := range map[string]int{"echo": 1, "other": 0} {
		a := g.ask(t, http.MethodGet, "/jobs", g.key(id)).answer
		if list, _ := a.json("jobs").([]any); a.status != 200 || len(list) != want {
			t.Errorf("the list of %s: %d %s", id, a.status, a.body)
		}
	}
}

func TestJobsAreListedByPage(t *testing.T) {
	g := start(t)
	g.waitForDemo()
	var want []string
	for i := range 5 {
		want = append(want, g.submit(t, "echo", rawBody, fmt.Sprint(i)))
	}
	slices.Reverse(want)
	var got []string
	for cursor := ""; ; {
		a := g.ask(t, http.MethodGet, "/jobs?limit=2&cursor="+cursor, nil).answer
		for _, job := range a.json("jobs").([]any) {
			got = append(got, job.(map[string]any)["id"].(string))
		}
		next, more := a.json("next").(string)
		if cursor = next; !more {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, query := range []string{"state=gone", "limit=0", "cursor=x", "statte=done"} {
		if a := g.ask(t, http.MethodGet, "/jobs?"+query, nil).answer; a.status != 400 {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}

// A roll loses nothing: what is queued goes on afterwards, what runs has the drain to end.
func TestJobsOutliveTheGateway(t *testing.T) {
	dir := t.TempDir()
	router := mdptest.NewRouter(t, nil)
	args := []string{"--broker", router.Endpoint(), "--catalogue", "open", "--mmi", "off", "--jobs", dir, "--jobs-in-flight", "1", "--drain", "10ms"}
	g := start(t, args...)
	g.connected()
	running := g.submit(t, "slow", rawBody, "first")
	queued := g.submit(t, "slow", rawBody, "second")
	eventually(t, "the first runs", func() bool { return g.ask(t, http.MethodGet, "/jobs/"+running, nil).answer.json("state") == "running" })
	if code := g.end(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	g = start(t, args...)
	if a := g.awaitJob(t, running); a.json("state") != "interrupted" || a.json("executed") != "maybe" {
		t.Errorf("what ran: %s", a.body)
	}
	eventually(t, "the second runs", func() bool { return g.ask(t, http.MethodGet, "/jobs/"+queued, nil).answer.json("state") == "running" })
	if a := g.ask(t, http.MethodGet, "/jobs/"+running+"/reply", nil).answer; a.status != http.StatusBadGateway || a.json("code") != "interrupted" {
		t.Errorf("its reply: %d %s", a.status, a.body)
	}
}

func TestWithoutJobsThePreferenceIsIgnored(t *testing.T) {
	g := start(t, "--jobs", "off")
	g.waitForDemo()
	if a := g.call(t, "echo", rawBody, "x", "Prefer", "respond-async", "Idempotency-Key", "k").answer; a.status != 200 || string(a.body) != "x" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := g.ask(t, http.MethodGet, "/jobs", nil).answer; a.status != 404 {
		t.Errorf("the routes: %d %s", a.status, a.body)
	}
}

func TestTheStoreOfJobsIsChecked(t *testing.T) {
	for args, want := range map[string]string{
		"--jobs http://127.0.0.1:4222":    `--jobs is "http://127.0.0.1:4222", want off, memory, a directory, or nats://host:4222 or tls://host:4222, more of them with commas`,
		"--jobs nats://u:p@127.0.0.1":     `want no user or password: --jobs-nats-creds names a file with them`,
		"--jobs-nats-ca ca.pem":           `--jobs-nats-ca is "ca.pem", want none unless --jobs is nats://… or tls://…`,
		"--jobs nats://a --jobs-prefix A": `--jobs-prefix is "A", want up to 32 of a-z, 0-9 and -, not - first`,
		"--jobs-in-flight 300":            `--jobs-in-flight is "300", want at most 256, the value of --pool-max`,
		"--jobs-timeout 25h":              `--jobs-timeout is "25h", want at most 24h`,
		"--jobs off --late-replies 1":     `--late-replies is "1", want 0 while --jobs is off`,
		"--late-replies 129":              `--late-replies is "129", want at most 128, half of --pool-max`,
	} {
		if code, _, stderr := runGateway(t, "serve --check "+args, nil, ""); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s, want %s", args, code, stderr, want)
		}
	}
}
