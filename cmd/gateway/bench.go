package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mux"
	"mdpgateway/internal/mdp/upstream"
)

// benchCmd is gateway bench. Every call of it is real work for the service.
type benchCmd struct {
	remote
	Config string `placeholder:"FILE" help:"YAML file with settings; those of serve alone are ignored." beside:"serve"`

	Service string        `arg:"" help:"Service to call."`
	Broker  string        `given:"" placeholder:"ENDPOINT" help:"Broker to call straight, without HTTP: tcp://host:5555, ipc://path, or a name of the file."`
	Dialect *mdp.Dialect  `default:"mdp/0.1" placeholder:"DIALECT" help:"Dialect of --broker (${default}); another name lists all."`
	Body    *string       `given:"" placeholder:"TEXT" help:"Body of each call."`
	Size    int           `given:"" type:"bytes" default:"64" placeholder:"BYTES" help:"Size of the body without --body, all zeros (${default})."`
	Vars    string        `given:"" placeholder:"JSON" help:"Flowgraph vars, a JSON object."`
	Callers int           `given:"" short:"c" default:"8" min:"1" placeholder:"N" help:"Calls at once (${default})."`
	For     time.Duration `given:"" default:"10s" placeholder:"DURATION" help:"Time in which calls begin (${default})."`
	Timeout time.Duration `given:"" default:"${timeout}" placeholder:"DURATION" help:"Timeout of a call (${default})."`
}

// Help is kong.HelpProvider.
func (*benchCmd) Help() string {
	return "It calls the service as often as it can, through HTTP or straight to a broker, and prints how long calls took. Every call is real work for the service's workers."
}

// An attempt makes one call and returns the bytes of its reply, and an error's code if it failed.
type attempt func(ctx context.Context) (received int64, code string)

// Run makes the calls and prints what became of them. It fails if none was answered.
func (c *benchCmd) Run(p *process) error {
	body := make([]byte, c.Size)
	if c.Body != nil {
		body = []byte(*c.Body)
	}
	call, end, err := c.target(p, body)
	if err != nil {
		return err
	}
	defer end()
	m := c.load(p.ctx, call)
	m.print(p.stdout, int64(len(body)))
	if len(m.took) == 0 {
		return errors.New("no call was answered")
	}
	return nil
}

// target returns how a call is made, by HTTP unless a broker is given. End gives back what it holds.
func (c *benchCmd) target(p *process, body []byte) (call attempt, end func(), err error) {
	if c.Broker != "" {
		return c.straight(p, body)
	}
	if err := c.open(); err != nil {
		return nil, nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: c.Callers, DisableCompression: true}
	query := url.Values{"timeout": {c.Timeout.String()}}
	if c.Vars != "" {
		query.Set("vars", c.Vars)
	}
	path := "/services/" + url.PathEscape(c.Service) + "?" + query.Encode()
	web := &http.Client{Transport: transport}
	return func(ctx context.Context) (int64, string) {
		return c.post(ctx, web, path, body)
	}, transport.CloseIdleConnections, nil
}

// post makes one call by HTTP.
func (c *benchCmd) post(ctx context.Context, web *http.Client, path string, body []byte) (received int64, code string) {
	res, err := c.do(ctx, web, http.MethodPost, path, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return 0, "no answer: " + rootOf(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		code, detail := problemOf(text)
		return 0, fmt.Sprintf("%d %s: %s", res.StatusCode, code, detail)
	}
	received, err = io.Copy(io.Discard, res.Body)
	if err != nil {
		return received, "the answer broke off: " + rootOf(err)
	}
	return received, ""
}

// rootOf returns the innermost error's text, which does not name ports and so is one for all calls.
func rootOf(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

// straight makes calls of a pool of its own.
func (c *benchCmd) straight(p *process, body []byte) (attempt, func(), error) {
	text := string(body)
	one := callCmd{Service: c.Service, Body: &text, Broker: c.Broker, Dialect: c.Dialect, Vars: c.Vars}
	broker, err := one.endpoint(p)
	if err != nil {
		return nil, nil, usageError{err}
	}
	req, err := one.request(p, broker.Dialect)
	if err != nil {
		return nil, nil, usageError{err}
	}
	pool, err := upstream.New(mux.Config{Config: client.Config{Endpoints: []client.Endpoint{broker}, Max: c.Callers, QueueTimeout: c.Timeout}})
	if err != nil {
		return nil, nil, usageError{err}
	}
	call := func(ctx context.Context) (int64, string) {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		reply, err := pool.Call(ctx, req)
		received := mdp.Size(reply.Frames)
		for _, part := range reply.Partials {
			received += mdp.Size(part)
		}
		if err != nil {
			return received, string(gateway.AsError(err).Kind)
		}
		if broker.Dialect.HasFailed(reply.Frames) {
			return received, string(gateway.WorkerError)
		}
		return received, ""
	}
	return call, func() { _ = pool.Close(context.WithoutCancel(p.ctx)) }, nil
}

// load makes calls, Callers at once. Each caller begins one at least, and none after For or when ctx ends. Those that
// have begun then, end.
func (c *benchCmd) load(ctx context.Context, call attempt) *measured {
	m := &measured{failed: map[string]int{}}
	begun := time.Now()
	over := begun.Add(c.For)
	var callers sync.WaitGroup
	for range c.Callers {
		callers.Go(func() {
			for first := true; ctx.Err() == nil && (first || time.Now().Before(over)); first = false {
				start := time.Now()
				received, code := call(ctx)
				if ctx.Err() == nil || code == "" { // an interrupted call says nothing of the service
					m.note(time.Since(start), received, code)
				}
			}
		})
	}
	callers.Wait()
	m.whole = time.Since(begun)
	slices.Sort(m.took)
	return m
}

// measured is what became of the calls.
type measured struct {
	mu       sync.Mutex
	took     []time.Duration // of those that were answered; guarded by mu, as are the others
	failed   map[string]int  // by code
	received int64           // bytes of replies
	whole    time.Duration
}

func (m *measured) note(took time.Duration, received int64, code string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if code != "" {
		m.failed[code]++
		return
	}
	m.took = append(m.took, took)
	m.received += received
}

// percentile returns the time within which that share of the answered calls ended. There is at least one, in order.
func (m *measured) percentile(share float64) time.Duration {
	return m.took[min(int(share*float64(len(m.took))), len(m.took)-1)]
}

func (m *measured) print(w io.Writer, body int64) {
	n, seconds := len(m.took), m.whole.Seconds()
	fmt.Fprintf(w, "answered  %d in %s, %.1f/s; bodies %s/s, replies %s/s\n", n, rounded(m.whole), float64(n)/seconds,
		size(int64(float64(body)*float64(n)/seconds)), size(int64(float64(m.received)/seconds)))
	if n > 0 {
		var shown []string
		for _, share := range []float64{0.5, 0.9, 0.95, 0.99, 0.999} {
			shown = append(shown, fmt.Sprintf("p%v %s", 100*share, rounded(m.percentile(share))))
		}
		fmt.Fprintf(w, "took      min %s  %s  max %s\n", rounded(m.took[0]), strings.Join(shown, "  "), rounded(m.took[n-1]))
	}
	for _, code := range slices.Sorted(maps.Keys(m.failed)) {
		fmt.Fprintf(w, "failed    %d  %s\n", m.failed[code], code)
	}
}
