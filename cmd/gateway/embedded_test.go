package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// An event is one line of a stream as NDJSON.
type event struct {
	Event  string
	Seq    int
	Frames []struct{ Data, Encoding string }
}

// All calls in flight may be to one service, which half of the broker's queue is kept for.
func TestTheEmbeddedBrokerHasRoomForAllCallsInFlight(t *testing.T) {
	t.Parallel()
	for _, places := range []int{1, 256, 1100, 20_000} {
		s := settings{PoolMax: places, Dialect: mdp.X1, Embedded: new(bool)}
		if cfg := s.embeddedBroker(); cfg.ServiceQueueMax < max(places, 1000) || cfg.QueueMax < 2*max(places, 1000) {
			t.Errorf("--pool-max %d: %d requests may wait, %d of one service", places, cfg.QueueMax, cfg.ServiceQueueMax)
		}
	}
}

func TestABurstOfPartsReachesItsCallerWhole(t *testing.T) {
	const parts, rounds = 10_000, 5
	g := start(t)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	client := newClient(t)
	for range rounds {
		a := request(t, client, http.MethodPost, g.url+"/services/stream", "application/json",
			fmt.Sprintf(`{"body":%q}`, strconv.Itoa(parts)), "Accept", "application/x-ndjson")
		seq := 0
		for lines := bufio.NewScanner(bytes.NewReader(a.body)); lines.Scan(); {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatalf("%s: %v", lines.Bytes(), err)
			}
			if e.Event == "ping" {
				continue
			}
			want, kind := strconv.Itoa(seq+1), "partial"
			if seq == parts {
				want, kind = strconv.Itoa(parts), "final"
			}
			if e.Event != kind || e.Seq != seq || len(e.Frames) == 0 || e.Frames[0].Data != want {
				t.Fatalf("got %s, want %s %d of %s", lines.Bytes(), kind, seq, want)
			}
			seq++
		}
		if seq != parts+1 {
			t.Fatalf("got %d events, want %d", seq, parts+1)
		}
	}
	a := g.post("stream", fmt.Sprintf(`{"body":%q}`, strconv.Itoa(parts)))
	if partials, _ := a.json("partials").([]any); len(partials) != parts || a.data()[0] != strconv.Itoa(parts) {
		t.Errorf("as JSON: got %d with %d partials, want %d and the last frame", a.status, len(partials), parts)
	}
}

// listed returns what GET /services says, each service as its name, availability
// and calls, and its workers, those at work and the requests queued for them.
func (g *running) listed(header ...string) (all []string) {
	g.t.Helper()
	a := request(g.t, newClient(g.t), http.MethodGet, g.url+"/services", "", "", header...)
	services, _ := a.json("services").([]any)
	for _, s := range services {
		info := s.(map[string]any)
		text := fmt.Sprint(info["name"], " ", info["availability"], " ", info["calls"])
		if live, ok := info["live"].(map[string]any); ok {
			text += fmt.Sprintf(" %v/%v/%v", live["workers"], live["busy"], live["queued"])
		}
		all = append(all, text)
	}
	return all
}

// join starts two workers of the service fresh in the dialect mdp/0.1, which
// answer nothing.
func (g *running) join() *worker.Worker {
	g.t.Helper()
	w := mdptest.WorkerWith(g.t, worker.Config{Endpoint: g.broker, Concurrency: 2, Services: map[string]worker.Handler{"fresh": hang}})
	eventually(g.t, "both are there", func() bool {
		return g.get("/services/fresh").json("live", "workers") == 2.0
	})
	return w
}

func TestServicesOfTheEmbeddedBrokerAreListedBeforeAnybodyCallsThem(t *testing.T) {
	g := start(t)
	w := g.join()
	if got := g.listed(); !slices.Contains(got, "fresh up 0 2/0/0") {
		t.Errorf("got %q, want fresh up, not called yet, with two workers at rest", got)
	}
	problem(t, g.post("fresh?timeout=1s", `{}`), 504, "timeout", "maybe")
	if got := g.listed(); !slices.Contains(got, "fresh up 1 2/1/0") {
		t.Errorf("got %q, want fresh up, called once, with one worker of two at work", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a service that was called and has lost its workers is down", func() bool {
		return slices.Contains(g.listed(), "fresh down 1")
	})
}

func TestALiveServiceIsShownOnlyToKeysThatMayCallIt(t *testing.T) {
	var secrets, entries []string
	for _, services := range []string{"'fre*'", "echo"} {
		secret, entry := newKey(t, "key"+fmt.Sprint(len(secrets)))
		secrets = append(secrets, "Bearer "+secret)
		entries = append(entries, strings.Replace(entry, "'*'", services, 1))
	}
	keys := write(t, t.TempDir(), "keys.yaml", strings.Join(entries, ""))
	g := start(t, "--keys-file", keys)
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Services: map[string]worker.Handler{"fresh": echoBack}})
	mdptest.WaitForService(t, g.broker, "echo")
	for i, want := range []string{"fresh", "echo"} {
		got := g.listed("Authorization", secrets[i])
		if len(got) != 1 || !strings.HasPrefix(got[0], want+" up 0 ") {
			t.Errorf("key %d: got %q, want %s alone", i, got, want)
		}
		a := request(t, newClient(t), http.MethodGet, g.url+"/services/fresh", "", "", "Authorization", secrets[i])
		if status := []int{200, 403}[i]; a.status != status {
			t.Errorf("key %d: fresh by its name: got %d, want %d", i, a.status, status)
		}
	}
}

func TestALiveServiceIsNotListedBesideAnExclusiveCatalogue(t *testing.T) {
	config := write(t, t.TempDir(), "gateway.yaml", "services: {echo: {}, absent: {}}\n")
	g := start(t, "--config", config, "--catalogue", "only")
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Dialect: mdp.Loudify, Services: map[string]worker.Handler{"fresh": echoBack}})
	mdptest.WaitForService(t, g.broker, "echo")
	var got []string
	eventually(t, "all four of echo's workers are there", func() bool {
		got = g.listed()
		return slices.Contains(got, "echo up 0 4/0/0")
	})
	if len(got) != 2 || got[0] != "absent down 0" {
		t.Errorf("got %q, want absent, down, and echo", got)
	}
	for _, a := range []answered{g.get("/services/fresh"), g.post("fresh", `{}`)} {
		problem(t, a, 404, "service_not_found", "no")
	}
}
