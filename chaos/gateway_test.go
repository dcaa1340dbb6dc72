package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A gateway is a process of gateway serve.
type gateway struct {
	*process
	url    string
	client *http.Client
}

// unhurried is the environment of gateways that are not tested for how long they wait: a handshake on a busy machine may
// take over the second that is the default. Flags override it.
var unhurried = []string{"GATEWAY_CONNECT_TIMEOUT=1m", "GATEWAY_QUEUE_TIMEOUT=1m"}

func startGateway(t testing.TB, args ...string) *gateway {
	t.Helper()
	return attach(t, spawn(t, "gateway", unhurried, append([]string{binary, "serve", "--listen", "127.0.0.1:0"}, args...)...))
}

func attach(t testing.TB, p *process) *gateway {
	t.Helper()
	return &gateway{p, "http://" + p.logged("listening", "address"), newClient(t, false)}
}

// newClient returns a client with connections of its own. With h2 they are HTTP/2
// without TLS.
func newClient(t testing.TB, h2 bool) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!h2)
	transport.Protocols.SetUnencryptedHTTP2(h2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * patience}
}

// An answer is the result of a call.
type answer struct {
	status   int
	code     string // of a problem
	reason   string
	executed string
	data     string // of the only frame
	raw      string
	took     time.Duration
}

func (a answer) String() string { return fmt.Sprintf("%d %s (after %v)", a.status, a.raw, a.took) }

// post calls a service with a text. The name may have a query.
func (g *gateway) post(ctx context.Context, service, body string) (answer, error) {
	return post(ctx, g.client, g.url, service, body)
}

func post(ctx context.Context, client *http.Client, url, service, body string) (a answer, err error) {
	start := time.Now()
	envelope, err := json.Marshal(map[string]string{"body": body})
	if err != nil {
		return a, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/services/"+service, strings.NewReader(string(envelope)))
	if err != nil {
		return a, err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return a, err
	}
	var fields struct {
		Code, Reason, Executed string
		Frames                 []struct{ Data string }
	}
	_ = json.Unmarshal(raw, &fields) // the status shows that a page is not JSON
	a = answer{response.StatusCode, fields.Code, fields.Reason, fields.Executed, "", string(raw), time.Since(start)}
	if len(fields.Frames) > 0 {
		a.data = fields.Frames[0].Data
	}
	return a, nil
}

// fetch posts the body as it is and returns the body of the answer.
func (g *gateway) fetch(service, accept, body string) (string, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.url+"/services/"+service, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Accept", accept)
	response, err := g.client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	back, err := io.ReadAll(response.Body)
	return string(back), err
}

// must posts and fails the test if there is no answer at all.
func (g *gateway) must(service, body string) answer {
	g.t.Helper()
	a, err := g.post(context.Background(), service, body)
	if err != nil {
		g.t.Fatalf("%s: %v", service, err)
	}
	return a
}

// works waits until a service answers.
func (g *gateway) works(service string) {
	g.t.Helper()
	eventually(g.t, service+" answers", func() bool { return g.must(service, "1ms").status == http.StatusOK })
}

// metric returns the sum of the samples whose lines begin with prefix.
func (g *gateway) metric(prefix string) (sum float64) {
	g.t.Helper()
	response, err := g.client.Get(g.url + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			g.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// usage is what a process holds.
type usage struct {
	memory            int64 // bytes
	files, goroutines int
}

func (g *gateway) usage() usage {
	return usage{int64(g.metric("process_resident_memory_bytes")), int(g.metric("process_open_fds")), int(g.metric("go_goroutines"))}
}

// descriptors counts the open files of a process by their kind.
func (p *process) descriptors() map[string]int {
	kinds := map[string]int{}
	dir := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	entries, _ := os.ReadDir(dir) // a process that has ended has none
	for _, e := range entries {
		kind, _ := os.Readlink(filepath.Join(dir, e.Name()))
		kind, _, _ = strings.Cut(kind, ":[")
		kinds[kind]++
	}
	return kinds
}

func (u usage) String() string {
	return fmt.Sprintf("%d MiB, %d files, %d goroutines", u.memory>>20, u.files, u.goroutines)
}

// emptied waits until nothing is in flight and the pool has closed its connections,
// which takes --pool-idle, and returns what the gateway holds then.
func (g *gateway) emptied() usage {
	g.t.Helper()
	eventually(g.t, "idle connections are closed", func() bool { return g.metric(`mdp_gateway_pool_connections{`) == 0 })
	return g.atRest()
}

// atRest waits until nothing is in flight and what the gateway holds is steady, and
// returns it.
func (g *gateway) atRest() usage {
	g.t.Helper()
	eventually(g.t, "no call is in flight", func() bool {
		return g.metric("mdp_gateway_requests_in_flight")+g.metric(`mdp_gateway_pool_connections{state="busy"}`)+
			g.metric(`mdp_gateway_pool_connections{state="connecting"}`)+g.metric("mdp_gateway_queue_depth")+
			g.metric("mdp_gateway_buffered_bytes ") == 0
	})
	g.client.CloseIdleConnections()
	last, since := g.usage(), time.Now()
	eventually(g.t, "what it holds is steady", func() bool {
		<-time.After(50 * time.Millisecond)
		now := g.usage()
		// The question itself takes a file and a few goroutines.
		if max(now.files-last.files, last.files-now.files) > 2 || max(now.goroutines-last.goroutines, last.goroutines-now.goroutines) > 4 {
			last, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	})
	return last
}
