package chaos

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// limited returns the command of a gateway that may open that many files.
func limited(files int, args ...string) []string {
	return append([]string{"/bin/sh", "-c", "ulimit -n " + strconv.Itoa(files) + ` && exec "$0" "$@"`, binary, "serve", "--listen", "127.0.0.1:0"}, args...)
}

func TestAPoolThatTheLimitOfOpenFilesDoesNotAllowStopsTheStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "gateway: pool-max is 256, want at most 86 where a process may open 600 files (RLIMIT_NOFILE)"},
		{[]string{"--pool-max", "87"}, "gateway: pool-max is 87, want at most 86 where a process may open 600 files (RLIMIT_NOFILE)"},
	} {
		p := spawn(t, "gateway", nil, limited(600, append(c.args, "--broker", "tcp://127.0.0.1:1", "--log-level", "error")...)...)
		if code := p.exit(); code != 1 || p.tail() != c.want {
			t.Errorf("%v: exit code %d, %q, want 1 and %q", c.args, code, p.tail(), c.want)
		}
	}
	attach(t, spawn(t, "gateway", nil, limited(600, "--pool-max", "86", "--broker", "tcp://127.0.0.1:1")...))
}

// Callers' connections take all descriptors. Calls that need another one are refused as
// busy. Calls in flight, probes and the listener survive, and all works again when
// descriptors are free.
func TestAGatewayWithoutDescriptorsSaysBusyAndRecovers(t *testing.T) {
	t.Parallel()
	const files = 340  // enough for a pool of 16
	var reply sync.Map // the replies to the held calls, by routing id
	arrived := make(chan string, 1)
	broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		switch string(m[2]) {
		case mdp.MMIService:
			return [][][]byte{{nil, m[1], m[2], []byte(mdp.StatusFound)}}
		case "held":
			reply.Store(string(id), m)
			arrived <- string(id)
			return nil
		}
		return [][][]byte{m}
	})
	g := attach(t, spawn(t, "gateway", nil, limited(files, "--broker", broker.Endpoint(), "--pool-max", "16", "--max-connections", "4000", "--max-connections-per-peer", "4000", "--vars", "none", "--timeout", "5m", "--header-timeout", "5m", "--pool-idle", "1h")...))
	g.works("echo")
	for range 3 {
		before := g.atRest()
		open := make(chan answer, 1)
		go func() { open <- g.must("held", "hello") }() // on the only idle connection
		id := <-arrived
		other := newClient(t, false) // connected before the descriptors are gone
		alive(t, other, g.url)

		var callers []net.Conn
		eventually(t, "no descriptor is left", func() bool {
			c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://")) // the kernel accepts it even if the gateway cannot
			if err != nil {
				t.Fatal(err)
			}
			callers = append(callers, c)
			n := 0
			for _, kind := range g.descriptors() {
				n += kind
			}
			return n >= files
		})
		for range 5 {
			if a, err := post(context.Background(), other, g.url, "echo", "no file left"); err != nil || a.status != http.StatusServiceUnavailable || a.code != "busy" || a.reason != "descriptors" || a.executed != "no" {
				t.Errorf("a call without descriptors: got %v, %v, want 503 busy, descriptors", a, err)
			}
		}
		alive(t, other, g.url)
		message, _ := reply.Load(id)
		broker.Send([]byte(id), message.([][]byte))
		if a := <-open; a.status != http.StatusOK || a.data != "hello" {
			t.Errorf("the call in flight: got %v, want its reply", a)
		}

		for _, c := range callers {
			_ = c.Close()
		}
		eventually(t, "new connections are taken, and calls work", func() bool {
			a, err := post(context.Background(), newClient(t, false), g.url, "echo", "again")
			return err == nil && a.status == http.StatusOK && a.data == "again"
		})
		other.CloseIdleConnections()
		if after := g.atRest(); after.files > before.files+8 || after.goroutines > before.goroutines+8 {
			t.Errorf("before: %v; after: %v, want nothing left behind", before, after)
		}
	}
}

// alive asks for /livez and keeps the connection.
func alive(t *testing.T, client *http.Client, url string) {
	t.Helper()
	response, err := client.Get(url + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("livez: got %d, %v, want 200", response.StatusCode, err)
	}
}
