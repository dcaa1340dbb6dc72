// Package python_test runs the workers as processes of their own at real brokers.
package python_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
)

// patience bounds tests that fail and slows none that passes.
const patience = 2 * time.Minute

// A process is a running worker.
type process struct {
	cmd  *exec.Cmd
	exit chan error // gets what Wait returns
}

// start starts worker.py for the service lora. Its heartbeats are those of quick.
func start(t *testing.T, endpoint string, dialect *mdp.Dialect) *process {
	t.Helper()
	return run(t, exec.Command("/usr/bin/python3", "worker.py",
		"--broker", endpoint, "--service", "lora", "--dialect", dialect.String(), "--heartbeat", "0.2"))
}

// run starts a worker, which ends with the test.
func run(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	var log syncBuffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs Debian's python3 and python3-zmq: %v", err)
	}
	p := &process{cmd, make(chan error, 1)}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		p.exit <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("the worker said:\n%s", log.String())
		}
	})
	return p
}

// syncBuffer may be read while a process writes to it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// quick starts a broker that misses a silent worker within a second.
func quick(t *testing.T) *broker.Broker {
	t.Helper()
	return mdptest.BrokerWith(t, broker.Config{Heartbeat: 200 * time.Millisecond})
}

// ask sends a request in the dialect mdp/0.1 and returns the frames of the reply.
func ask(t *testing.T, endpoint string, body ...string) []string {
	t.Helper()
	d := mdptest.NewDealer(t, endpoint)
	defer d.Close()
	var frames [][]byte
	for _, frame := range body {
		frames = append(frames, []byte(frame))
	}
	request, err := mdp.V01.AppendRequest(nil, []byte("lora"), frames)
	if err != nil {
		t.Fatal(err)
	}
	d.Send(request)
	reply, _, err := mdp.V01.ParseReply("lora", d.Receive())
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, frame := range reply {
		texts = append(texts, string(frame))
	}
	return texts
}

func TestWorkerReadsVarsInEveryDialect(t *testing.T) {
	for _, dialect := range []*mdp.Dialect{mdp.V01, mdp.V02, mdp.Loudify} {
		t.Run(strings.ReplaceAll(dialect.String(), "/", "-"), func(t *testing.T) {
			endpoint := mdptest.Endpoint(quick(t))
			start(t, endpoint, dialect)
			mdptest.WaitForService(t, endpoint, "lora")
			vars := `{'sf': 7, 'has_crc': False, 'sync_words': [8, 16], 'name': '\xe9'}`
			for range 3 {
				if got, want := ask(t, endpoint, "I\x00Q\xff", vars), []string{"I\x00Q\xff", vars}; !reflect.DeepEqual(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
}

func TestWorkerSurvivesWhatKillsOthers(t *testing.T) {
	endpoint := mdptest.Endpoint(quick(t))
	start(t, endpoint, mdp.Loudify)
	mdptest.WaitForService(t, endpoint, "lora")
	failed := []string{"\x06"}
	for _, tt := range []struct{ body, want []string }{
		{[]string{"no vars"}, []string{"no vars", "{}"}},
		{[]string{""}, []string{"", "{}"}},
		{[]string{"a", `{"has_crc": false}`}, failed},
		{[]string{"a", "second data frame", "{}"}, failed},
		{[]string{"a", "\xff"}, failed},
		{[]string{"a", "[7]"}, failed},
		{[]string{"a", "__import__('os')._exit(1)"}, failed},
		{[]string{"a", "{'sf': 7}"}, []string{"a", "{'sf': 7}"}},
	} {
		if got := ask(t, endpoint, tt.body...); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q is answered %q, want %q", tt.body, got, tt.want)
		}
	}
}

// The broker forgets a worker that is silent for 0.8 s; this one works for longer.
func TestWorkerHeartbeatsWhileItWorks(t *testing.T) {
	endpoint := mdptest.Endpoint(mdptest.BrokerWith(t, broker.Config{
		Heartbeat: 200 * time.Millisecond, BusySilence: 800 * time.Millisecond,
	}))
	start(t, endpoint, mdp.Loudify)
	mdptest.WaitForService(t, endpoint, "lora")
	if got, want := ask(t, endpoint, "slow", "{'seconds': 2}"), []string{"slow", "{'seconds': 2}"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWorkerRegistersAgainAtABrokerThatRestarted(t *testing.T) {
	first := quick(t)
	endpoint := mdptest.Endpoint(first)
	start(t, endpoint, mdp.V02)
	mdptest.WaitForService(t, endpoint, "lora")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	mdptest.BrokerWith(t, broker.Config{Bind: []string{endpoint}, Heartbeat: 200 * time.Millisecond})
	mdptest.WaitForService(t, endpoint, "lora")
	if got, want := ask(t, endpoint, "again"), []string{"again", "{}"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A registration is what a raw broker sees of a worker's connection.
type registration struct {
	id      string
	command mdp.Command
}

// watch starts a broker that only listens.
func watch(t *testing.T) (*mdptest.Router, <-chan registration) {
	seen := make(chan registration, 1000)
	return mdptest.NewRouter(t, func(id []byte, frames [][]byte) [][][]byte {
		m, err := mdp.Loudify.ParseWorker(frames)
		if err != nil {
			t.Errorf("worker sends %q: %v", frames, err)
			return nil
		}
		seen <- registration{fmt.Sprintf("%x", id), m.Command}
		return nil
	}), seen
}

// await returns the next message that has the command.
func await(t *testing.T, seen <-chan registration, command mdp.Command) registration {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case r := <-seen:
			if r.command == command {
				return r
			}
		case <-timeout:
			t.Fatalf("no %s within %s", command, patience)
		}
	}
}

func TestWorkerRegistersOnANewSocket(t *testing.T) {
	for name, disconnect := range map[string]bool{"after DISCONNECT": true, "when the broker is silent": false} {
		t.Run(name, func(t *testing.T) {
			router, seen := watch(t)
			start(t, router.Endpoint(), mdp.Loudify)
			first := await(t, seen, mdp.Ready)
			await(t, seen, mdp.Heartbeat)
			if disconnect {
				id := make([]byte, len(first.id)/2)
				if _, err := fmt.Sscanf(first.id, "%x", &id); err != nil {
					t.Fatal(err)
				}
				router.Send(id, mdp.Loudify.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Disconnect}))
			}
			if second := await(t, seen, mdp.Ready); second.id == first.id {
				t.Errorf("the worker registered again on the connection %s", first.id)
			}
		})
	}
}

func TestWorkerStopsCleanly(t *testing.T) {
	for name, signal := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			router, seen := watch(t)
			p := start(t, router.Endpoint(), mdp.Loudify)
			first := await(t, seen, mdp.Ready)
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if last := await(t, seen, mdp.Disconnect); last.id != first.id {
				t.Errorf("DISCONNECT came from %s, want %s", last.id, first.id)
			}
			select {
			case err := <-p.exit:
				if err != nil {
					t.Errorf("worker.py ended with %v", err)
				}
			case <-time.After(patience):
				t.Errorf("worker.py still runs %s after %s", patience, name)
			}
		})
	}
}

func TestWorkerAnswersBeforeItStops(t *testing.T) {
	b := quick(t)
	endpoint := mdptest.Endpoint(b)
	p := start(t, endpoint, mdp.Loudify)
	mdptest.WaitForService(t, endpoint, "lora")
	d := mdptest.NewDealer(t, endpoint)
	request, err := mdp.V01.AppendRequest(nil, []byte("lora"), [][]byte{[]byte("last"), []byte("{'seconds': 0.5}")})
	if err != nil {
		t.Fatal(err)
	}
	d.Send(request)
	waitBusy(t, b)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	reply, _, err := mdp.V01.ParseReply("lora", d.Receive())
	if err != nil || string(reply[0]) != "last" {
		t.Errorf("got %q, %v", reply, err)
	}
	if err := <-p.exit; err != nil {
		t.Errorf("worker.py ended with %v", err)
	}
}

// waitBusy waits until a worker of the broker has a request.
func waitBusy(t *testing.T, b *broker.Broker) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-poll.C {
		for _, s := range b.Stats().Services {
			if s.Busy > 0 {
				return
			}
		}
	}
	t.Fatalf("no worker has a request after %s", patience)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
