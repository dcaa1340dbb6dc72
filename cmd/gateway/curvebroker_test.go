package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A hall is a broker with CURVE in a process of its own, and the pairs of those that it knows or does not know.
type hall struct {
	*child
	t        *testing.T
	dir      string
	endpoint string
	public   map[string]string // by id
}

// newHall starts a broker that lets in gateway-1 as a client, and lora-worker as a worker of echo.
func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{t: t, dir: t.TempDir(), public: make(map[string]string)}
	for _, id := range []string{"hall1", "gateway-1", "lora-worker", "stranger"} {
		h.public[id], _ = newPair(t, h.dir, id)
	}
	h.allow(true)
	h.child = spawn(t, "broker", "--bind", "tcp://127.0.0.1:*", "--curve-key-file", h.secret("hall1"), "--curve-allowed", filepath.Join(h.dir, "allowed.yaml"))
	h.endpoint = h.logged(t, "broker listens", "endpoint")
	return h
}

func (h *hall) key(id string) string    { return filepath.Join(h.dir, id+".key") }
func (h *hall) secret(id string) string { return filepath.Join(h.dir, id+".key_secret") }

// allow writes the list: the gateway, and the worker or not.
func (h *hall) allow(worker bool) {
	if worker {
		h.list("gateway-1", "lora-worker")
		return
	}
	h.list("gateway-1")
}

// list writes the list of these: gateways as clients, all others as workers of echo.
func (h *hall) list(ids ...string) {
	var text strings.Builder
	for _, id := range ids {
		role := "worker, services: [echo]"
		if strings.HasPrefix(id, "gateway") {
			role = "client"
		}
		fmt.Fprintf(&text, "- {id: %s, key: %q, role: %s}\n", id, h.public[id], role)
	}
	write(h.t, h.dir, "allowed.yaml", text.String())
}

// reload has the broker read its list.
func (h *hall) reload() {
	h.t.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		h.t.Fatal(err)
	}
}

// config is a gateway's, with that pair at the broker.
func (h *hall) config(id string) string {
	return fmt.Sprintf("catalogue: open\nbrokers:\n  - {name: hall1, endpoint: %q, curve: {server_key_file: %s, key_file: %s}}\n",
		h.endpoint, h.key("hall1"), h.secret(id))
}

// python starts a program with examples/python beside it. Its last line is returned by end, once its input is closed.
func python(t *testing.T, program string, args ...string) (started *bufio.Scanner, end func() string) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{write(t, t.TempDir(), "program.py", program)}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join("..", "..", "examples", "python"), "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs Debian's python3 and python3-zmq: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return bufio.NewScanner(out), func() string {
		_ = in.Close()
		last, _ := io.ReadAll(out)
		return strings.TrimSpace(string(last))
	}
}

const honestWorker = `
import sys
from mdpworker import Worker
worker = Worker(sys.argv[1], curve=(sys.argv[2], sys.argv[3]))
@worker.service("echo", concurrency=2)
def echo(request):
    return b"honest " + request.data
worker.run()
`

// The thieves register as workers, again and again, each over ten connections: without keys, with a client's key,
// with a key that nobody knows, and with a worker's key for a service that is not in its entry.
const thieves = `
import os, select, sys, zmq
from zmq.auth import load_certificate
endpoint, server = sys.argv[1], load_certificate(sys.argv[2])[0]
context, got = zmq.Context(), 0
sockets = []
for file, service in [("", b"echo"), (sys.argv[3], b"echo"), (sys.argv[4], b"echo"), (sys.argv[5], b"loot")] * 10:
    s = context.socket(zmq.DEALER)
    s.linger = 0
    if file:
        s.curve_serverkey = server
        s.curve_publickey, s.curve_secretkey = load_certificate(file)
    s.connect(endpoint)
    sockets.append((s, service))
print("here", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    for s, service in sockets:
        try:
            s.send_multipart([b"", b"MDPW01", b"\x01", service], zmq.NOBLOCK)
            while True:
                got += s.recv_multipart(zmq.NOBLOCK)[2] == b"\x02"
        except zmq.Again:
            pass
print(got, flush=True)
os._exit(0)
`

func TestThievesOfRequestsGetNone(t *testing.T) {
	h := newHall(t)
	python(t, honestWorker, h.endpoint, h.key("hall1"), h.secret("lora-worker"))
	started, endThieves := python(t, thieves, h.endpoint, h.key("hall1"), h.secret("gateway-1"), h.secret("stranger"), h.secret("lora-worker"))
	if !started.Scan() {
		t.Fatal("the thieves did not start")
	}
	g := startWith(t, h.config("gateway-1"), nil)
	call := func(service string) answered { return g.post(service+"?timeout=500ms", `{"body":"samples"}`) }
	eventually(t, "the honest worker answers", func() bool { return call("echo").status == http.StatusOK })
	if why := h.logged(t, "a key was used for what it may not", "reason"); why == "" {
		t.Error("the broker's log does not tell of the thieves")
	}
	for range 40 {
		if a := g.post("echo", `{"body":"samples"}`); fmt.Sprint(a.data()) != "[honest samples {}]" && fmt.Sprint(a.data()) != "[honest samples]" {
			t.Fatalf("got %d %s, want the honest worker's answer", a.status, a.body)
		}
	}
	if a := call("loot"); a.status == http.StatusOK {
		t.Errorf("a service that no key may serve got %d %s", a.status, a.body)
	}
	if got := endThieves(); got != "0" {
		t.Errorf("thieves got %s requests", got)
	}
}

// A client of the list is answered; a worker's key, with which a thief of one could send work to the others, calls nothing.
const callers = `
import sys, zmq
from zmq.auth import load_certificate
def caller(file):
    s = zmq.Context.instance().socket(zmq.REQ)
    s.linger = 0
    s.curve_serverkey = load_certificate(sys.argv[2])[0]
    s.curve_publickey, s.curve_secretkey = load_certificate(file)
    s.connect(sys.argv[1])
    return s
worker, client = caller(sys.argv[3]), caller(sys.argv[4])
worker.send_multipart([b"MDPC01", b"echo", b"of a worker"])
print("sent", flush=True)
sys.stdin.read()
client.send_multipart([b"MDPC01", b"echo", b"of a client"])
print(client.recv_multipart()[-1].decode(), "|", "answered" if worker.poll(0) else "not answered")
`

func TestAWorkersKeyCallsNothing(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	python(t, honestWorker, h.endpoint, h.key("hall1"), h.secret("lora-worker"))
	started, end := python(t, callers, h.endpoint, h.key("hall1"), h.secret("lora-worker"), h.secret("gateway-1"))
	if !started.Scan() {
		t.Fatal("the callers did not start")
	}
	if why := h.logged(t, "a key was used for what it may not", "reason"); why != "it is no client's" {
		t.Errorf("the log says %q of a call by a worker's key", why)
	}
	if got := end(); got != "honest of a client | not answered" {
		t.Errorf("got %q, want the client's call answered, and the worker's not", got)
	}
}

// One broker that does not let the gateway in takes nothing from another that does.
func TestABrokerThatRefusesTheGatewayDegradesIt(t *testing.T) {
	t.Parallel()
	good, bad := newHall(t), newHall(t)
	bad.list("lora-worker")
	bad.reload()
	bad.logged(t, "configuration reloaded", "")
	good.serve("lora-worker")
	second := strings.NewReplacer("catalogue: open\nbrokers:\n", "", "name: hall1", "name: hall2").Replace(bad.config("gateway-1"))
	g := startWith(t, good.config("gateway-1")+second, nil)
	eventually(t, "the refusal is told", func() bool {
		a := g.get("/readyz")
		return a.status == http.StatusOK && string(a.body) == `{"ready":true,"degraded":["hall2"]}`+"\n" &&
			g.count(t, `broker_refused_handshakes_total{endpoint="hall2",reason="key_refused"}`) > 0
	})
	eventually(t, "the worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	for range 20 {
		if a := g.post("echo", `{"body":"samples"}`); a.status != http.StatusOK {
			t.Errorf("got %d %s, want the answer of the broker that lets the gateway in", a.status, a.body)
		}
	}
	if n := g.count(t, `broker_refused_handshakes_total{endpoint="hall1",reason="key_refused"}`); n != 0 {
		t.Errorf("%v refusals of the other broker", n)
	}
	bad.list("gateway-1")
	bad.reload()
	eventually(t, "the gateway is let in", func() bool { return string(g.get("/readyz").body) == `{"ready":true}`+"\n" })
}

// A list that is read again holds at once for those that are connected, and a bad one changes nothing.
func TestABrokersListIsReadAgain(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	python(t, honestWorker, h.endpoint, h.key("hall1"), h.secret("lora-worker"))
	g := startWith(t, h.config("gateway-1"), nil)
	answers := func() bool { return g.post("echo?timeout=500ms", `{}`).status == http.StatusOK }
	eventually(t, "the worker answers", answers)
	for _, bad := range []string{"", "- {id: gateway-1", "- {id: a, key: short, role: client}\n"} {
		write(t, h.dir, "allowed.yaml", bad)
		h.reload()
		h.logged(t, "the configuration is invalid, the previous one stays in force", "error")
		eventually(t, fmt.Sprintf("an answer after the list %q", bad), answers)
	}
	h.allow(false)
	h.reload()
	h.logged(t, "configuration reloaded", "")
	eventually(t, "the worker whose entry is gone gets nothing", func() bool { return !answers() })
	h.allow(true)
	h.reload()
	eventually(t, "the worker is back", answers)
}

// The caller of gateway call is told what is wrong with its keys.
func TestACallSaysWhatIsWrongWithItsKeys(t *testing.T) {
	h := newHall(t)
	plain := spawn(t, "broker", "--bind", "tcp://127.0.0.1:*").logged(t, "broker listens", "endpoint")
	for _, c := range []struct{ name, endpoint, server, own, want string }{
		{"no key", h.endpoint, "", "", "does it want CURVE (--curve-server-key, --curve-key-file)?"},
		{"a key that is not in the list", h.endpoint, h.key("hall1"), h.secret("stranger"), "the broker refused our key: it is not in its list"},
		{"another broker's key", h.endpoint, h.key("gateway-1"), h.secret("gateway-1"), "the broker's key is another than the one that was given"},
		{"a broker without CURVE", plain, h.key("hall1"), h.secret("gateway-1"), "the broker does not speak CURVE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := "call echo --timeout 20s --broker " + c.endpoint
			if c.own != "" {
				args += " --curve-server-key-file " + c.server + " --curve-key-file " + c.own
			}
			// On a busy machine a call may give up before its broker has answered the handshake.
			eventually(t, c.want, func() bool {
				code, _, stderr := runGateway(t, args, nil, "")
				return code != exitOK && strings.Contains(stderr, c.want) && strings.Contains(stderr, "broker_unavailable")
			})
		})
	}
}

// A broker of others: it answers each request with its frames, and every question whether a service is there with yes.
const pyzmqBroker = `
import sys, zmq
from zmq.auth import load_certificate
from zmq.auth.thread import ThreadAuthenticator
context = zmq.Context()
auth = ThreadAuthenticator(context)
auth.start()
auth.configure_curve(domain="global", location=sys.argv[2])
router = context.socket(zmq.ROUTER)
router.curve_server = True
router.curve_publickey, router.curve_secretkey = load_certificate(sys.argv[1])
router.zap_domain = b"global"
port = router.bind_to_random_port("tcp://127.0.0.1")
print(port, flush=True)
while True:
    client, empty, header, service, *body = router.recv_multipart()
    router.send_multipart([client, empty, header, service] + ([b"200"] if service == b"mmi.service" else body))
`

func TestABrokerInPyzmqWithCURVE(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{"hall2", "gateway-1", "stranger"} {
		newPair(t, dir, id)
	}
	let := filepath.Join(dir, "let")
	if err := os.Mkdir(let, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "gateway-1.key"), filepath.Join(let, "gateway-1.key")); err != nil {
		t.Fatal(err)
	}
	out, _ := python(t, pyzmqBroker, filepath.Join(dir, "hall2.key_secret"), let)
	if !out.Scan() {
		t.Fatal("the broker did not start")
	}
	endpoint := "tcp://127.0.0.1:" + out.Text()
	config := func(id string) string {
		return fmt.Sprintf("brokers:\n  - {name: hall2, endpoint: %q, curve: {server_key_file: %s/hall2.key, key_file: %s/%s.key_secret}}\n", endpoint, dir, dir, id)
	}
	g := startWith(t, config("gateway-1"), nil)
	eventually(t, "the broker answers", func() bool { return g.post("echo", `{"body":"samples"}`).status == http.StatusOK })
	g.end()

	g = startWith(t, config("stranger"), nil)
	eventually(t, "the refusal is counted", func() bool {
		return g.count(t, `broker_refused_handshakes_total{endpoint="hall2",reason="key_refused"}`) > 0
	})
	problem(t, g.post("echo", `{}`), 503, "broker_unavailable", "no")
	if a := g.get("/readyz"); a.status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: got %d %s", a.status, a.body)
	}
}

// With CURVE the embedded broker knows the gateway itself and the demo worker.
func TestTheEmbeddedBrokerWithCURVE(t *testing.T) {
	dir := t.TempDir()
	_, secret := newPair(t, dir, "hall1")
	public, _ := newPair(t, dir, "other")
	list := write(t, dir, "allowed.yaml", fmt.Sprintf("- {id: other, key: %q, role: client}\n", public))
	g := startWith(t, fmt.Sprintf("curve-key-file: %s\ncurve-allowed: %s\n", secret, list), nil)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	code, stdout, stderr := runGateway(t, fmt.Sprintf("call echo --dialect mdp/0.2 --broker %s --curve-server-key-file %s --curve-key-file %s",
		g.broker, filepath.Join(dir, "hall1.key"), filepath.Join(dir, "other.key_secret")), nil, "")
	if code != exitOK {
		t.Errorf("a client of the list: got %d %q %q", code, stdout, stderr)
	}
	if code, _, stderr := runGateway(t, "call echo --dialect mdp/0.2 --broker "+g.broker, nil, ""); code == exitOK {
		t.Errorf("a client without a key was served: %q", stderr)
	}
	write(t, dir, "allowed.yaml", "- {id: other, key: "+fmt.Sprintf("%q", public)+", role: worker, services: [\"*\"]}\n")
	g.hangUp(t)
	eventually(t, "the list was read again", func() bool {
		code, _, _ := runGateway(t, fmt.Sprintf("call echo --timeout 1s --dialect mdp/0.2 --broker %s --curve-server-key-file %s --curve-key-file %s",
			g.broker, filepath.Join(dir, "hall1.key"), filepath.Join(dir, "other.key_secret")), nil, "")
		return code != exitOK
	})
	if a := g.post("echo", `{}`); a.status != http.StatusOK {
		t.Errorf("after the reload: got %d %s", a.status, a.body)
	}
}

// gateway doctor says whether the keys of brokers are good, and which end to look at.
func TestTheDoctorTriesTheKeysOfABroker(t *testing.T) {
	h := newHall(t)
	plain := spawn(t, "broker", "--bind", "tcp://127.0.0.1:*").logged(t, "broker listens", "endpoint")
	good := h.config("gateway-1")
	for name, c := range map[string]struct{ config, want string }{
		"good":          {good, "ok broker hall1 answers look-ups"},
		"refused":       {h.config("stranger"), "fail broker hall1 the broker refused our key"},
		"another":       {strings.Replace(good, h.key("hall1"), h.key("stranger"), 1), "fail broker hall1 the broker's key is another than the one that was given"},
		"without keys":  {good[:strings.Index(good, ", curve:")] + "}\n", "mechanism CURVE, socket unknown"},
		"without CURVE": {strings.Replace(good, h.endpoint, plain, 1), "mechanism NULL"},
	} {
		eventually(t, c.want, func() bool { // a busy machine may take longer than doctor waits
			_, got := findings(t, "--config "+write(t, h.dir, "doctor.yaml", c.config), "")
			return strings.Contains(got, c.want) && (strings.Contains(got, "mechanism CURVE") || name == "without CURVE")
		})
	}
}
