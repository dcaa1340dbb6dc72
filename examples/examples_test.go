// Package examples_test runs the examples as a reader would, against the gateway
// as it is built. They check their own results.
package examples_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds tests that fail and slows none that passes.
const patience = 2 * time.Minute

// build builds the gateway with the race detector if this test has it, so that what is
// compiled is shared, and races of the gateway fail the tests.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway")
	args := []string{"build", "-o", path}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "mdpgateway/cmd/gateway")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// demoServices are those of the demo worker.
const demoServices = 7

// startDemo is start with the catalogue that make run has.
func startDemo(t *testing.T) *gateway { return start(t, "--config", "demo/gateway.yaml") }

// A gateway is a running one.
type gateway struct {
	url    string
	broker string      // the embedded broker's endpoint
	up     chan string // the services that come up after the demo worker's
}

// start runs the gateway with its embedded broker and demo worker on free ports,
// and returns it once the services can be called. The test fails if the gateway
// does not end well.
func start(t *testing.T, flags ...string) *gateway {
	t.Helper()
	flags = append([]string{"serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*"}, flags...)
	cmd := exec.Command(build(t), flags...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	rest := make(chan string, 1)
	lines := bufio.NewScanner(log)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		said := <-rest // before Wait, which closes the pipe
		if err := cmd.Wait(); err != nil {
			t.Errorf("the gateway ended with %v, saying:\n%s", err, said)
		}
		kill.Stop()
	})
	g := &gateway{up: make(chan string, 100)}
	said := ""
	next := func() bool {
		if !lines.Scan() {
			return false
		}
		said += lines.Text() + "\n"
		g.read(lines.Bytes())
		return true
	}
	for g.url == "" || len(g.up) < demoServices {
		if !next() {
			break
		}
	}
	go func() {
		for next() {
		}
		close(g.up)
		rest <- said
	}()
	for range demoServices {
		if _, ok := <-g.up; !ok {
			t.Fatal("the gateway ended before its services were up")
		}
	}
	return g
}

// read takes from a line of the log what tests need. What is no JSON is a word of
// the race detector or a panic.
func (g *gateway) read(line []byte) {
	var entry struct{ Msg, Address, Endpoint, Service string }
	if json.Unmarshal(line, &entry) != nil {
		return
	}
	switch entry.Msg {
	case "listening":
		g.url = "http://" + entry.Address
	case "embedded broker":
		g.broker = entry.Endpoint
	case "service up":
		g.up <- entry.Service
	}
}

// run runs an example and returns what it said.
func run(t *testing.T, name string, args ...string) (said string, err error) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

func TestExamplesRunAsTheyAre(t *testing.T) {
	url := startDemo(t).url
	for name, command := range map[string][]string{
		"curl.sh":      {"bash", "curl.sh", url},
		"client.py":    {"/usr/bin/python3", "python/client.py", "--url", url},
		"jobclient.py": {"/usr/bin/python3", "python/jobclient.py", "--url", url},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := run(t, command[0], command[1:]...)
			if err != nil || !strings.HasSuffix(said, "\nall as it should be\n") {
				t.Errorf("it ended with %v, saying:\n%s", err, said)
			}
		})
	}
}

// TestExamplesSeeAWrongAnswer holds the checks of the examples themselves: they
// meet a server that answers everything with a reply which nobody asked for.
func TestExamplesSeeAWrongAnswer(t *testing.T) {
	wrong := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"service":"echo","frames":[{"data":"goodbye","encoding":"text"}],"request_id":"1"}`)
	})
	server := httptest.NewServer(wrong)
	defer server.Close()
	for name, tt := range map[string]struct {
		command []string
		names   string // what the example found wrong
	}{
		"curl.sh":      {[]string{"bash", "curl.sh", server.URL}, `want: "data":"hello"`},
		"client.py":    {[]string{"/usr/bin/python3", "python/client.py", "--url", server.URL}, "text and vars: got ['goodbye'], want ['hello'"},
		"jobclient.py": {[]string{"/usr/bin/python3", "python/jobclient.py", "--url", server.URL}, "this gateway makes no jobs of calls to sleep"},
	} {
		t.Run(name, func(t *testing.T) {
			if said, err := run(t, tt.command[0], tt.command[1:]...); err == nil || !strings.Contains(said, tt.names) {
				t.Errorf("it ended with %v, want %s; it said:\n%s", err, tt.names, said)
			}
		})
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
