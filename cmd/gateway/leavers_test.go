package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
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
	t.Parallel()
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

// Requests whose callers left while they were in the broker's queue are run for nobody: the workers are free once
// they have ended what they had begun. With MDP the broker finds out when their connections are closed; with mdpx/1 it
// is told at once.
func TestNoWorkerRunsWhatAStormLeftInTheQueue(t *testing.T) {
	for _, dialect := range []string{"mdp/0.2", "mdpx/1"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			storm(t, dialect)
		})
	}
}

func storm(t *testing.T, dialect string) {
	const workers, storm = 8, 100
	g := startWith(t, "queue-timeout: 2m\nconnect-timeout: 2m\npool-max: 200\ndialect: "+dialect+"\n", nil)
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

	// others are the connections to the broker that are not of the pool, as long as it opens none.
	others := func() int {
		idle := g.count(t, `pool_connections{state="idle"}`)
		return connectionsTo(t, g.broker) - idle
	}
	closed := func() bool { return live("queued") == 0.0 }
	if dialect != "mdpx/1" {
		opening := func() bool { return g.count(t, `pool_connections{state="connecting"}`) > 0 }
		eventually(t, "no connection is being opened", func() bool { return !opening() })
		before := others()
		closed = func() bool { return !opening() && others() <= before }
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	client := newClient(t)
	var calls sync.WaitGroup
	for range storm {
		calls.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/services/slow", strings.NewReader(`{}`))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			if a, err := do(client, r); err == nil {
				t.Errorf("a caller who left got %d %s", a.status, a.body)
			}
		})
	}
	const queued = storm - workers
	eventually(t, "the workers are busy and all else is queued", func() bool { return ran.Load() == workers && live("queued") == float64(queued) })
	leave()
	calls.Wait()
	eventually(t, "the broker can know that the storm has gone", closed)
	release()
	if a := g.post("slow", `{}`); a.status != http.StatusOK {
		t.Errorf("a patient call got %d %s", a.status, a.body)
	}
	// The patient call may have overtaken what is yet to be dropped.
	eventually(t, "nothing is queued", func() bool { return live("queued") == 0.0 })
	if ran.Load() != workers+1 || live("saved") != float64(queued) {
		t.Errorf("the workers ran %d and then %d, and %v were saved, want %d, 1 and %d",
			workers, ran.Load()-workers, live("saved"), workers, queued)
	}
}

// connectionsTo returns how many connections the kernel has at the broker's end: unlike a metric, it is never late.
func connectionsTo(t *testing.T, endpoint string) (n int) {
	t.Helper()
	port, err := strconv.ParseUint(endpoint[strings.LastIndexByte(endpoint, ':')+1:], 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	const established, closedByPeer = "01", "08"
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // number, local address, remote address, state
		if len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && (f[3] == established || f[3] == closedByPeer) {
			n++
		}
	}
	return n
}
