package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// limited runs a gateway in a process of its own that may open so many files, and returns its address, the number of
// files that it has open, and a key.
func limited(t *testing.T, files int) (address string, open func() int, key string) {
	t.Helper()
	address, _, open, key = limitedWithBroker(t, files)
	return address, open, key
}

// limitedWithBroker returns the address of the embedded broker too.
func limitedWithBroker(t *testing.T, files int) (address, broker string, open func() int, key string) {
	t.Helper()
	key, entry := newKey(t, "web")
	keys := write(t, t.TempDir(), "keys.yaml", entry)
	cmd := exec.Command("sh", "-c", `ulimit -n "$1" && shift && exec "$@"`, "sh", strconv.Itoa(files), os.Args[0],
		"serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*", "--keys-file", keys)
	c := spawnCommand(t, cmd)
	broker = strings.TrimPrefix(c.logged(t, "embedded broker", "endpoint"), "tcp://")
	address = c.logged(t, "listening", "address")
	return address, broker, func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}, key
}

// hold asks on a new connection from one of this machine's addresses, keeps it open, and returns the answer's status.
func hold(t *testing.T, from, to, head string) int {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := dialer.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, head+"Host: localhost\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("from %s: %v", from, err)
	}
	return answer.StatusCode
}

const noKey = "POST /services/echo HTTP/1.1\r\n"

// probed checks that probes are answered, and that the process has files left.
func probed(t *testing.T, address string, open func() int, most int) {
	t.Helper()
	for _, path := range []string{"/livez", "/readyz"} {
		if status := hold(t, "127.0.0.1", address, "GET "+path+" HTTP/1.1\r\n"); status != 200 {
			t.Errorf("%s: got %d, want 200", path, status)
		}
	}
	if n := open(); n > most {
		t.Errorf("the gateway has %d files open, want at most %d", n, most)
	}
}

// Thousands of connections that were refused and stay open, from one address, take neither the probes' descriptors nor
// those of callers with a key, who come from the same address.
func TestStrangersConnectionsStarveNobody(t *testing.T) {
	address, open, key := limited(t, 2000)
	valid := noKey + "Authorization: Bearer " + key + "\r\n"
	eventually(t, "the demo worker is there", func() bool { return hold(t, "127.0.0.1", address, valid) == 200 })
	for range 2200 {
		if status := hold(t, "127.0.0.1", address, noKey); status != 401 {
			t.Fatalf("a stranger got %d, want 401", status)
		}
	}
	probed(t, address, open, 1000)
	for range 20 {
		if status := hold(t, "127.0.0.1", address, valid); status != 200 {
			t.Errorf("a caller with a key got %d, want 200", status)
		}
	}
}

// Where callers with keys have all the connections, others are told so, and probes are answered.
func TestProbesAreAnsweredWhereCallersHaveAllConnections(t *testing.T) {
	address, open, key := limited(t, 1000)
	valid := "GET /services HTTP/1.1\r\nAuthorization: Bearer " + key + "\r\n"
	served := 0
	for i := range 1000 {
		from := fmt.Sprintf("127.0.0.%d", 1+i%5)
		switch status := hold(t, from, address, valid); status {
		case 200:
			served++
		case 503:
		default:
			t.Fatalf("a caller with a key got %d, want 200 or 503", status)
		}
	}
	if served < 550 || served > 650 {
		t.Errorf("%d connections of 1000 were served with 1000 files, want some 600", served)
	}
	probed(t, address, open, 900)
}

func TestABoundOfConnectionsIsGivenWhole(t *testing.T) {
	g := start(t, "--max-connections", "2", "--max-connections-per-peer", "2", "--admin-listen", "127.0.0.1:0")
	address := strings.TrimPrefix(g.url, "http://")
	for range 2 { // without keys every answer makes a caller known
		if status := hold(t, "127.0.0.1", address, "GET /services HTTP/1.1\r\n"); status != 200 {
			t.Fatalf("got %d, want 200", status)
		}
	}
	problem(t, g.post("echo", `{}`), 503, "busy", "no")
	metrics := string(request(t, newClient(t), http.MethodGet, g.admin+"/metrics", "", "").body)
	for _, line := range []string{
		`mdp_gateway_connections_max{listener="api"} 2`, `mdp_gateway_connections_max{listener="admin"} 32`,
		`mdp_gateway_connections_refused_total{listener="admin",reason="full"} 0`,
		`mdp_gateway_connections_refused_total{listener="api",reason="headers"} 0`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics has no line %s", line)
		}
	}
	if strings.Contains(metrics, `mdp_gateway_connections_refused_total{listener="api",reason="peer"} 0`) {
		t.Error("nothing was refused")
	}
}

// The embedded broker's port is open to more than callers, and libzmq accepts whoever connects.
func TestSilentConnectionsToTheBrokersPortLeaveDescriptorsForCallers(t *testing.T) {
	t.Parallel()
	const files, silent = 2000, 2200
	address, broker, open, key := limitedWithBroker(t, files)
	for i := range silent {
		c, err := net.DialTimeout("tcp", broker, patience)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { c.Close() })
		if i%500 == 499 {
			if got := hold(t, "127.0.0.1", address, "GET /livez HTTP/1.1\r\n"); got != http.StatusOK {
				t.Errorf("/livez after %d connections: got %d, want 200", i+1, got)
			}
		}
	}
	if n := open(); n > files*3/4 {
		t.Errorf("%d of %d files are open", n, files)
	}
	if got := hold(t, "127.0.0.1", address, "GET /version HTTP/1.1\r\nAuthorization: Bearer "+key+"\r\n"); got != http.StatusOK {
		t.Errorf("/version with a key: got %d, want 200", got)
	}
}
