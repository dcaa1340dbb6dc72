package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// A caller who calls and leaves holds the places of its key until the work has ended: it could
// otherwise fill all workers.
func TestACallerWhoLeavesKeepsTheKeysPlaceUntilTheWorkEnds(t *testing.T) {
	secret, entry := newKey(t, "narrow")
	entry = strings.Replace(entry, "services: ", "metrics: true, max_in_flight: 1, services: ", 1)
	key := []string{"Authorization", "Bearer " + secret}
	g := startWith(t, "keys-file: DIR/keys.yaml\n", map[string]string{"keys.yaml": entry})
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`, key...).status == http.StatusOK })

	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/services/sleep", strings.NewReader(`{"body":"4s"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(key[0], key[1])
	left := make(chan struct{})
	go func() {
		defer close(left)
		if a, err := newClient(t).Do(r); err == nil {
			a.Body.Close()
			t.Errorf("the caller who left got %d", a.StatusCode)
		}
	}()
	eventually(t, "the call is sent", func() bool { return g.metric(t, `pool_connections{state="busy"}`, key...) == "1" })
	leave()
	<-left
	eventually(t, "the call is given up", func() bool { return g.metric(t, `orphaned_requests{service="sleep"}`, key...) == "1" })
	problem(t, g.post("echo", `{}`, key...), 429, "rate_limited", "no")
	eventually(t, "the work has ended", func() bool { return g.post("echo", `{}`, key...).status == http.StatusOK })
}

// Requests that timed out in the broker's queue are run for nobody: the workers are free once they have ended
// what they had begun. With MDP the broker finds out when their connections are closed; with
// mdpx/1 it is told at once.
func TestNoWorkerRunsWhatAStormLeftInTheQueue(t *testing.T) {
	for _, dialect := range []string{"mdp/0.2", "mdpx/1"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			storm(t, dialect)
		})
	}
}

func storm(t *testing.T, dialect string) {
	const workers, storm = 8, 200
	g := startWith(t, "dialect: "+dialect+"\n", nil)
	var ran atomic.Int64
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: g.broker, Concurrency: workers,
		Services: map[string]worker.Handler{"slow": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			ran.Add(1)
			<-hold
			return body, nil
		}},
	})
	defer release()
	live := func(what string) any { return g.get("/services/slow").json("live", what) }
	eventually(t, "the workers are there", func() bool { return live("workers") == float64(workers) })

	var calls sync.WaitGroup
	var timeouts atomic.Int64
	others := func() int { // connections to the broker that are not of the pool
		n := g.counts(t, `connections{listener="broker"}`, `pool_connections{state="idle"}`)
		return n[0] - n[1]
	}
	before := -1
	if dialect != "mdpx/1" {
		before = others()
	}
	for range storm {
		calls.Go(func() {
			switch a := g.post("slow?timeout=300ms", `{}`); a.status {
			case http.StatusGatewayTimeout:
				timeouts.Add(1)
			case http.StatusServiceUnavailable: // it had no connection yet
			default:
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	calls.Wait()
	eventually(t, "the connections of the storm are closed", func() bool { return before < 0 || others() == before })
	queued, begun := live("queued").(float64), ran.Load()
	release()
	if a := g.post("slow", `{}`); a.status != http.StatusOK {
		t.Errorf("a patient call got %d %s", a.status, a.body)
	}
	if dialect == "mdpx/1" {
		if queued != 0 {
			t.Errorf("%v are queued, want none: they were canceled", queued)
		}
		queued = float64(timeouts.Load() - begun)
	}
	// The patient call may have overtaken what is yet to be dropped.
	eventually(t, "nothing is queued", func() bool { return live("queued") == 0.0 })
	if ran.Load() != begun+1 || queued == 0 || live("saved") != queued {
		t.Errorf("%d timeouts: the workers ran %d and then %d, %v were queued and %v saved, want those and one more",
			timeouts.Load(), begun, ran.Load()-begun, queued, live("saved"))
	}
}
