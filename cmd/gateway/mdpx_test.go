package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// startMDPX starts a gateway that speaks mdpx/1 with its embedded broker, whose workers of the
// service slow wait until release.
func startMDPX(t *testing.T, workers int, ran *atomic.Int64, args ...string) (g *running, release func()) {
	t.Helper()
	g = start(t, append([]string{"--dialect", "mdpx/1"}, args...)...)
	hold := make(chan struct{})
	release = sync.OnceFunc(func() { close(hold) })
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: g.broker, Concurrency: workers,
		Services: map[string]worker.Handler{"slow": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			ran.Add(1)
			<-hold
			return body, nil
		}},
	})
	t.Cleanup(release)
	return g, release
}

func TestATimeoutOverMDPXSaysWhetherItRan(t *testing.T) {
	t.Parallel()
	var ran atomic.Int64
	g, release := startMDPX(t, 1, &ran)
	defer release()
	eventually(t, "the worker is there", func() bool { return g.get("/services/slow").json("availability") == "up" })
	var first sync.WaitGroup
	first.Go(func() {
		if a := g.post("slow", `{}`); a.status != http.StatusOK {
			t.Errorf("the call that waits got %d %s", a.status, a.body)
		}
	})
	eventually(t, "it has the worker", func() bool { return ran.Load() == 1 })
	eventually(t, "a timeout whose request was taken back in time", func() bool {
		a := g.post("slow?timeout=50ms", `{}`)
		if a.status != http.StatusGatewayTimeout {
			t.Fatalf("got %d %s, want a timeout", a.status, a.body)
		}
		return a.json("executed") == "no" && a.json("retryable") == true && strings.Contains(a.json("detail").(string), "taken back")
	})
	for _, line := range []string{`canceled_total{service="slow",was="queued"}`, "requests_saved_total"} {
		if metrics := string(g.get("/metrics").body); !strings.Contains(metrics, "mdp_gateway_"+line) {
			t.Errorf("there is no metric %s", line)
		}
	}
	release()
	first.Wait()
	if n := ran.Load(); n != 1 {
		t.Errorf("%d requests ran, want the first alone", n)
	}
	if a := g.post("no-such", `{}`); a.status != http.StatusNotFound || a.json("code") != string(gateway.ServiceNotFound) {
		t.Errorf("an unknown service: got %d %s", a.status, a.body)
	}
}

// loudify's workers and clients stay as they are at a broker that a gateway speaks mdpx/1 with.
func TestLoudifysPeersServeAndCallBesideMDPX(t *testing.T) {
	t.Parallel()
	g := start(t, "--dialect", "mdpx/1")
	w := mdptest.NewDealer(t, g.broker)
	frames := func(s ...string) (f [][]byte) {
		for _, x := range s {
			f = append(f, []byte(x))
		}
		return f
	}
	w.Send(frames("", "W01", "\x01", "lora"))
	eventually(t, "the worker is there", func() bool { return g.get("/services/lora").json("availability") == "up" })
	done := make(chan answered, 1)
	go func() { done <- g.post("lora", `{"body":"samples","vars":{"sf":7}}`) }()
	next := func() [][]byte {
		for {
			if m := w.Receive(); string(m[2]) == "\x02" { // not a heartbeat
				return m
			}
		}
	}
	request := next()
	if len(request) != 7 || string(request[1]) != "W01" || string(request[5]) != "samples" || string(request[6]) != "{'sf': 7}" {
		t.Errorf("loudify's worker was given %s", mdp.Show(request))
	}
	w.Send(append(frames("", "W01", "\x03", string(request[3]), ""), []byte("decoded")))
	if a := <-done; a.status != http.StatusOK || a.data()[0] != "decoded" {
		t.Errorf("the gateway's call got %d %s", a.status, a.body)
	}
	c := mdptest.NewDealer(t, g.broker)
	c.Send(frames("", "C01", "lora", "Hello world", "{}"))
	request = next()
	w.Send(append(frames("", "W01", "\x03", string(request[3]), ""), []byte("again")))
	if got := mdp.Show(c.Receive()); got != "'' | C01 | lora | '' | again" {
		t.Errorf("loudify's client got %s", got)
	}
}

func TestReadinessTellsABrokerThatDoesNotSpeakMDPX(t *testing.T) {
	t.Parallel()
	mute := mdptest.NewRouter(t, nil)
	g := start(t, "--broker", mute.Endpoint(), "--dialect", "mdpx/1")
	eventually(t, "readiness tells it", func() bool {
		a := g.get("/readyz")
		return a.status == http.StatusServiceUnavailable && strings.Contains(string(a.body), gateway.Unspoken)
	})
	if metrics := string(g.get("/metrics").body); !strings.Contains(metrics, fmt.Sprintf("mdp_gateway_broker_silent{endpoint=%q} 1", mute.Endpoint())) {
		t.Error("the metric does not tell it")
	}
	if a := g.post("echo?timeout=1s", `{}`); a.status != http.StatusServiceUnavailable {
		t.Errorf("a call got %d %s", a.status, a.body)
	}
}

func TestJobsRunOverMDPX(t *testing.T) {
	t.Parallel()
	g := start(t, "--dialect", "mdpx/1")
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	id := g.submit(t, "echo", "application/octet-stream", "hello")
	if a := g.awaitJob(t, id); a.json("state") != "done" {
		t.Errorf("the job is %s", a.body)
	}
}

// A job awaits the reply to a request that a worker has; one that no worker had leaves none.
func TestALateReplyOverMDPX(t *testing.T) {
	t.Parallel()
	var ran atomic.Int64
	g, release := startMDPX(t, 1, &ran, "--late-replies", "2")
	eventually(t, "the worker is there", func() bool { return g.get("/services/slow").json("availability") == "up" })
	a := g.post("slow?timeout=300ms", `{"body":"late"}`)
	path := a.header.Get("Location")
	if a.status != http.StatusGatewayTimeout || a.json("executed") != "maybe" || ran.Load() != 1 || path == "" {
		t.Fatalf("got %d %s at %q, want a timeout that says where the reply will be", a.status, a.body, path)
	}
	eventually(t, "a timeout whose request was taken back in time", func() bool {
		a := g.post("slow?timeout=50ms", `{}`)
		if executed := a.json("executed"); executed == "no" && a.header.Get("Location") != "" {
			t.Fatalf("%s leaves a job at %q", a.body, a.header.Get("Location"))
		}
		return a.json("executed") == "no"
	})
	if a := g.get(path); a.json("state") != "running" {
		t.Errorf("its job: %s", a.body)
	}
	release()
	g.awaitJob(t, strings.TrimPrefix(path, "/jobs/"))
	if a := g.get(path + "/reply"); a.status != http.StatusOK || !strings.Contains(string(a.body), `"late"`) {
		t.Errorf("its reply: %d %s", a.status, a.body)
	}
}
