package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp/worker"
)

// serve starts a worker of echo with a pair of the hall.
func (h *hall) serve(id string) *worker.Worker {
	h.t.Helper()
	server, err := curve.LoadKey(h.key("hall1"))
	if err != nil {
		h.t.Fatal(err)
	}
	own, err := curve.LoadPair(h.secret(id))
	if err != nil {
		h.t.Fatal(err)
	}
	w, err := worker.New(worker.Config{
		Endpoint: h.endpoint, Curve: &curve.Client{Server: server, Own: own}, Services: map[string]worker.Handler{"echo": echoBack}, Concurrency: 2,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = w.Close() })
	return w
}

// The keys of a gateway and of a worker are replaced as docs/access.md says, and no call fails.
func TestCurveKeysAreReplacedUnderLoadAndNoCallFails(t *testing.T) {
	h := newHall(t)
	for _, id := range []string{"gateway-2", "gateway-3", "lora-worker-2"} {
		h.public[id], _ = newPair(t, h.dir, id)
	}
	relist := func(ids ...string) {
		h.list(ids...)
		h.reload()
		h.logged(t, "configuration reloaded", "")
	}
	old := h.serve("lora-worker")
	first := startWith(t, h.config("gateway-1")+"drain: 30s\n", nil)
	eventually(t, "the worker answers", func() bool { return first.post("echo?timeout=500ms", `{}`).status == http.StatusOK })

	var url atomic.Pointer[string]
	url.Store(&first.url)
	var stop atomic.Bool
	var calls, failed atomic.Int64
	var callers sync.WaitGroup
	client := newClient(t)
	for range 4 {
		callers.Go(func() {
			for !stop.Load() {
				r, err := client.Post(*url.Load()+"/services/echo", "application/json", strings.NewReader(`{}`))
				calls.Add(1)
				if err != nil {
					t.Error(err)
					failed.Add(1)
					continue
				}
				if page, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusOK {
					t.Errorf("got %d %s", r.StatusCode, page)
					failed.Add(1)
				}
				r.Body.Close()
			}
		})
	}
	goesOn := func(what string) {
		t.Helper()
		n := calls.Load()
		eventually(t, what, func() bool { return calls.Load() >= n+20 })
	}
	goesOn("calls with the first keys")

	relist("gateway-1", "gateway-2", "lora-worker", "lora-worker-2")
	h.serve("lora-worker-2")
	goesOn("calls with the second worker")
	if err := old.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := startWith(t, h.config("gateway-2")+"drain: 30s\n", nil)
	eventually(t, "the second gateway is ready", func() bool { return second.get("/readyz").status == http.StatusOK })
	url.Store(&second.url)
	goesOn("calls over the second gateway")
	first.end()
	goesOn("calls over the second gateway alone")
	relist("gateway-2", "lora-worker-2")
	goesOn("calls with the second keys alone")

	// Without a restart, and again by a gateway whose calls share connections.
	rekey := func(g *reloaded, from, to string, config func(id string) string) {
		t.Helper()
		relist(from, to, "lora-worker-2")
		g.write(t, config(to)+"drain: 30s\n")
		g.hangUp(t)
		eventually(t, "the keys are replaced", func() bool {
			return slices.ContainsFunc(g.lines(), func(line map[string]any) bool { return line["msg"] == "the keys for the broker were replaced" })
		})
		goesOn("calls after the reload")
		relist(to, "lora-worker-2")
		goesOn("calls with the next key alone")
	}
	rekey(second, "gateway-2", "gateway-3", h.config)
	muxed := func(id string) string {
		return strings.Replace(h.config(id), "name: hall1", "name: hall1, dialect: mdpx/1", 1)
	}
	third := startWith(t, muxed("gateway-3")+"drain: 30s\n", nil)
	eventually(t, "the third gateway is ready", func() bool { return third.get("/readyz").status == http.StatusOK })
	url.Store(&third.url)
	goesOn("calls over the third gateway")
	rekey(third, "gateway-3", "gateway-1", muxed)

	stop.Store(true)
	callers.Wait()
	t.Logf("%d calls, %d failed", calls.Load(), failed.Load())
}
