package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The pages whose nginx configurations the tests take.
const (
	operations = "../docs/operations.md"
	jobsPage   = "../docs/jobs.md"
)

// nginxConfig returns a whole configuration file with that of a page in it, whose
// servers and listener have other addresses.
func nginxConfig(t *testing.T, page, dir, listen string, servers []string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "\n```nginx\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !closed {
		t.Fatalf("%s has no block of nginx", page)
	}
	documented := regexp.MustCompile(`server (\S+:8080)`)
	for _, server := range servers {
		at := documented.FindStringSubmatchIndex(block)
		if at == nil {
			t.Fatalf("%s names fewer than %d servers", page, len(servers))
		}
		block = block[:at[2]] + server + block[at[3]:]
	}
	block = strings.Replace(block, "listen 443 ssl;", "listen "+listen+";", 1)
	block = regexp.MustCompile(`(?m)^\s*ssl_certificate.*$`).ReplaceAllString(block, "")
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	// One process, which ends with the test.
	return "daemon off; master_process off; pid " + dir + "/pid; error_log stderr crit;\n" +
		"events {}\nhttp {\naccess_log off;\n" + temp.String() + block + "\n}\n"
}

// startNginx starts nginx in front of servers and returns its URL. It has the configuration of a page, with each
// second of edits in place of the one before it.
func startNginx(t *testing.T, page string, servers []string, edits ...string) string {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Skipf("%v: apt-get install nginx", err)
	}
	dir, listen := t.TempDir(), servers[0][:strings.LastIndexByte(servers[0], ':')]+":18000"
	config := filepath.Join(dir, "nginx.conf")
	text := nginxConfig(t, page, dir, listen, servers)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("%s has no %q", page, edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	spawn(t, "nginx", nil, path, "-p", dir, "-c", config, "-e", "stderr")
	eventually(t, "nginx listens", func() bool {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return "http://" + listen
}

// Two gateways behind nginx, with the documented lines, are restarted in turn under
// load. Calls are answered by their reply, or by a 503 that says that nothing was sent.
func TestRestartsBehindNginxLoseNoCall(t *testing.T) {
	t.Parallel()
	restarts := 4
	if *timed {
		restarts = 20
	}
	const callers = 16
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	// No other program's connection has an address like these, so that a gateway that
	// is down can be started where it was.
	network := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(250), rand.IntN(250))
	servers := []string{network + "1:18080", network + "2:18080"}
	start := func(i int) *gateway {
		p := spawn(t, "gateway", unhurried, binary, "serve", "--listen", servers[i], "--broker", b.endpoint, "--dialect", "mdp/0.2",
			"--drain-delay", "500ms", "--drain", "30s", "--allowed-hosts", "*")
		g := attach(t, p)
		g.works("echo")
		return g
	}
	gateways := []*gateway{start(0), start(1)}
	l := startLoadOn(t, newClient(t, false), startNginx(t, operations, servers), callers, "echo", "hello")
	l.progress(callers)
	for n := range restarts {
		i := n % len(gateways)
		gateways[i].signal(syscall.SIGTERM)
		if code := gateways[i].exit(); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		gateways[i] = start(i)
		l.progress(callers)
	}
	l.stop()
	t.Logf("%d restarts: %v", restarts, l)
	for _, code := range l.codes() {
		if code != "draining" {
			t.Errorf("%d calls failed with %q, want none", l.count(code), code)
		}
	}
	if a, err := post(context.Background(), newClient(t, false), gateways[0].url, "echo", "after"); err != nil || a.status != http.StatusOK {
		t.Errorf("afterwards: got %v, %v", a, err)
	}
}
