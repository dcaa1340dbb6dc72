package metrics

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mdpgateway/internal/certs"
	"mdpgateway/internal/gateway"
)

var update = flag.Bool("update", false, "write testdata anew")

// scrape returns the lines of /metrics that are ours.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("GET /metrics: got %d, want 200\n%s", rec.Code, rec.Body)
	}
	var ours strings.Builder
	for line := range strings.Lines(rec.Body.String()) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), namespace+"_") {
			ours.WriteString(line)
		}
	}
	return ours.String()
}

// value returns the value of one series, or "none".
func value(t *testing.T, m *Metrics, series string) string {
	t.Helper()
	for line := range strings.Lines(scrape(t, m)) {
		if v, ok := strings.CutPrefix(line, namespace+"_"+series+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return "none"
}

// call tells m of a whole call.
func call(m *Metrics, o gateway.Outcome) {
	m.Started(o.Service, o.KnownBefore)
	m.Ended(o)
}

type budget struct{ held, max int64 }

func (b budget) Bytes() int64 { return b.held }
func (b budget) Max() int64   { return b.max }

// keyring is keys with their expiries.
type keyring map[string]time.Time

func (k keyring) Enabled() bool                  { return len(k) > 0 }
func (k keyring) Expiries() map[string]time.Time { return k }

func TestOnlyCallsThatCameToTheQueueHaveWaitedInIt(t *testing.T) {
	for reason, want := range map[string]string{
		gateway.ReasonPool: "1", gateway.ReasonDeadline: "1", gateway.ReasonDescriptors: "1",
		gateway.ReasonQueue: "0", gateway.ReasonService: "0", gateway.ReasonMemory: "0", gateway.ReasonLookup: "0",
	} {
		m := New(Config{})
		call(m, gateway.Outcome{Service: "echo", Kind: gateway.Busy, Reason: reason})
		if got := value(t, m, "queue_wait_seconds_count"); got != want {
			t.Errorf("busy for %s: %s calls have waited, want %s", reason, got, want)
		}
	}
}

// TestTheExpositionIsAsDocumented holds every name, type, help and label: they
// are what dashboards and alerts are written against.
func TestTheExpositionIsAsDocumented(t *testing.T) {
	m := New(Config{Build: Build{Version: "v1.0.0", Revision: "c0ffee", Go: "go1.26", ZMQ: "4.3.4"}})
	took := gateway.Timing{Queue: 2 * time.Millisecond, Broker: 40 * time.Millisecond}
	sent := gateway.Outcome{Service: "echo", Known: true, KnownBefore: true, Sent: true, Timing: took, RequestBytes: 300, ReplyBytes: 70_000}
	call(m, sent)
	with := func(change func(o *gateway.Outcome)) {
		o := sent
		change(&o)
		call(m, o)
	}
	with(func(o *gateway.Outcome) { o.Kind, o.Stage, o.Timing.Broker = gateway.Timeout, "broker", 25*time.Second })
	with(func(o *gateway.Outcome) { o.Kind, o.Stage, o.Was = gateway.Timeout, "broker", gateway.WasQueued })
	with(func(o *gateway.Outcome) { o.Kind, o.Stage, o.Was = gateway.Timeout, "broker", gateway.WasDispatched })
	with(func(o *gateway.Outcome) { o.Kind, o.Reason = gateway.WorkerError, "flowgraph_failed" })
	with(func(o *gateway.Outcome) { o.Kind = gateway.BrokerLost })
	with(func(o *gateway.Outcome) { o.Kind, o.Reason, o.Sent = gateway.Busy, gateway.ReasonQueue, false })
	with(func(o *gateway.Outcome) {
		o.Service, o.Known, o.KnownBefore, o.Kind = "ech0", false, false, gateway.ServiceNotFound
		o.Sent, o.Timing = false, gateway.Timing{}
	})
	m.Started("sleep", true)
	m.LookedUp("200")
	m.LookedUp("404")

	m.HTTP().Started("/services/{name}", "POST")
	m.HTTP().Done("/services/{name}", "POST", 200, 41*time.Millisecond)
	m.HTTP().Started("unmatched", "other")
	m.HTTP().Done("unmatched", "other", 404, 90*time.Microsecond)
	m.HTTP().Started("/services/{name}", "POST")

	m.HTTP().Authenticated("web-2026-11", "ok")
	m.HTTP().Authenticated("web-2026-11", "rate_limited")
	m.HTTP().Authenticated("_none", "missing")
	m.WatchPrincipals(keyring{"web-2026-11": time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC), "lab": {}})
	m.WatchIssuers(func() []Issuer { return []Issuer{{"https://login.lab", 2, true}, {"https://away.lab", 0, false}} })
	m.Reloaded(true, time.UnixMilli(1_790_000_000_250))
	m.Reloaded(false, time.UnixMilli(1_790_000_001_000))

	m.WatchPool(func() gateway.PoolStats {
		return gateway.PoolStats{
			Idle: 3, Busy: 2, Connecting: 1, Max: 256, Waiting: 4, QueueMax: 1024,
			Closed: map[string]uint64{"timeout": 1, "idle": 5}, Stray: map[string]uint64{"malformed": 1}, Repeating: 1,
			Endpoints: []gateway.EndpointStats{
				{Name: "hall1", Endpoint: "tcp://hall1:5555", State: gateway.Up, Reconnects: 2, LastReply: time.UnixMilli(1_790_000_000_500)},
				{Name: "tcp://hall2:5555", Endpoint: "tcp://hall2:5555", State: gateway.Down, Silent: true, Refusals: map[string]uint64{gateway.KeyRefused: 1}},
			},
		}
	})
	m.WatchBudget(budget{70_300, 512 << 20})
	m.WatchBroker(func() map[string]uint64 { return map[string]uint64{"expired": 0, "wrong_header": 3} })
	m.WatchAudit(func() int64 { return 2 })
	m.WatchConnections("api", func() gateway.ConnectionStats {
		return gateway.ConnectionStats{
			Open: 3, Max: 8192, Refused: map[string]uint64{"full": 0, "made_room": 2}, Handshakes: map[string]uint64{"alert": 0, "client_certificate": 4},
		}
	})
	m.WatchConnections("admin", func() gateway.ConnectionStats { return gateway.ConnectionStats{Open: 1, Max: 32} })
	issued := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	m.WatchTLS(func() []certs.Date {
		return []certs.Date{{Setting: "tls-cert", Issued: issued, Ends: issued.AddDate(0, 3, 0)}, {Setting: "tls-client-crl"}}
	})
	m.WatchOrphans(func() map[string]int { return map[string]int{"echo": 1, "never-seen": 2, "nor-this": 1} })
	m.WatchSilent(func() []string { return []string{"sleep", "never-seen"} })

	j := m.Jobs(func() gateway.JobStats {
		return gateway.JobStats{
			Services: map[string]gateway.JobServiceStats{
				"echo":       {Queued: 3, Running: 2, Oldest: 90 * time.Second, Interrupted: 1, LastInterrupted: time.UnixMilli(1_790_000_000_500)},
				"never-seen": {Queued: 1},
			},
			Expires: time.Hour,
			Waiters: 4, StoreUp: true, StoreBytes: 4096, StoreMax: 4 << 30, StoreErrors: map[string]int64{"submit": 1}, Damaged: 1,
			Redelivered: map[string]int64{"interrupted": 1},
		}
	})
	j.JobSubmitted("echo", "ok")
	j.JobStarted("echo", 2*time.Second)
	j.JobEnded("echo", "done", 40*time.Second)
	j.Stored("submit", 2*time.Millisecond, false)

	got := scrape(t, m)
	golden := filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the exposition is not %s (go test -update writes it anew):\n%s", golden, diff(got, string(want)))
	}
}

// diff returns the lines that only one of the texts has.
func diff(got, want string) string {
	var b strings.Builder
	for line := range strings.Lines(got) {
		if !strings.Contains(want, line) {
			fmt.Fprintf(&b, "got  %s", line)
		}
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			fmt.Fprintf(&b, "want %s", line)
		}
	}
	return b.String()
}

func TestNamesThatNobodyKnowsCreateNoSeries(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	m := New(Config{})
	m.WatchOrphans(func() map[string]int { return map[string]int{fmt.Sprintf("scan-%d", random.Uint64()): 1} })
	stranger := func() {
		call(m, gateway.Outcome{Service: fmt.Sprintf("scan-%d", random.Uint64()), Kind: gateway.ServiceNotFound})
	}
	stranger()
	before := strings.Count(scrape(t, m), "\n")
	for range 10_000 {
		stranger()
	}
	if after := strings.Count(scrape(t, m), "\n"); after != before {
		t.Errorf("seed %d: %d lines after 10,000 names, want the %d of one name", seed, after, before)
	}
	if got, want := value(t, m, `requests_total{outcome="service_not_found",service="_unknown"}`), "10001"; got != want {
		t.Errorf("calls of unknown services: got %s, want %s", got, want)
	}
}

func TestKnownServicesBeyondTheMostShareOneLabel(t *testing.T) {
	m := New(Config{MaxServices: 3})
	var callers sync.WaitGroup
	for i := range 50 {
		callers.Go(func() {
			call(m, gateway.Outcome{Service: fmt.Sprintf("service-%d", i), Known: true, KnownBefore: true, Sent: true})
		})
	}
	callers.Wait()
	own := strings.Count(scrape(t, m), namespace+`_requests_in_flight{service="service-`)
	if got := value(t, m, `requests_total{outcome="ok",service="_other"}`); own != 3 || got != "47" {
		t.Errorf("got %d services with series of their own and %s calls of others, want 3 and 47", own, got)
	}
}

// TestWhatWentUpComesDown holds that no gauge is left above or below 0 by
// services that become known, or find all names taken, during their calls.
func TestWhatWentUpComesDown(t *testing.T) {
	m := New(Config{MaxServices: 2})
	var callers sync.WaitGroup
	for i := range 200 {
		callers.Go(func() {
			name := fmt.Sprintf("service-%d", i%5)
			knownBefore := i%3 == 0
			m.Started(name, knownBefore)
			m.Ended(gateway.Outcome{Service: name, KnownBefore: knownBefore, Known: i%2 == 0 || knownBefore, Sent: true})
			m.HTTP().Started("/services/{name}", "POST")
			m.HTTP().Done("/services/{name}", "POST", 200+i%3, time.Millisecond)
		})
	}
	callers.Wait()
	gauges := 0
	for line := range strings.Lines(scrape(t, m)) {
		if strings.HasPrefix(line, namespace+"_requests_in_flight{") || strings.HasPrefix(line, namespace+"_http_requests_in_flight{") {
			gauges++
			if !strings.HasSuffix(line, " 0\n") {
				t.Errorf("nothing is in flight, but %s", line)
			}
		}
	}
	if gauges != 5 { // two services, _unknown, _other, HTTP
		t.Errorf("got %d gauges, want 5", gauges)
	}
}

func TestACallIsInFlightUnderTheNameItBeganWith(t *testing.T) {
	m := New(Config{})
	m.Started("echo", false)
	if got := value(t, m, `requests_in_flight{service="_unknown"}`); got != "1" {
		t.Errorf("before the first reply: got %s, want 1", got)
	}
	m.Ended(gateway.Outcome{Service: "echo", Known: true, Sent: true})
	for series, want := range map[string]string{
		`requests_in_flight{service="_unknown"}`:       "0",
		`requests_in_flight{service="echo"}`:           "0",
		`requests_total{outcome="ok",service="echo"}`:  "1",
		`request_size_bytes_count{service="_unknown"}`: "0",
	} {
		if got := value(t, m, series); got != want {
			t.Errorf("%s: got %s, want %s", series, got, want)
		}
	}
}

func TestWhatWasNotSentIsNotTimed(t *testing.T) {
	m := New(Config{})
	call(m, gateway.Outcome{Service: "echo", Known: true, KnownBefore: true, Kind: gateway.BrokerUnavailable})
	for series, want := range map[string]string{
		`requests_total{outcome="broker_unavailable",service="echo"}`:           "1",
		`request_duration_seconds_count{outcome="error",service="echo"}`:        "none",
		`request_duration_seconds_count{outcome="ok",service="echo"}`:           "0",
		`request_size_bytes_count{service="echo"}`:                              "0",
		`queue_wait_seconds_count`:                                              "0",
		`timeouts_total{service="echo",stage="broker"}`:                         "0",
		`rejected_total{reason="pool"}`:                                         "0",
		`worker_errors_total{reason="flowgraph_failed",service="echo"}`:         "none",
		`request_duration_seconds_bucket{outcome="ok",service="echo",le="0.1"}`: "0",
	} {
		if got := value(t, m, series); got != want {
			t.Errorf("%s: got %s, want %s", series, got, want)
		}
	}
}

// rate() sees no first event of a counter that begins at 1: what is known to be countable
// is there before it is counted.
func TestCountersWhoseLabelsAreKnownBeginAtZero(t *testing.T) {
	m := New(Config{MaxServices: 3})
	catalogued := []string{"fm", "lora"}
	m.WatchCatalogue(func() []string { return catalogued })
	scrape(t, m)
	catalogued = append(catalogued, "added", "beyond the most")
	for _, reason := range []string{"pool", "queue", "service", "memory", "descriptors", "deadline", "lookup", "rate"} {
		if got := value(t, m, `rejected_total{reason="`+reason+`"}`); got != "0" {
			t.Errorf("rejected for %s: got %s, want 0", reason, got)
		}
	}
	for _, result := range []string{"200", "404", "501", "refused", "busy", "timeout", "bad_reply", "broker_unavailable"} {
		if got := value(t, m, `mmi_lookups_total{result="`+result+`"}`); got != "0" {
			t.Errorf("look-ups that ended with %s: got %s, want 0", result, got)
		}
	}
	for _, service := range []string{"fm", "lora", "added"} {
		for _, series := range []string{
			`requests_total{outcome="ok",`, `requests_total{outcome="timeout",`, `requests_total{outcome="worker_error",`,
			`timeouts_total{stage="broker",`, `timeouts_total{stage="stream",`,
		} {
			name, labels, _ := strings.Cut(series, "{")
			want := name + `{` + labels + `service="` + service + `"}`
			if name == "timeouts_total" { // labels are in order
				want = name + `{service="` + service + `",` + strings.TrimSuffix(labels, ",") + "}"
			}
			if got := value(t, m, want); got != "0" {
				t.Errorf("%s: got %s, want 0", want, got)
			}
		}
	}
	if got := scrape(t, m); strings.Contains(got, "beyond") {
		t.Error("more services than may be have series")
	}
}

func TestKeysAreAskedForAtEachScrape(t *testing.T) {
	m := New(Config{})
	now := keyring{}
	m.WatchPrincipals(now)
	if enabled, expiry := value(t, m, "auth_enabled"), value(t, m, `principal_expiry_timestamp_seconds{principal="a"}`); enabled != "0" || expiry != "none" {
		t.Errorf("without keys: got %s and %s, want 0 and none", enabled, expiry)
	}
	now["a"] = time.Unix(1_800_000_000, 0)
	if enabled, expiry := value(t, m, "auth_enabled"), value(t, m, `principal_expiry_timestamp_seconds{principal="a"}`); enabled != "1" || expiry != "1.8e+09" {
		t.Errorf("with a key: got %s and %s, want 1 and 1.8e+09", enabled, expiry)
	}
}

func TestAReloadThatFailsLeavesTheTimeOfTheLastGoodOne(t *testing.T) {
	m := New(Config{})
	for _, c := range []struct {
		valid      bool
		at         int64
		successful string
		success    string
	}{{true, 1000, "1", "1000"}, {false, 2000, "0", "1000"}, {true, 3000, "1", "3000"}} {
		m.Reloaded(c.valid, time.Unix(c.at, 0))
		if s, at := value(t, m, "config_last_reload_successful"), value(t, m, "config_last_reload_success_timestamp_seconds"); s != c.successful || at != c.success {
			t.Errorf("at %d: got %s and %s, want %s and %s", c.at, s, at, c.successful, c.success)
		}
	}
}

func TestOpenMetricsAndTheRuntimeAreServed(t *testing.T) {
	m := New(Config{})
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, r)
	body, _ := io.ReadAll(rec.Body)
	if got := rec.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text") {
		t.Errorf("Content-Type is %q, want application/openmetrics-text", got)
	}
	for _, want := range []string{"\ngo_goroutines ", "\nprocess_open_fds ", "# EOF\n"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the answer has no %q", want)
		}
	}
}

// TestNextToNothingIsAllocatedOnceASeriesExists holds the way that every call and every
// request takes: no more than the text of a status.
func TestNextToNothingIsAllocatedOnceASeriesExists(t *testing.T) {
	m := New(Config{})
	o := gateway.Outcome{
		Service: "echo", Known: true, KnownBefore: true, Sent: true,
		Timing:       gateway.Timing{Queue: time.Microsecond, Broker: 200 * time.Microsecond},
		RequestBytes: 64, ReplyBytes: 64,
	}
	identified := o
	identified.RequestID, identified.TraceID = "r1", traceID
	for _, c := range []struct {
		name string
		most float64
		run  func()
	}{
		{"call", 0, func() { call(m, o) }},
		{"call with an exemplar", 16, func() { call(m, identified) }},
		{"request", 1, func() {
			m.HTTP().Started("/services/{name}", "POST")
			m.HTTP().Done("/services/{name}", "POST", 200, 250*time.Microsecond)
		}},
		{"key", 0, func() { m.HTTP().Authenticated("web-2026-11", "ok") }},
	} {
		c.run()
		if got := testing.AllocsPerRun(100, c.run); got > c.most {
			t.Errorf("a %s allocates %v times, want %v at most", c.name, got, c.most)
		}
	}
}

// TestThePageShowsEveryMetric holds that nobody has to scrape to learn a name.
func TestThePageShowsEveryMetric(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "metrics.txt"))
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for line := range strings.Lines(string(golden)) {
		comment, isType := strings.CutPrefix(line, "# TYPE ")
		if !isType {
			continue
		}
		names++
		name, kind, _ := strings.Cut(strings.TrimSpace(comment), " ")
		if kind == "histogram" {
			name += "_count"
		}
		if !strings.Contains(string(page), "\n"+name+"{") && !strings.Contains(string(page), "\n"+name+" ") {
			t.Errorf("docs/metrics.md does not show %s", name)
		}
	}
	if names < 20 {
		t.Errorf("the golden exposition has %d metrics", names)
	}
}
