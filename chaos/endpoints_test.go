package chaos

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	words "mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/mdptest"
)

// A hall is a gateway with three brokers of different dialects, a, b and c, and a
// fourth one, mute, which takes what it is sent and never answers.
type hall struct {
	*gateway
	brokers map[string]*broker
}

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{brokers: map[string]*broker{}}
	var listed strings.Builder
	for name, dialect := range map[string]string{"a": "mdp/0.2", "b": "mdp/0.1", "c": "loudify"} {
		b := startBroker(t, "")
		spawn(t, "worker of "+name, nil, binary, "worker", "--broker", b.endpoint, "--dialect", "mdp/0.2", "--concurrency", "16")
		h.brokers[name] = b
		fmt.Fprintf(&listed, "  - {name: %s, endpoint: %q, dialect: %s}\n", name, b.endpoint, dialect)
	}
	for _, b := range h.brokers {
		mdptest.WaitForService(t, b.endpoint, "echo")
		mdptest.WaitForService(t, b.endpoint, "sleep")
	}
	fmt.Fprintf(&listed, "  - {name: mute, endpoint: %q, dialect: majortomo}\n", mdptest.NewRouter(t, nil).Endpoint())
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	content := fmt.Sprintf(`
listen: 127.0.0.1:0
brokers:
%sservices:
  echo: {brokers: [a, b, c], vars: none}
  sleep: {brokers: [a, b, c], vars: none}
  vars: {brokers: [mute], vars: none}
`, listed.String())
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	h.gateway = attach(t, spawn(t, "gateway", nil, binary, "serve", "--config", config))
	for _, name := range []string{"a", "b", "c", "mute"} {
		h.awaitUp(name, 1)
	}
	return h
}

func (h *hall) ofBroker(metric, name string) float64 {
	h.t.Helper()
	return h.metric(fmt.Sprintf("mdp_gateway_broker_%s{endpoint=%q}", metric, name))
}

func (h *hall) awaitUp(name string, up float64) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("broker_up of %s is %v", name, up), func() bool { return h.ofBroker("up", name) == up })
}

// each is how many of the calls that spread starts a broker gets. A connection that takes
// longer than a call waits for the best broker sends one to another.
const each, slack = 10, 1

// spread starts ten calls for each of the three brokers. The function that it returns
// waits for their answers.
func (h *hall) spread() (answers func() (right, lost int)) {
	h.t.Helper()
	for _, name := range []string{"a", "b", "c"} { // one of them may have come back a moment ago
		mdptest.WaitForService(h.t, h.brokers[name].endpoint, "sleep")
	}
	h.works("sleep") // the first call asks all three brokers for the service
	<-time.After(300 * time.Millisecond)
	type outcome struct {
		answer
		text string
		err  error
	}
	results := make(chan outcome, 3*each)
	for i := range 3 * each {
		go func() {
			text := fmt.Sprintf("%dns", 20*time.Second+time.Duration(i))
			a, err := h.post(context.Background(), "sleep?timeout=1m", text)
			results <- outcome{a, text, err}
		}()
		// One after the other: what a late connection sent elsewhere, the next call makes up for.
		eventually(h.t, "the calls are in flight", func() bool {
			return h.metric(`mdp_gateway_pool_connections{state="busy"}`) == float64(i+1)
		})
	}
	return func() (right, lost int) {
		h.t.Helper()
		for range 3 * each {
			switch o := <-results; {
			case o.err == nil && o.status == http.StatusOK && o.data == o.text:
				right++
			case o.err == nil && o.code == "broker_lost" && o.executed == "maybe":
				lost++
			default:
				h.t.Errorf("%s: got %v, %v", o.text, o.answer, o.err)
			}
		}
		return right, lost
	}
}

// One of three brokers of different dialects dies, or hangs, and comes back. The calls
// that it had fail: a third of all, since each call goes to the least busy broker. All
// other calls are answered. Only the metrics of this broker change.
func TestOfSeveralBrokersOnlyTheCallsOfOneInTroubleFail(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.works("echo")
	asked := time.Now()
	for range 3 { // for namesTheMuteOne, at the end
		if a := h.must("vars?timeout=200ms", "x"); a.code != "timeout" {
			t.Errorf("got %v, want a timeout", a)
		}
	}
	for i, trouble := range []struct {
		name       string
		begin, end func(b *broker) *broker
	}{
		{"kill -9", func(b *broker) *broker { b.kill(); return b }, func(b *broker) *broker { return startBroker(t, b.endpoint) }},
		{"SIGSTOP", func(b *broker) *broker { b.signal(syscall.SIGSTOP); return b }, func(b *broker) *broker { b.signal(syscall.SIGCONT); return b }},
	} {
		answers := h.spread()
		start := time.Now()
		h.brokers["b"] = trouble.begin(h.brokers["b"])
		h.awaitUp("b", 0)
		t.Logf("%s: noticed after %v", trouble.name, time.Since(start).Round(time.Millisecond))
		l := startLoad(t, h.gateway, 8, "echo")
		l.progress(200)
		right, lost := answers()
		if lost < each-slack || lost > each+slack || right+lost != 3*each {
			t.Errorf("%s: %d answered, %d lost with their broker, want %d and %d", trouble.name, right, lost, 2*each, each)
		}
		before := h.ofBroker("last_reply_timestamp_seconds", "b")
		h.brokers["b"] = trouble.end(h.brokers["b"])
		h.awaitUp("b", 1)
		eventually(t, "b serves again", func() bool { return h.ofBroker("last_reply_timestamp_seconds", "b") > before })
		l.stop()
		if codes := l.codes(); len(codes) > 0 {
			t.Errorf("%s: %v beside the trouble, want no failure", trouble.name, l)
		}
		for name, want := range map[string]float64{"a": 0, "b": float64(i + 1), "c": 0} {
			if n := h.ofBroker("reconnects_total", name); n != want {
				t.Errorf("%s: %v reconnects of %s, want %v", trouble.name, n, name, want)
			}
		}
	}
	h.namesTheMuteOne(asked)
}

// namesTheMuteOne checks that a broker that never answered is named after half a minute
// in the caller's problem, in the metric and in the log.
func (h *hall) namesTheMuteOne(since time.Time) {
	h.t.Helper()
	eventually(h.t, "the mute broker is called silent", func() bool { return h.ofBroker("silent", "mute") == 1 })
	h.t.Logf("silent after %v", time.Since(since).Round(time.Second))
	a := h.must("vars?timeout=200ms", "x")
	if a.code != "timeout" || !strings.Contains(a.raw, "this broker has never answered: "+words.SilentHint+" (now majortomo)") {
		h.t.Errorf("got %v, want a timeout that names the dialect", a)
	}
	if got := h.logged("this broker has never answered: "+words.SilentHint, "endpoint"); got != "mute" {
		h.t.Errorf("the log names %q, want mute", got)
	}
	for name := range h.brokers {
		if h.ofBroker("silent", name) != 0 {
			h.t.Errorf("%s is called silent, too", name)
		}
	}
}
