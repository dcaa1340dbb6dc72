// Package natstest runs NATS servers with JetStream for tests: the real program, which make nats-server builds.
package natstest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/testport"
)

// required is the variable that makes a missing server a failure.
const required = "MDP_NATS_REQUIRED"

// patience bounds how long a server may take to start.
const patience = 2 * time.Minute

// A Cluster is one or more servers on loopback.
type Cluster struct {
	Nodes []*Node
	t     testing.TB
}

// A Node is a server, which may be killed and started again with what it has stored.
type Node struct {
	Address string // of clients
	Monitor string // address of its HTTP pages, such as /jsz
	args    []string
	t       testing.TB

	mu   sync.Mutex
	cmd  *exec.Cmd     // guarded by mu; nil while it is down
	done chan struct{} // guarded by mu; closed when it has ended
	log  *bytes.Buffer // of the process that runs; read it after its end
}

// Start runs a cluster of n servers until the test ends. Where the server is not built the test is skipped, unless
// MDP_NATS_REQUIRED is set. Extra lines are added to the configuration of each.
func Start(t testing.TB, n int, extra ...string) *Cluster {
	t.Helper()
	dirs := make([]string, n)
	for i := range dirs {
		dirs[i] = t.TempDir()
	}
	return StartIn(t, dirs, extra...)
}

// StartIn runs a server in each of these directories, as Start does.
func StartIn(t testing.TB, dirs []string, extra ...string) *Cluster {
	t.Helper()
	n := len(dirs)
	_, here, _, _ := runtime.Caller(0)
	binary := filepath.Join(filepath.Dir(here), "../../../bin/nats-server")
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv(required) != "" {
			t.Fatalf("%v: make nats-server builds it", err)
		}
		t.Skipf("%v: make nats-server builds it", err)
	}
	ports := make([]int, 3*n)
	for i := range ports {
		ports[i] = testport.Reserve(t)
	}
	var routes []string
	for i := range n {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[3*i+2]))
	}
	c := &Cluster{t: t}
	for i, dir := range dirs {
		lines := []string{
			fmt.Sprintf("server_name: n%d", i), fmt.Sprintf("listen: 127.0.0.1:%d", ports[3*i]), fmt.Sprintf("http: 127.0.0.1:%d", ports[3*i+1]),
			fmt.Sprintf("jetstream: { store_dir: %q, max_file_store: 64GB, max_memory_store: 64MB, sync_interval: always }", dir),
		}
		if n > 1 {
			lines = append(lines, fmt.Sprintf("cluster: { name: test, listen: 127.0.0.1:%d, routes: [%s], connect_retries: 100000 }",
				ports[3*i+2], strings.Join(routes, ", ")))
		}
		file := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(file, []byte(strings.Join(append(lines, extra...), "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		node := &Node{
			Address: fmt.Sprintf("127.0.0.1:%d", ports[3*i]), Monitor: fmt.Sprintf("127.0.0.1:%d", ports[3*i+1]),
			args: []string{binary, "-c", file}, t: t,
		}
		t.Cleanup(node.Kill)
		c.Nodes = append(c.Nodes, node)
		node.Start()
	}
	for _, node := range c.Nodes {
		node.await()
	}
	return c
}

// URL is how clients reach all servers.
func (c *Cluster) URL() string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, "nats://"+n.Address)
	}
	return strings.Join(all, ",")
}

// Start starts a server that is down.
func (n *Node) Start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		return
	}
	cmd, log, done := exec.Command(n.args[0], n.args[1:]...), new(bytes.Buffer), make(chan struct{})
	cmd.Stderr = log
	cmd.SysProcAttr = withTest()
	if err := cmd.Start(); err != nil {
		n.t.Errorf("nats-server: %v", err)
		return
	}
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	n.cmd, n.log, n.done = cmd, log, done
}

// Freeze stops a server as SIGSTOP does. Kill ends it then.
func (n *Node) Freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(syscall.SIGSTOP)
	}
}

// Kill ends a server as kill -9 does.
func (n *Node) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		<-n.done
		n.cmd = nil
	}
}

// await waits until a server takes connections.
func (n *Node) await() {
	n.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", n.Address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			n.Kill()
			n.t.Fatalf("nats-server: %v\n%s", err, n.log)
		}
		<-time.After(20 * time.Millisecond)
	}
}
