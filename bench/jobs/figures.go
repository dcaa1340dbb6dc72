package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/worker"
)

const (
	callers  = 64      // that submit at once
	pollers  = 8       // that measure the time to a reply, one call after the other
	wakes    = 100     // long-polls that are woken
	rest     = 5       // seconds for which a gateway with many queued jobs is watched
	large    = 4 << 20 // of the frames of a large reply
	largeFor = 16      // frames, less a little, since 64 MiB is --max-reply
)

// A row is one figure.
type row struct{ what, value string }

// A bench measures one store.
type bench struct {
	binary, server, only, dir string
	more                      []string // settings of the gateway
	each                      time.Duration
	queued                    int
	submitted                 int64  // of them
	column                    string // of the table
	store                     string // as --jobs names it
	config                    string
	gateway                   *process
	client                    *http.Client
	ended                     chan time.Time // when the worker of held was about to reply
	rows                      []row
}

// steps are the parts of the measurement, in their order.
var steps = []struct {
	name string
	run  func(*bench) error
}{
	{"submit", (*bench).submissions}, {"whole", (*bench).whole}, {"latency", (*bench).latencies}, {"wake", (*bench).wakeUps},
	{"large", (*bench).largeReply}, {"unused", (*bench).unused}, {"fill", (*bench).fill}, {"restart", (*bench).restart},
}

func names() (all []string) {
	for _, step := range steps {
		all = append(all, step.name)
	}
	return all
}

func (b *bench) add(what, format string, values ...any) {
	b.rows = append(b.rows, row{what, fmt.Sprintf(format, values...)})
}

// measure returns the figures of a store in the order of the table.
func (b *bench) measure(store string) ([]row, error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, err
	}
	b.column, b.store = store, store
	switch store {
	case "file":
		b.store = filepath.Join(b.dir, "jobs")
	case "nats", "nats3":
		url, stop, err := serve(b.server, b.dir, map[string]int{"nats": 1, "nats3": 3}[store])
		if err != nil {
			return nil, err
		}
		defer stop()
		b.store = url
		b.more = append([]string{"--jobs-replicas", map[string]string{"nats": "1", "nats3": "3"}[store]}, b.more...)
	}
	b.config = filepath.Join(b.dir, "gateway.yaml")
	err := os.WriteFile(b.config, []byte(catalogue), 0o600)
	if err != nil {
		return nil, err
	}
	if b.gateway, err = b.start(); err != nil {
		return nil, err
	}
	defer func() { b.gateway.stop() }()
	b.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	stop, err := b.work()
	if err != nil {
		return nil, err
	}
	defer stop()
	for _, step := range steps {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), step.name) {
			continue
		}
		if err := step.run(b); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return b.rows, nil
}

// work starts the workers of all services but idle.
func (b *bench) work() (stop func(), err error) {
	b.ended = make(chan time.Time, 1)
	echo := func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) { return body, nil }
	services := map[string]worker.Handler{
		"now": echo,
		"ms": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			time.Sleep(time.Millisecond) // its work, for which the docs name it
			return body, nil
		},
		"held": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			time.Sleep(20 * time.Millisecond) // its work: by then the poll whose wake-up is measured waits
			b.ended <- time.Now()
			return body, nil
		},
		"large": func(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) {
			frames := make([][]byte, largeFor)
			for i := range frames {
				frames[i] = make([]byte, large-1024)
			}
			return frames, nil
		},
	}
	w, err := worker.New(worker.Config{Endpoint: b.gateway.broker, Dialect: mdp.V02, Services: services, Concurrency: 16})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"now", "ms"} { // a look every 10 ms until the worker is there
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if _, err := b.post(name, "", http.StatusOK); err == nil {
				break
			} else if time.Since(begun) > 10*time.Second {
				return nil, err
			}
		}
	}
	return func() { _ = w.Close() }, nil
}

var kib = make([]byte, 1<<10)

// post submits 1 KiB to a service and returns the answer's body.
func (b *bench) post(service, prefer string, want int) ([]byte, error) {
	r, err := http.NewRequest(http.MethodPost, b.gateway.url+"/services/"+service, bytes.NewReader(kib))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	if prefer != "" {
		r.Header.Set("Prefer", prefer)
	}
	return b.do(r, want)
}

func (b *bench) do(r *http.Request, want int) ([]byte, error) {
	answer, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != want {
		err = fmt.Errorf("%s %s: %d %.200s", r.Method, r.URL, answer.StatusCode, body)
	}
	return body, err
}

func (b *bench) get(path string) ([]byte, error) {
	r, err := http.NewRequest(http.MethodGet, b.gateway.url+path, nil)
	if err != nil {
		return nil, err
	}
	return b.do(r, http.StatusOK)
}

// submit makes a job and returns its id.
func (b *bench) submit(service string) (string, error) {
	body, err := b.post(service, "respond-async", http.StatusAccepted)
	if err != nil {
		return "", err
	}
	var job struct{ ID string }
	return job.ID, json.Unmarshal(body, &job)
}

// load calls from many goroutines until more says that it is enough, and returns how often and how fast.
func load(n int, more func(done int64) bool, call func() error) (count int64, perSecond float64, err error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	begun := time.Now()
	for range n {
		all.Go(func() {
			for failed.Load() == nil && more(done.Load()) {
				if err := call(); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if e := failed.Load(); e != nil {
		return 0, 0, *e
	}
	return done.Load(), float64(done.Load()) / time.Since(begun).Seconds(), nil
}

func (b *bench) during() func(int64) bool { return within(b.each) }

func within(d time.Duration) func(int64) bool {
	end := time.Now().Add(d)
	return func(int64) bool { return time.Now().Before(end) }
}

// submissions are of a service without workers.
func (b *bench) submissions() error {
	n, rate, err := load(callers, b.during(), func() error { _, err := b.submit("idle"); return err })
	b.submitted = n
	b.add("submissions of 1 KiB a second, 64 callers", "%.0f", rate)
	return err
}

// whole are jobs from the submission to the reply.
func (b *bench) whole() error {
	before, err := b.gateway.cpu()
	if err != nil {
		return err
	}
	n, rate, err := load(callers, b.during(), func() error {
		_, err := b.post("now", "respond-async, wait=30", http.StatusOK)
		return err
	})
	if err != nil {
		return err
	}
	after, err := b.gateway.cpu()
	b.add("whole jobs a second, 64 callers that wait for the reply", "%.0f", rate)
	b.add("CPU time of the gateway a job", "%.2f ms", (after-before).Seconds()*1000/float64(n))
	return err
}

// latencies are those of a service that takes 1 ms, as a call and as a job.
func (b *bench) latencies() error {
	for what, prefer := range []string{"", "respond-async, wait=30"} {
		var mu sync.Mutex
		var took []time.Duration
		_, _, err := load(pollers, b.during(), func() error {
			begun := time.Now()
			_, err := b.post("ms", prefer, http.StatusOK)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begun))
			return err
		})
		if err != nil {
			return err
		}
		b.add([]string{"a call of 1 ms, from POST to reply, p50 / p99", "the same as a job"}[what], "%s", quantiles(took))
	}
	return nil
}

// wakeUps are from when the worker replies until the answer of a waiting GET is here.
func (b *bench) wakeUps() error {
	var took []time.Duration
	for range wakes {
		id, err := b.submit("held")
		if err != nil {
			return err
		}
		if _, err := b.get("/jobs/" + id + "?wait=50s"); err != nil {
			return err
		}
		took = append(took, time.Since(<-b.ended))
	}
	b.add("from the worker's reply to the answer of a waiting GET, p50 / p99", "%s", quantiles(took))
	return nil
}

func quantiles(took []time.Duration) string {
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	return fmt.Sprintf("%.1f / %.1f ms", at(0.5), at(0.99))
}

// largeReply is one of 64 MiB, as a call and as a job.
func (b *bench) largeReply() error {
	timed := func(do func() error) (figure string, err error) {
		for range 3 { // on a machine that is too busy for it the broker may be taken for lost meanwhile
			before, err1 := b.gateway.cpu()
			begun := time.Now()
			err2 := do()
			took := time.Since(begun)
			after, err3 := b.gateway.cpu()
			if err = errors.Join(err1, err2, err3); err == nil {
				return fmt.Sprintf("%.2f / %.2f s", took.Seconds(), (after - before).Seconds()), nil
			}
		}
		return "", err
	}
	value, err := timed(func() error { _, err := b.post("large", "", http.StatusOK); return err })
	if err != nil {
		return err
	}
	b.add("a call with a reply of 64 MiB, from POST to its end / CPU time of the gateway", "%s", value)
	var id string
	if value, err = timed(func() (err error) {
		if id, err = b.submit("large"); err == nil {
			_, err = b.get("/jobs/" + id + "?wait=50s")
		}
		return err
	}); err != nil {
		return err
	}
	b.add("the same as a job, from POST until it is done / CPU time", "%s", value)
	if value, err = timed(func() error {
		body, err := b.get("/jobs/" + id + "/reply")
		if err == nil && len(body) < largeFor*(large-1024) {
			err = fmt.Errorf("a reply of %d bytes", len(body))
		}
		return err
	}); err != nil {
		return err
	}
	b.add("its GET / CPU time", "%s", value)
	return nil
}

// dashes are for figures that a column does not have.
func (b *bench) dashes(all ...string) {
	for _, what := range all {
		b.add(what, "–")
	}
}

// fill submits until as many jobs are queued as there shall be.
func (b *bench) fill() error {
	what := fmt.Sprintf("resident memory with %d queued", b.queued)
	if b.column == "nats3" { // as with one server, and it takes as long again
		b.dashes(what)
		return nil
	}
	left := int64(b.queued) - b.submitted
	_, _, err := load(callers, func(n int64) bool { return n < left }, func() error { _, err := b.submit("idle"); return err })
	if err != nil {
		return err
	}
	held, err := b.gateway.memory()
	b.add(what, "%s", held)
	return err
}

// restart starts a gateway again that has many queued jobs.
func (b *bench) restart() (err error) {
	what := [...]string{
		"start with them, until it listens", "CPU time of that", "resident memory then", "CPU time a second while they wait for a worker",
	}
	if b.column == "memory" || b.column == "nats3" {
		b.dashes(what[:]...)
		return nil
	}
	b.gateway.stop()
	if b.gateway, err = b.start(); err != nil {
		return err
	}
	cpu, err1 := b.gateway.cpu()
	held, err2 := b.gateway.memory()
	time.Sleep(rest * time.Second) // no part of the figure: the gateway tries each service once, and finds no worker
	before, err3 := b.gateway.cpu()
	time.Sleep(rest * time.Second) // the window of the figure: nobody calls, and the CPU time that passes is counted
	after, err4 := b.gateway.cpu()
	b.add(what[0], "%.2f s", b.gateway.ready.Seconds())
	b.add(what[1], "%.2f s", cpu.Seconds())
	b.add(what[2], "%s", held)
	b.add(what[3], "%.0f ms", (after-before).Seconds()*1000/rest)
	return errors.Join(err1, err2, err3, err4)
}
