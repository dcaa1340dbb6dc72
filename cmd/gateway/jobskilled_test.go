package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/natstest"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// diesAt is set in the environment of a child that is to be a gateway that kills itself, as kill -9 does, at that point
// of a job's way.
const diesAt = "MDP_TEST_DIES_AT"

// The points.
const (
	nowhere     = "nowhere"
	submitted   = "submitted" // the job is stored; its 202 is not written
	claimed     = "claimed"   // the claim is stored; nothing is sent
	sent        = "sent"      // a worker has it; the test kills the gateway
	partStored  = "part"      // the first PARTIAL is stored
	replied     = "replied"   // the reply is there; nothing of it is stored
	inPieces    = "pieces"    // some pieces of a large reply are stored
	ended       = "ended"     // the reply is stored; nobody is told
	beforeErase = "erase"     // its owner deletes it; it is there
	erasing     = "erasing"   // its record says that it is deleted; the pieces of its reply are there
	erased      = "erased"    // it is not there any more; nobody is told
)

// dieAt runs the gateway that the arguments ask for.
func dieAt(point string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := new(cli)
	p := &process{
		ctx: ctx, args: os.Args[1:], env: os.Environ(), stdout: os.Stdout, stderr: os.Stderr, resolver: newResolver(os.Environ()),
	}
	if err := p.parse(c, os.Exit); err != nil {
		return p.fail(exitUsage, err)
	}
	c.Serve.jobsThrough = func(s jobs.Store) jobs.Store {
		through := mortal{s, point}
		if shared, ok := s.(jobs.Shared); ok {
			return struct {
				mortal
				jobs.KeyStore
				watched
			}{through, s.(jobs.KeyStore), watched{shared}}
		}
		return struct {
			mortal
			jobs.KeyStore
		}{through, s.(jobs.KeyStore)}
	}
	if err := p.command.Run(p); err != nil {
		return p.fail(exitFailed, err)
	}
	return exitOK
}

type watched struct{ shared jobs.Shared }

func (w watched) Watch(by jobs.Watcher) { w.shared.Watch(by) }
func (w watched) Leave()                { w.shared.Leave() }

// A mortal is a store whose process dies at a point.
type mortal struct {
	jobs.Store
	point string
}

func (m mortal) at(point string) {
	if m.point == point {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (m mortal) Submit(ctx context.Context, job *jobs.Job, frames [][]byte, key jobs.Key) (*jobs.Job, error) {
	existing, err := m.Store.Submit(ctx, job, frames, key)
	if existing == nil && err == nil {
		m.at(submitted)
	}
	return existing, err
}

func (m mortal) Move(ctx context.Context, move jobs.Move) (jobs.Job, error) {
	if move.To == jobs.Done {
		m.at(replied)
	}
	if move.To == jobs.Done && m.point == inPieces {
		go func() {
			for before := m.Stats().Bytes; m.Stats().Bytes < before+1<<20; {
				<-time.After(50 * time.Microsecond)
			}
			m.at(inPieces)
		}()
	}
	job, err := m.Store.Move(ctx, move)
	switch {
	case err != nil:
	case move.To == jobs.Running:
		m.at(claimed)
	case move.To == jobs.Done:
		m.at(ended)
	}
	return job, err
}

func (m mortal) AddParts(ctx context.Context, id string, parts [][][]byte, size int64) error {
	err := m.Store.AddParts(ctx, id, parts, size)
	m.at(partStored)
	return err
}

func (m mortal) Delete(ctx context.Context, id string) error {
	m.at(beforeErase)
	err := m.Store.Delete(ctx, id)
	m.at(erased)
	return err
}

// A death is what is expected of a job whose gateway dies at a point: what it becomes, and how often its request ran.
type death struct {
	point    string
	state    string // empty: there is no such job
	executed string
	ran      int
}

var deaths = []death{
	{claimed, "interrupted", "maybe", 0},
	{sent, "interrupted", "maybe", 1},
	{partStored, "interrupted", "maybe", 1},
	{replied, "interrupted", "maybe", 1},
	{inPieces, "interrupted", "maybe", 1},
	{ended, "done", "yes", 1},
	{beforeErase, "done", "yes", 1},
	{erased, "", "", 1},
	{submitted, "done", "yes", 1}, // the last, since the next gateway claims it
}

func TestAGatewayThatIsKilledLeavesItsJobsAsTheyAre(t *testing.T) {
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		killed(t, deaths, nil, t.TempDir())
	})
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		servers := natstest.Start(t, 1)
		tap := newTap(t, servers.Nodes[0].Address)
		all := slices.Insert(slices.Clone(deaths), 0, death{erasing, "", "", 1})
		killed(t, all, tap, tap.url(), "--jobs-replicas", "1", "--jobs-max-bytes", "256MiB")
	})
}

// A mortality is a broker, a worker that notes what it gets, and the gateways that die.
type mortality struct {
	t      *testing.T
	args   []string
	broker string
	begun  chan string       // requests that are held
	end    chan struct{}     // closed when they shall end
	tap    *tap              // before the store; nil: none
	ids    map[string]string // of the jobs, by point

	mu  sync.Mutex
	ran map[string]int // guarded by mu; by point
}

func killed(t *testing.T, all []death, tap *tap, store string, args ...string) {
	m := &mortality{
		t: t, tap: tap, ids: map[string]string{}, broker: mdptest.Broker(t).Endpoints()[0], begun: make(chan string, len(all)), end: make(chan struct{}), ran: map[string]int{},
	}
	m.args = append([]string{"serve", "--listen", "127.0.0.1:0", "--broker", m.broker, "--dialect", "mdp/0.2", "--jobs", store}, args...)
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: m.broker, Dialect: mdp.V02, Concurrency: 2, Services: map[string]worker.Handler{"work": m.work},
	})
	for _, d := range all {
		m.die(d.point)
	}
	close(m.end)
	g := m.gateway(nowhere)
	for _, d := range all {
		m.check(g, d)
	}
}

// work does what the point of a request asks for.
func (m *mortality) work(ctx context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
	point := string(body[0])
	m.mu.Lock()
	m.ran[point]++
	m.mu.Unlock()
	switch point {
	case sent:
		m.begun <- point
		select {
		case <-m.end:
		case <-ctx.Done():
		}
	case partStored:
		return body, partial([][]byte{[]byte("a part")})
	}
	return [][]byte{[]byte(replyTo(point))}, nil
}

// replyTo is the reply to the request of a point.
func replyTo(point string) string {
	if point == inPieces || point == erasing {
		return point + strings.Repeat(" ", 8<<20)
	}
	return point
}

// gateway starts a gateway that dies at a point.
func (m *mortality) gateway(point string) *mourned {
	m.t.Helper()
	cmd := exec.Command(os.Args[0], m.args...)
	cmd.Env = []string{diesAt + "=" + point}
	g := &mourned{child: spawnCommand(m.t, cmd), client: newClient(m.t)}
	g.url = "http://" + g.logged(m.t, "listening", "address")
	return g
}

// die has a gateway die at a point of a job's way.
func (m *mortality) die(point string) {
	m.t.Helper()
	g := m.gateway(point)
	kill := func() { _ = g.cmd.Process.Kill() }
	if point == inPieces && m.tap != nil {
		m.tap.at("HPUB mdp.d.", 5, kill)
	}
	status, _, body := g.submit(m.t, point)
	if status == http.StatusAccepted {
		m.ids[point] = jobID(m.t, body)
	}
	switch point {
	case sent:
		<-m.begun
		kill()
	case beforeErase, erasing, erased:
		g.await(m.t, m.ids[point])
		if point == erasing {
			m.tap.at("$JS.API.STREAM.PURGE.", 0, kill)
		}
		_, _, _ = g.do(m.t, http.MethodDelete, "/jobs/"+m.ids[point], "", nil)
	case submitted:
		if status != 0 {
			m.t.Errorf("a gateway that died before its answer answered %d %s", status, body)
		}
	}
	if err := g.cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		m.t.Fatalf("%s: the gateway ended with %v, want that it was killed", point, err)
	}
}

// check looks what became of the job of a gateway that died. Its idempotency key finds it.
func (m *mortality) check(g *mourned, d death) {
	m.t.Helper()
	status, header, body := g.submit(m.t, d.point)
	if found := header.Get("Idempotent-Replayed") == "true"; status != http.StatusAccepted || found != (d.state != "") {
		m.t.Errorf("%s: the same submission again: %d, found: %v, %s", d.point, status, found, body)
		return
	}
	id := jobID(m.t, body)
	state, executed := g.await(m.t, id)
	if d.state == "" {
		for _, path := range []string{"", "/reply"} {
			if status, _, body := g.do(m.t, http.MethodGet, "/jobs/"+m.ids[d.point]+path, "", nil); status != http.StatusNotFound {
				m.t.Errorf("%s: the deleted job%s: %d %.100s", d.point, path, status, body)
			}
		}
		d.state, d.executed, d.ran = "done", "yes", d.ran+1 // it was made anew
	}
	m.mu.Lock()
	ran := m.ran[d.point]
	m.mu.Unlock()
	if state != d.state || executed != d.executed || ran != d.ran {
		m.t.Errorf("%s: the job is %s, executed %s, and ran %d times, want %s, %s, %d", d.point, state, executed, ran, d.state, d.executed, d.ran)
	}
	status, _, body = g.do(m.t, http.MethodGet, "/jobs/"+id+"/reply?reply=raw", "", nil)
	if d.state == "done" && (status != http.StatusOK || string(body) != replyTo(d.point)) || d.state != "done" && status == http.StatusOK {
		m.t.Errorf("%s: the reply of a job that is %s: %d %.100s", d.point, state, status, body)
	}
	for _, want := range []int{http.StatusNoContent, http.StatusNotFound} {
		if status, _, body := g.do(m.t, http.MethodDelete, "/jobs/"+id, "", nil); status != want {
			m.t.Errorf("%s: a deletion: %d %s, want %d", d.point, status, body, want)
		}
	}
}

// A mourned is a gateway in a process of its own.
type mourned struct {
	*child
	client *http.Client
	url    string
}

// do makes a request. Of one that is not answered the status is 0.
func (g *mourned) do(t *testing.T, method, path, body string, header map[string]string) (int, http.Header, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, g.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := g.client.Do(r)
	if err != nil {
		return 0, http.Header{}, nil
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		return 0, http.Header{}, nil
	}
	return response.StatusCode, response.Header, text.Bytes()
}

// submit makes a job whose request, and idempotency key, is a point.
func (g *mourned) submit(t *testing.T, point string) (int, http.Header, []byte) {
	t.Helper()
	for {
		status, header, body := g.do(t, http.MethodPost, "/services/work", point, map[string]string{
			"Content-Type": rawBody, "Prefer": "respond-async", "Idempotency-Key": "key of " + point,
		})
		if status != http.StatusServiceUnavailable && status != http.StatusNotFound { // until the broker is asked
			return status, header, body
		}
		<-time.After(20 * time.Millisecond)
	}
}

// await returns what a job is once it is over.
func (g *mourned) await(t *testing.T, id string) (state, executed string) {
	t.Helper()
	eventually(t, "the job is over", func() bool {
		_, _, body := g.do(t, http.MethodGet, "/jobs/"+id+"?wait=30s", "", nil)
		a := answered{body: body}
		state, executed = fmt.Sprint(a.json("state")), fmt.Sprint(a.json("executed"))
		return a.json("ended") != nil
	})
	return state, executed
}

func jobID(t *testing.T, body []byte) string {
	t.Helper()
	id, _ := answered{body: body}.json("id").(string)
	if !jobs.IsID(id) {
		t.Fatalf("no job: %s", body)
	}
	return id
}
