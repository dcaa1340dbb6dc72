package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds a test that fails; it slows none that passes.
const patience = 2 * time.Minute

// A running is a whole gateway: its command line, in this process.
type running struct {
	t      *testing.T
	url    string   // of the API
	urls   []string // all of them, if it listens at several addresses
	broker string   // endpoint of the embedded broker, if there is one
	admin  string   // URL of the admin listener, if there is one
	stop   context.CancelFunc
	code   chan int

	mu  sync.Mutex
	log []map[string]any // guarded by mu
}

// start runs gateway serve on a free port, and returns when it listens.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return startIn(t, []string{atOnce}, args...)
}

// atOnce is the environment of gateways whose end is not what is tested: they do not wait
// for half a second in which no request comes.
const atOnce = "GATEWAY_DRAIN=0s"

// unhurried is the environment of all gateways: a handshake on a busy machine may take over the second that is the
// default. Flags override it.
var unhurried = []string{"GATEWAY_CONNECT_TIMEOUT=" + patience.String(), "GATEWAY_QUEUE_TIMEOUT=" + patience.String()}

// startIn is start in an environment.
func startIn(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	args = append([]string{"--embedded-bind", "tcp://127.0.0.1:*", "--log-level", "debug"}, args...)
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	return startWhere(t, env, args...)
}

// startWhere is startIn, which listens where the arguments or the file that they name say.
func startWhere(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	g := &running{t: t, stop: stop, code: make(chan int, 1)}
	logs, stderr := io.Pipe()
	listening := make(chan struct{})
	go g.read(logs, listening)
	go func() {
		g.code <- run(ctx, append([]string{"serve"}, args...), slices.Concat(unhurried, env), io.Discard, stderr)
		stderr.Close()
	}()
	t.Cleanup(func() { g.end() })
	select {
	case <-listening:
	case code := <-g.code:
		g.code <- code
		t.Fatalf("the gateway ended with exit code %d: %v", code, g.lines())
	case <-time.After(patience):
		t.Fatal("the gateway does not listen")
	}
	return g
}

// end stops the gateway as a signal would, and returns its exit code.
func (g *running) end() int {
	g.stop()
	select {
	case code := <-g.code:
		g.code <- code
		return code
	case <-time.After(patience):
		g.t.Error("the gateway does not stop")
		return -1
	}
}

// read keeps the log and learns the ports from it.
func (g *running) read(logs io.Reader, listening chan<- struct{}) {
	scanner := bufio.NewScanner(logs)
	for scanner.Scan() {
		line := map[string]any{"text": scanner.Text()}
		_ = json.Unmarshal(scanner.Bytes(), &line)
		g.mu.Lock()
		g.log = append(g.log, line)
		g.mu.Unlock()
		switch line["msg"] {
		case "embedded broker":
			g.broker, _ = line["endpoint"].(string)
		case "listening":
			address, _ := line["address"].(string)
			if line["server"] == "api" {
				g.urls = append(g.urls, map[any]string{true: "https://", false: "http://"}[line["tls"]]+address)
				g.url = g.urls[0]
			} else {
				g.admin = "http://" + address
			}
		case "serving":
			close(listening)
		}
	}
}

func (g *running) lines() []map[string]any {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]map[string]any(nil), g.log...)
}

// client returns an HTTP client whose connections end with the test.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// An answered is an HTTP answer, read to its end.
type answered struct {
	status int
	header http.Header
	body   []byte
}

// json returns a member of a JSON answer, by its path.
func (a answered) json(path ...string) any {
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		return nil
	}
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// data returns the data of each frame of a JSON answer.
func (a answered) data() (data []string) {
	frames, _ := a.json("frames").([]any)
	for _, f := range frames {
		m, _ := f.(map[string]any)
		s, _ := m["data"].(string)
		data = append(data, s)
	}
	return data
}

func request(t *testing.T, client *http.Client, method, url, contentType, body string, header ...string) answered {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := do(client, r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

func do(client *http.Client, r *http.Request) (answered, error) {
	response, err := client.Do(r)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, response.Header, body}, err
}

func (g *running) post(service, body string, header ...string) answered {
	g.t.Helper()
	return request(g.t, newClient(g.t), http.MethodPost, g.url+"/services/"+service, "application/json", body, header...)
}

func (g *running) get(path string) answered {
	g.t.Helper()
	return request(g.t, newClient(g.t), http.MethodGet, g.url+path, "", "")
}

// problem checks that an answer is this problem.
func problem(t *testing.T, a answered, status int, code string, executed string) {
	t.Helper()
	if a.status != status || a.json("code") != code || a.json("executed") != executed ||
		a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s, want %d %s, executed %s", a.status, a.body, status, code, executed)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// asProgram is set in the environment of child processes that are to be the
// program itself.
const asProgram = "MDP_TEST_AS_PROGRAM"

// A child is a process of the program.
type child struct {
	cmd  *exec.Cmd
	logs <-chan []byte // its first lines, for logged
}

// spawn runs the program with these arguments in a process of its own, which ends
// with the test.
func spawn(t *testing.T, args ...string) *child {
	t.Helper()
	return spawnCommand(t, exec.Command(os.Args[0], args...))
}

// spawnCommand runs a command that becomes the program.
func spawnCommand(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	cmd.Env = append(append(os.Environ(), asProgram+"=1"), cmd.Env...)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &child{cmd, lines(stderr)}
}

// lines reads all lines, since a child must not block on a full pipe, and hands on as many as anyone may wait for.
func lines(r io.Reader) <-chan []byte {
	read := make(chan []byte, 1024)
	go func() {
		defer close(read)
		for s := bufio.NewScanner(r); s.Scan(); {
			select {
			case read <- bytes.Clone(s.Bytes()):
			default:
			}
		}
	}()
	return read
}

// logged waits for a line of the child's log with that message and returns a
// field of it.
func (c *child) logged(t *testing.T, message, field string) string {
	t.Helper()
	var seen bytes.Buffer
	for text := range c.logs {
		var line map[string]any
		_ = json.Unmarshal(text, &line)
		if line["msg"] == message {
			value, _ := line[field].(string)
			return value
		}
		seen.Write(text)
	}
	t.Fatalf("no %q in the log: %s", message, seen.String())
	return ""
}
