package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/sqlite"
)

// workerless is a Caller of jobs whose services have no workers.
type workerless struct{}

func (workerless) PrepareJob(context.Context, *gateway.Call) error { return nil }
func (workerless) RunJob(context.Context, gateway.Call) (gateway.Reply, error) {
	return gateway.Reply{}, &gateway.Error{Kind: gateway.NoWorkers}
}
func (workerless) JobRules(string) gateway.JobRules { return gateway.JobRules{} }

// serveJobs serves an API whose jobs stay queued.
func serveJobs(t *testing.T) (*testServer, *jobs.Runner) {
	t.Helper()
	return serveJobsBeside(t, caller(echo))
}

// serveJobsBeside is serveJobs with a Caller of other calls.
func serveJobsBeside(t *testing.T, c Caller) (*testServer, *jobs.Runner) {
	t.Helper()
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	runner, err := jobs.New(jobs.Config{Store: store, Caller: workerless{}})
	if err != nil {
		t.Fatal(err)
	}
	g := serve(t, Config{Jobs: runner, Caller: c})
	t.Cleanup(func() {
		g.stop()
		if err := runner.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, runner
}

// submitted makes a job and returns its path.
func submitted(t *testing.T, g *testServer) string {
	t.Helper()
	a := g.post("/services/echo", "x", "Prefer: respond-async")
	path := a.Header.Get("Location")
	if a.StatusCode != http.StatusAccepted || !strings.HasPrefix(path, "/jobs/") {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	return path
}

// Callers who wait and leave hold nothing afterwards, and a drain keeps nobody waiting.
func TestAThousandCallersWaitForAJobAndLeave(t *testing.T) {
	g, runner := serveJobs(t)
	path := submitted(t, g)
	ctx, leave := context.WithCancel(t.Context())
	var left, stayed sync.WaitGroup
	states := make(chan string, 500)
	for i := range 1000 {
		ask := func(ctx context.Context) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path+"?wait=30m", nil))
			<-g.seen.done
			return w
		}
		if i%2 == 0 {
			left.Go(func() { ask(ctx) })
			continue
		}
		stayed.Go(func() {
			var job jobView
			if err := json.Unmarshal(ask(context.Background()).Body.Bytes(), &job); err != nil {
				t.Error(err)
			}
			states <- string(job.State)
		})
	}
	waiters := func(n int) func() bool { return func() bool { return runner.Stats().Waiters == n } }
	g.until("1,000 wait", waiters(1000))
	leave()
	left.Wait()
	g.until("500 wait", waiters(500))
	runner.Drain()
	stayed.Wait()
	for range 500 {
		if state := <-states; state != "queued" {
			t.Errorf("who waited is told %q", state)
		}
	}
	if n := runner.Stats().Waiters; n != 0 {
		t.Errorf("%d still wait", n)
	}
}

func TestAChangeWakesWhoeverWaitsForIt(t *testing.T) {
	g, runner := serveJobs(t)
	path := submitted(t, g)
	waited := make(chan answer, 1)
	go func() { waited <- g.get(path + "/reply?wait=30m") }()
	g.until("one waits", func() bool { return runner.Stats().Waiters == 1 })
	if a := g.post(path+"/cancel", ""); a.StatusCode != http.StatusOK {
		t.Errorf("cancel: %d %s", a.StatusCode, a.body)
	}
	select {
	case a := <-waited:
		if a.StatusCode != http.StatusGone || !strings.Contains(string(a.body), `"code":"canceled"`) {
			t.Errorf("got %d %s, want 410 canceled", a.StatusCode, a.body)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody was woken")
	}
}

func TestWhatIsWrongWithARequestForAJobIsTold(t *testing.T) {
	g, _ := serveJobs(t)
	path := submitted(t, g)
	for _, c := range []struct {
		method, path, header string
		want                 gateway.Kind
	}{
		{"GET", "/jobs/short", "", gateway.JobNotFound},
		{"GET", "/jobs/" + strings.Repeat("A", 40), "", gateway.JobNotFound},
		{"GET", path + "?wait=soon", "", gateway.BadRequest},
		{"GET", path + "?wiat=1s", "", gateway.BadRequest},
		{"GET", path + "/reply?frame=x", "", gateway.BadRequest},
		{"GET", path + "/events", "Last-Event-ID: 7", gateway.BadRequest},
		{"GET", "/jobs", "", gateway.NotFound}, // nobody has an identity, and it is not said that all may list
		{"POST", "/services/echo", "Idempotency-Key: k", gateway.BadRequest},
		{"POST", "/services/echo?expires=1m", "", gateway.BadRequest},
		{"PUT", path, "", gateway.MethodNotAllowed},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		if a := g.do(g.http, c.method, c.path, nil, headers...); a.StatusCode != problems[c.want].status || !strings.Contains(string(a.body), fmt.Sprintf(`"code":%q`, c.want)) {
			t.Errorf("%s %s %s: got %d %s, want %s", c.method, c.path, c.header, a.StatusCode, a.body, c.want)
		}
	}
	for _, key := range []string{"", strings.Repeat("k", 256), "h\u00e9"} {
		a := g.post("/services/echo", "x", "Prefer: respond-async", "Idempotency-Key: "+key)
		a.wantProblem(t, gateway.BadRequest)
	}
}
