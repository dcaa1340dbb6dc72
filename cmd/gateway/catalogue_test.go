package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// A keyEffect is what a key of a service changes, in the whole program: with the
// key the answer to a request is so, and without it is not.
type keyEffect struct {
	value string // of the key, in YAML
	ask   func(t *testing.T, g *running) answered
	holds func(a answered) bool
}

func posting(body string, header ...string) func(t *testing.T, g *running) answered {
	return func(t *testing.T, g *running) answered { return g.post("mine", body, header...) }
}

func discovery(_ *testing.T, g *running) answered { return g.get("/services/mine") }

func has(text string) func(a answered) bool {
	return func(a answered) bool { return strings.Contains(string(a.body), text) }
}

var keyEffects = map[string]keyEffect{
	"description": {"one of mine", discovery, has(`"description":"one of mine"`)},
	"example":     {"{body: hi}", discovery, has(`"example":{"body":"hi"}`)},
	"brokers": {"[gone]", posting(`{}`), func(a answered) bool {
		return a.json("code") == "broker_unavailable" // the one that has its worker may not be asked
	}},
	"timeout":     {"150ms", posting(`{"body":"hang"}`, "Prefer", "wait=x"), func(a answered) bool { return a.json("limit_by") == "services.mine.timeout" }},
	"max_timeout": {"150ms", posting(`{"body":"hang"}`), func(a answered) bool { return a.json("limit_by") == "services.mine.max_timeout" }},
	"vars":        {"json", posting(`{"body":"hi","vars":{"on":true}}`), func(a answered) bool { return fmt.Sprint(a.data()) == `[hi {"on":true}]` }},
	"vars_schema": {"{required: [sf]}", posting(`{"vars":{}}`), func(a answered) bool { return a.json("code") == "invalid_vars" }},
	"max_frames":  {"3", posting(`{"frames":["1","2","3"]}`), func(a answered) bool { return a.status == 200 }},
	"reply":       {"base64", posting(`{"body":"hi"}`), has(`{"data":"aGk=","encoding":"base64"}`)},
	"max_reply":   {"10", posting(`{"body":"longer than that"}`), func(a answered) bool { return a.json("code") == "reply_too_large" }},
	"content_type": {"audio/x-raw", posting(`{"body":"hi"}`, "Accept", "audio/*"), func(a answered) bool {
		return a.header.Get("Content-Type") == "audio/x-raw" || a.status == http.StatusNotAcceptable && strings.Contains(string(a.body), `"frames"`)
	}},
	"max_in_flight": {"1", secondOfTwo, func(a answered) bool { return a.json("reason") == "service" }},
	"jobs":          {"only", posting(`{}`), has("asynchronously only")},
	"jobs_timeout":  {"150ms", posting(`{}`, "Prefer", "respond-async"), func(a answered) bool { return a.json("timeout_ms") == 150.0 }},
	"jobs_in_flight": {"1", func(t *testing.T, g *running) answered {
		first := g.submit(t, "mine", jsonBody, `{"body":"hang"}`)
		second := g.submit(t, "mine?expires=4s", jsonBody, `{"body":"hang"}`)
		var a answered
		eventually(t, "the second runs or has expired", func() bool {
			a = g.get("/jobs/" + second)
			return a.json("state") != "queued"
		})
		g.ask(t, http.MethodDelete, "/jobs/"+first, nil)
		g.ask(t, http.MethodDelete, "/jobs/"+second, nil)
		return a
	}, has(`"state":"expired"`)},
	"reuse": {"false", func(t *testing.T, g *running) answered {
		g.post("mine", `{}`)
		g.post("mine", `{}`)
		return g.get("/metrics")
	}, has(
		`mdp_gateway_pool_connections_closed_total{reason="no_reuse"} 2`)},
	"errors": {"[{equals: bad, reason: mine, status: 418}]", posting(`{"body":"bad"}`), func(a answered) bool {
		return a.status == http.StatusTeapot && a.json("code") == "worker_error" && a.json("reason") == "mine"
	}},
}

// secondOfTwo calls while another call hangs.
func secondOfTwo(t *testing.T, g *running) answered {
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	go func() {
		defer close(left)
		r := g.request(t, http.MethodPost, "/services/mine", strings.NewReader(`{"body":"hang"}`), []string{"Content-Type", jsonBody})
		_, _ = do(newClient(t), r.WithContext(ctx))
	}()
	g.busyConnections("1")
	defer func() { leave(); <-left }()
	return g.post("mine", `{}`)
}

// Every key that a service can have has its effect on the whole program, and none
// is forgotten here.
func TestEveryKeyOfAServiceHasItsEffect(t *testing.T) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte("a: {nothing: 1}"), &root); err != nil {
		t.Fatal(err)
	}
	var wrong *catalogue.Error
	if _, err := catalogue.Parse(root.Content[0], catalogue.Defaults{}); !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(wrong.Text, "want one of ")
	if got, want := slices.Sorted(maps.Keys(keyEffects)), slices.Sorted(slices.Values(strings.Split(list, ", "))); !slices.Equal(got, want) {
		t.Fatalf("the effects of\n%v\nare tested, the keys are\n%v", got, want)
	}
	for key, effect := range keyEffects {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			for with, line := range map[bool]string{true: key + ": " + effect.value, false: ""} {
				g := startMine(t, line, strings.Contains(key, "timeout"))
				if a := effect.ask(t, g); effect.holds(a) != with {
					t.Errorf("with the key: %v, and the answer is %d %.300s", with, a.status, a.body)
				}
			}
		})
	}
}

// startMine starts a gateway with the service mine, which has a worker at one of
// its two brokers. If timeouts are tested, there is also one that is no service's.
func startMine(t *testing.T, line string, timeouts bool) *running {
	t.Helper()
	broker := mdptest.Broker(t)
	mdptest.WorkerWith(t, worker.Config{Endpoint: mdptest.Endpoint(broker), Concurrency: 2, Services: map[string]worker.Handler{"mine": hangsIfAsked}})
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	config := fmt.Sprintf("brokers: [{name: here, endpoint: '%s'}, {name: gone, endpoint: '%s'}]\nservices: {mine: {%s}}\n",
		mdptest.Endpoint(broker), gone.Endpoint(), line)
	args := []string{"--jobs", "memory", "--config", write(t, t.TempDir(), "gateway.yaml", config)}
	if timeouts {
		args = append(args, "--timeout", "400ms")
	}
	g := start(t, args...)
	g.connected()
	return g
}

// hangsIfAsked echoes, but a frame hang, which it keeps until its end.
func hangsIfAsked(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	if string(body[0]) == "hang" {
		<-ctx.Done()
	}
	return body, nil
}
