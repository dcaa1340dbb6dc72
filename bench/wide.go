package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/ijson"
)

// A wide is the cost of many calls at once.
type wide struct {
	Parts []string `json:"parts"` // those that were measured: stuck, wide, timeouts, vars

	// 1,000 calls wait for a service that does not answer, and others run.
	StuckThreads int     `json:"stuck_threads"`
	StuckKB      float64 `json:"stuck_kb"`  // each
	StuckCPU     float64 `json:"stuck_cpu"` // of the others, compared with before and after

	// 4,000 calls at once, half of them answered after slowMS, half never.
	WideAnswered int     `json:"wide_answered"`
	WideTimedOut int     `json:"wide_timed_out"`
	WideLate     float64 `json:"wide_late"` // milliseconds after its time, the latest
	WideThreads  int     `json:"wide_threads"`
	WideMB       float64 `json:"wide_mb"`

	// 5,000 timeouts, a pause, 5,000 more, a pause.
	TimeoutMB          [2]float64 `json:"timeout_mb"` // after each rest
	TimeoutDescriptors [3]int     `json:"timeout_descriptors"`
	TimeoutGoroutines  [3]int     `json:"timeout_goroutines"`

	// JSON vars to a Python literal.
	VarsMBs    float64    `json:"vars_mb_s"`
	VarsAllocs [2]float64 `json:"vars_allocs"` // of 1 KB and of 60 KB
}

const (
	stuckCalls   = 1000
	wideCalls    = 4000
	wideTimeout  = 4 * time.Second
	timeouts     = 5000
	timeoutAfter = 250 * time.Millisecond
	timeoutsOnce = 250
	rest         = 5 * time.Second
)

// measureWide runs the parts that only matches, all if it is nil, each at a gateway of
// its own. It returns nil if there is no such part.
func (b *bench) measureWide(ctx context.Context, only *regexp.Regexp) (*wide, error) {
	var w wide
	b.retries = 12
	places := strconv.Itoa(wideCalls + 200) // also of connections: all come from one address
	for _, part := range []struct {
		name string
		run  func(ctx context.Context, g *process, url string, w *wide) error
	}{{"stuck", b.stuck}, {"wide", b.wide}, {"timeouts", b.timeouts}} {
		if only != nil && !only.MatchString(part.name) {
			continue
		}
		w.Parts = append(w.Parts, part.name)
		fmt.Fprintf(b.out, "%s …\n", part.name)
		if err := b.startGateway(part.name, b.gateway(), places, "--queue-max", strconv.Itoa(wideCalls), "--max-connections-per-peer", places); err != nil {
			return nil, err
		}
		g := b.procs[part.name]
		err := part.run(ctx, g, b.urls[part.name], &w)
		g.stop()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if only == nil || only.MatchString("vars") {
		w.Parts = append(w.Parts, "vars")
		varsSpeed(&w)
	}
	if w.Parts == nil {
		return nil, nil
	}
	return &w, ctx.Err()
}

// post posts a small body and returns the status.
func post(ctx context.Context, client *http.Client, url string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"body":"x"}`))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Body.Close()
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: wideCalls}}
}

func (b *bench) stuck(ctx context.Context, g *process, url string, w *wide) error {
	others := window{Target: "stuck", Service: "local", Form: asJSON, Callers: 16, Size: small, measured: []*process{g}}
	var quiet, busy []float64
	run := func(to *[]float64) error {
		for range 4 {
			s, err := b.measure(ctx, others, 1, true)
			if err != nil {
				return err
			}
			*to = append(*to, s.CPU)
		}
		return nil
	}
	if err := run(&quiet); err != nil {
		return err
	}
	before := usageOf(g)
	stuck, cancel := context.WithCancel(ctx)
	defer cancel()
	client := newClient()
	defer client.CloseIdleConnections()
	var calls sync.WaitGroup
	for range stuckCalls {
		calls.Go(func() { _, _ = post(stuck, client, url+"hole?timeout=2m") })
	}
	if err := awaitMetric(ctx, url, `mdp_gateway_requests_in_flight{service="hole"}`, stuckCalls); err != nil {
		return err
	}
	pause(ctx, time.Second) // until all are sent
	held := usageOf(g)
	w.StuckKB = (held.rss - before.rss) * 1024 / stuckCalls
	if err := run(&busy); err != nil {
		return err
	}
	w.StuckThreads = usageOf(g).threads
	cancel()
	calls.Wait()
	pause(ctx, time.Second)
	if err := run(&quiet); err != nil {
		return err
	}
	w.StuckCPU = spreadOf(busy).Median / spreadOf(quiet).Median
	return nil
}

func (b *bench) wide(ctx context.Context, g *process, url string, w *wide) error {
	client := newClient()
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var calls sync.WaitGroup
	call := func(to string, want int, due time.Duration, count *int) {
		start := time.Now()
		status, err := post(ctx, client, url+to)
		late := millis(time.Since(start) - due)
		mu.Lock()
		defer mu.Unlock()
		w.WideLate = max(w.WideLate, late)
		if err == nil && status == want {
			*count++
		}
	}
	for i := range wideCalls {
		calls.Go(func() {
			if i%2 == 0 {
				call("slow?timeout=60s", http.StatusOK, slowMS*time.Millisecond, &w.WideAnswered)
			} else {
				call(fmt.Sprintf("hole?timeout=%s", wideTimeout), http.StatusGatewayTimeout, wideTimeout, &w.WideTimedOut)
			}
		})
	}
	stop := make(chan struct{})
	go func() { calls.Wait(); close(stop) }()
	for {
		u := usageOf(g)
		w.WideMB, w.WideThreads = max(w.WideMB, u.rss), max(w.WideThreads, u.threads)
		select {
		case <-stop:
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (b *bench) timeouts(ctx context.Context, g *process, url string, w *wide) error {
	client := newClient()
	defer client.CloseIdleConnections()
	if _, err := post(ctx, client, url+"local"); err != nil {
		return err
	}
	look := func(i int) (err error) {
		client.CloseIdleConnections()
		pause(ctx, rest)
		w.TimeoutDescriptors[i] = descriptors(g)
		w.TimeoutGoroutines[i], err = metric(ctx, url, "go_goroutines")
		return err
	}
	if err := look(0); err != nil {
		return err
	}
	for i := range w.TimeoutMB {
		var calls sync.WaitGroup
		for range timeoutsOnce {
			calls.Go(func() {
				for range timeouts / timeoutsOnce {
					_, _ = post(ctx, client, fmt.Sprintf("%shole?timeout=%s", url, timeoutAfter))
				}
			})
		}
		calls.Wait()
		if err := look(i + 1); err != nil {
			return err
		}
		w.TimeoutMB[i] = usageOf(g).rss
	}
	return nil
}

// awaitMetric waits until a metric has reached a value.
func awaitMetric(ctx context.Context, url, name string, want int) error {
	for range 100 {
		got, err := metric(ctx, url, name)
		if err != nil || got >= want {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return fmt.Errorf("%s did not reach %d", name, want)
}

// metric reads one metric of the gateway, 0 if there is none.
func metric(ctx context.Context, url, name string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "services/")+"metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		return 0, nil
	}
	v, err := strconv.ParseFloat(string(found[1]), 64)
	return int(v), err
}

// appendVars converts vars from the caller's text to the frame. It appends nothing if
// they are refused.
func appendVars(dst, text []byte) []byte {
	object, err := ijson.ParseObject(text)
	if err == nil {
		dst, err = flowgraph.Python.Append(dst, object)
	}
	if err != nil {
		return nil
	}
	return dst
}

// varsSpeed writes objects of two sizes as Python literals.
func varsSpeed(w *wide) {
	for i, members := range []int{16, 1000} {
		object := []byte(`{"sf": 7`)
		for m := range members {
			object = fmt.Appendf(object, `, "parameter_%d": [%d, 2.5, true, null, "a text of some words"]`, m, m*7919)
		}
		object = append(object, '}')
		var before, after runtime.MemStats
		dst := make([]byte, 0, 2*len(object))
		rounds := 16 << 20 / len(object)
		for range 10 { // fills whatever is kept between calls
			dst = appendVars(dst[:0], object)
		}
		runtime.ReadMemStats(&before)
		start := time.Now()
		for range rounds {
			dst = appendVars(dst[:0], object)
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if !bytes.HasPrefix(dst, []byte("{'sf': 7,")) {
			continue // it refused, which shows as no speed
		}
		w.VarsAllocs[i] = float64(after.Mallocs-before.Mallocs) / float64(rounds)
		w.VarsMBs = float64(len(object)*rounds) / took.Seconds() / 1e6
	}
}
