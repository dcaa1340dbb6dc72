package chaos

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// The gateway is at the other end of a wire, where the system's name server takes
// questions and never answers. One of its brokers has a name, the other an address.
func TestAMuteNameServerStopsNoCallToOtherBrokers(t *testing.T) {
	t.Parallel()
	w, err := newWire(t)
	if err != nil {
		t.Skipf("no wire can be laid on this machine: %v", err)
	}
	asked := w.muteNameServer()
	b := attachBroker(spawn(t, "broker", nil, w.there(brokerAt("tcp://"+w.address+":*")...)...))
	startWorker(t, b.endpoint, t.TempDir(), w.there()...)
	const named = "tcp://broker.test:5555"
	g := attach(t, spawn(t, "gateway", nil, w.there(binary, "serve", "--listen", w.address+":0", "--access", "open",
		"--broker", named, "--broker", b.endpoint, "--dialect", "mdp/0.2")...))
	g.works("fast")
	eventually(t, "the name is asked for", func() bool { return asked.Load() > 0 })
	var slowest time.Duration
	for range 200 {
		a := g.must("fast", "hello")
		if a.status != http.StatusOK || a.data != "hello" {
			t.Fatalf("got %v, want the text back", a)
		}
		slowest = max(slowest, a.took)
	}
	t.Logf("the slowest of 200 calls took %v; the name server was asked %d times", slowest.Round(time.Microsecond), asked.Load())
	if up := g.metric(`mdp_gateway_broker_up{endpoint="` + named + `"}`); up != 0 {
		t.Errorf("broker_up of the broker with a name is %v, want 0", up)
	}
}

// muteNameServer makes a socket at this end the name server of the other end.
func (w *wire) muteNameServer() (asked *atomic.Int64) {
	w.t.Helper()
	server, err := net.ListenPacket("udp", w.here+":53")
	if err != nil {
		w.t.Skipf("no name server may listen here: %v", err)
	}
	w.t.Cleanup(func() { _ = server.Close() })
	asked = new(atomic.Int64)
	go func() {
		for {
			if _, _, err := server.ReadFrom(make([]byte, 512)); err != nil {
				return
			}
			asked.Add(1)
		}
	}()
	// ip netns exec shows these files to its programs in place of those in /etc.
	etc := filepath.Join("/etc/netns", w.namespace)
	w.t.Cleanup(func() { _, _ = os.RemoveAll(etc), os.Remove(filepath.Dir(etc)) }) // which others may use
	if err = os.MkdirAll(etc, 0o755); err == nil {
		err = os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver "+w.here+"\n"), 0o644)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return asked
}
