package chaos

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/mdp/mdptest"
)

// patience bounds the waiting of a test that fails.
const patience = 2 * time.Minute

// binary is the gateway, built once for all tests.
var binary string

// parallel is how many tests run at a time. Most of them wait for other processes,
// so there may be more than processors.
const parallel = "8"

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		os.Exit(runWorker())
	}
	if os.Getenv(crowdEnv) != "" {
		os.Exit(runCrowd())
	}
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "chaos")
	if err == nil {
		binary = filepath.Join(dir, "gateway")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, "mdpgateway/cmd/gateway").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// A process is a program that the test started and may kill or stop.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu    sync.Mutex
	lines []string                  // guarded by mu; the last ones of its log
	seen  map[string]map[string]any // guarded by mu; the first line of each message
}

// spawn starts a program. It is killed when the test ends, or this process.
func spawn(t testing.TB, name string, env []string, command ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{}), seen: map[string]map[string]any{}}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.read(log)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("the last lines of %s:\n%s", p.name, p.tail())
		}
	})
	return p
}

func (p *process) read(log io.Reader) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		// There are too many lines of requests.
		if !strings.Contains(lines.Text(), `"msg":"request"`) {
			if p.lines = append(p.lines, lines.Text()); len(p.lines) > 40 {
				p.lines = p.lines[1:]
			}
		}
		var fields map[string]any
		if len(p.seen) < 20 && json.Unmarshal(lines.Bytes(), &fields) == nil {
			if msg, _ := fields["msg"].(string); p.seen[msg] == nil {
				p.seen[msg] = fields
			}
		}
		p.mu.Unlock()
	}
}

func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// logged waits for a message of the log and returns one of its fields.
func (p *process) logged(msg, field string) string {
	p.t.Helper()
	var value string
	eventually(p.t, p.name+" logs "+msg, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		value, _ = p.seen[msg][field].(string)
		return value != ""
	})
	return value
}

// signal sends a signal to a process that still runs.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// exit waits until the process ends and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end within %v:\n%s", p.name, patience, p.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// A broker is a process of gateway broker. One that was killed can be started again at
// the same endpoint.
type broker struct {
	*process
	endpoint string
}

func startBroker(t testing.TB, endpoint string) *broker {
	t.Helper()
	if endpoint == "" {
		endpoint = "tcp://127.0.0.1:*"
	}
	return attachBroker(spawn(t, "broker", nil, brokerAt(endpoint)...))
}

func brokerAt(endpoint string) (command []string) {
	return []string{binary, "broker", "--bind", endpoint}
}

func attachBroker(p *process) *broker { return &broker{p, p.logged("broker listens", "endpoint")} }

// startDemo starts gateway worker and waits until its services are there.
func startDemo(t testing.TB, endpoint string) *process {
	t.Helper()
	p := spawn(t, "worker", nil, binary, "worker", "--broker", endpoint, "--dialect", "mdp/0.2")
	for _, service := range []string{"echo", "sleep", "stream"} {
		mdptest.WaitForService(t, endpoint, service)
	}
	return p
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
