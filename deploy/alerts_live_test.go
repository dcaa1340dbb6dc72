package deploy_test

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the store of jobs

	"mdpgateway/internal/certs/certstest"
	"mdpgateway/internal/testport"
)

// troubled is the configuration of a gateway small enough to be brought into every
// trouble that an alert is for. "deaf" is a broker that is spoken to in a dialect
// that it does not know.
const troubled = `
listen: ["http://127.0.0.1:0", "https://127.0.0.1:0"]
tls-cert: PAIR/tls.crt
tls-key: PAIR/tls.key
admin-listen: ADMIN
embedded: true
dialect: mdp/0.2 # with mdpx/1 the broker tells which requests still run, and few do
embedded-bind: tcp://127.0.0.1:*
brokers:
  - {name: lost, endpoint: "LOST", dialect: mdp/0.2}
  - {name: deaf, endpoint: "DEAF", dialect: majortomo}
keys-file: KEYS
issuers:
  - {issuer: "ISSUER", audience: mdp-gateway}
pool-max: 20
pool-reserve: 0
queue-timeout: 400ms
no-workers-wait: 100ms
max-body: 1MiB
max-reply: 1MiB
max-buffered: 2MiB
jobs: JOBS
jobs-max-bytes: 1MiB
jobs-expires: 4s
services:
  echo: {brokers: [embedded]}
  sleep: {brokers: [embedded], max_frames: 2}
  nobody: {brokers: [embedded]}
  unheard: {brokers: [deaf], timeout: 200ms}
`

// A trouble is what makes an alert's expression true.
type trouble struct {
	alert string
	label string // of what the expression returns: name=value
	cause func(t *testing.T, w *watched)
}

// troubles are in an order in which none keeps the next from coming about.
var troubles = []trouble{
	{"MdpGatewayJobsInterrupted", "service=sleep", func(t *testing.T, w *watched) { w.killWithAJob(t) }},
	{"MdpGatewayTimeouts", "service=sleep", func(t *testing.T, w *watched) { w.keep(t, "sleep?timeout=50ms", `{"body":"5m"}`) }},
	{"MdpGatewayErrorBudgetBurnsFast", "job=mdp-gateway", nil}, // by the same
	{"MdpGatewayErrorBudgetBurnsSlowly", "job=mdp-gateway", nil},
	{"MdpGatewayOrphansRising", "service=sleep", nil},
	{"MdpGatewayServiceSilent", "service=sleep", nil},
	{"MdpGatewayNoWorkers", "service=nobody", func(t *testing.T, w *watched) { w.keep(t, "nobody", `{}`) }},
	{"MdpGatewayJobsWaiting", "service=nobody", func(t *testing.T, w *watched) {
		w.keep(t, "nobody", `{"body":"`+strings.Repeat("x", 50_000)+`"}`, "Prefer", "respond-async")
	}},
	{"MdpGatewayJobsStoreFull", "job=mdp-gateway", nil}, // by the same
	{"MdpGatewayJobsStoreDown", "job=mdp-gateway", func(t *testing.T, w *watched) { w.lockJobs(t) }},
	{"MdpGatewayBrokerSilent", "endpoint=deaf", func(t *testing.T, w *watched) { w.keep(t, "unheard", `{}`) }},
	{"MdpGatewayBrokerDown", "endpoint=lost", func(t *testing.T, w *watched) { _ = w.lost.Process.Kill() }},
	{"MdpGatewayBrokerRefusesKeys", "reason=wants_curve", func(t *testing.T, w *watched) { w.lockBroker(t) }},
	{"MdpGatewayPrincipalExpiring", "principal=lab", func(t *testing.T, w *watched) {
		w.writeKeys(t, time.Now().Add(7*24*time.Hour).Format(time.RFC3339))
		w.hangUp(t)
	}},
	{"MdpGatewayTLSExpiring", "file=tls-cert", func(t *testing.T, w *watched) {
		w.writePair(t, 60*24*time.Hour, 7*24*time.Hour)
		w.hangUp(t)
	}},
	{"MdpGatewayIssuerAway", "job=mdp-gateway", func(t *testing.T, w *watched) {
		w.issuer.Close()
		// A token of a key that is not known makes a fetch due, which else is in minutes.
		token := base64url(`{"alg":"RS256","kid":"new"}`) + "." + base64url(`{"iss":"`+w.issuer.URL+`"}`) + "." + base64url(strings.Repeat("x", 256))
		eventually(t, "a fetch has failed", func() bool {
			post(t, w.api+"/services/echo", token, `{}`)
			return len(ask(t, w.prometheus, "mdp_gateway_token_issuer_up == 0")) > 0
		})
	}},
	{"MdpGatewayConfigReloadFailed", "job=mdp-gateway", func(t *testing.T, w *watched) {
		w.writeKeys(t, "soon")
		w.hangUp(t)
	}},
	{"MdpGatewayPoolSaturated", "job=mdp-gateway", func(t *testing.T, w *watched) {
		for range 24 {
			w.keep(t, "sleep?timeout=5m", `{"body":"5m"}`)
		}
	}},
	{"MdpGatewayBufferFull", "job=mdp-gateway", func(t *testing.T, w *watched) {
		for range 17 { // they wait for a connection, with their bodies
			w.keep(t, "sleep?timeout=5m", `{"frames":["5m","`+strings.Repeat("x", 120_000)+`"]}`)
		}
	}},
	{"MdpGatewayQueueWait", "job=mdp-gateway", func(t *testing.T, w *watched) { w.keep(t, "echo", `{}`) }},
	{"MdpGatewayDown", "job=mdp-gateway", func(t *testing.T, w *watched) { _ = w.gateway.Process.Kill() }},
}

// TestARealPrometheusSeesWhatTheLoadMadeTrue holds for every alert that its
// expression, of the rules file as it is, returns nothing while all is well and the
// culprit once there is one.
func TestARealPrometheusSeesWhatTheLoadMadeTrue(t *testing.T) {
	if os.Getenv(required) == "" {
		t.Skip("no real Prometheus is asked for; make deploy-check, which CI runs, runs this test in a minute")
	}
	w := newWatched(t)
	expressions := make(map[string]string)
	for _, g := range parse[ruleFile](t, read(t, "prometheus/rules.yml")).Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				expressions[r.Alert] = r.Expr
			}
		}
	}
	w.beWell(t)
	for alert, expr := range expressions {
		if got := ask(t, w.prometheus, expr); len(got) > 0 {
			t.Errorf("%s while all is well: got %v, want nothing", alert, got)
		}
	}
	for _, c := range troubles {
		if c.cause != nil {
			c.cause(t, w)
		}
		name, value, _ := strings.Cut(c.label, "=")
		eventually(t, c.alert+" with "+c.label, func() bool {
			for _, s := range ask(t, w.prometheus, expressions[c.alert]) {
				if s.Metric[name] == value {
					t.Logf("%s: %v", c.alert, s)
					return true
				}
			}
			return false
		})
		eventually(t, "Prometheus itself takes up "+c.alert, func() bool {
			return len(ask(t, w.prometheus, `ALERTS{alertname="`+c.alert+`"}`)) > 0
		})
		delete(expressions, c.alert)
	}
	for alert := range expressions {
		t.Errorf("nothing here makes %s true", alert)
	}
}

// A watched is a gateway with three brokers, and a Prometheus that watches it.
type watched struct {
	prometheus    string // URL
	api, key      string // URL; what calls are authorized by
	gateway, lost *process
	config        string           // file
	lostAt        string           // endpoint of lost
	issuer        *httptest.Server // of tokens
	keys          string           // file
	sum           string           // of key
	authority     *certstest.Authority
	pair, jobs    string // directories
	calls         context.Context
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{
		keys: filepath.Join(t.TempDir(), "keys.yaml"), calls: t.Context(), authority: certstest.New(t, "lab"), pair: t.TempDir(), jobs: t.TempDir(),
	}
	w.writePair(t, time.Hour, 90*24*time.Hour)
	w.issuer = newIssuer(t)
	w.lost = start(t, "broker", "--bind", "tcp://127.0.0.1:*")
	lost := w.lost.logged(t, "endpoint", "broker listens")
	w.lostAt = lost
	deaf := start(t, "broker", "--bind", "tcp://127.0.0.1:*").logged(t, "endpoint", "broker listens")
	out, err := exec.Command(gateway(t), "key", "new", "lab").Output()
	if err != nil {
		t.Fatal(err)
	}
	key, entry, _ := strings.Cut(string(out), "\n")
	w.key, w.sum = key, parse[[]struct{ Key struct{ SHA256 string } }](t, entry)[0].Key.SHA256
	w.writeKeys(t, time.Now().Add(365*24*time.Hour).Format(time.RFC3339))
	w.config = filepath.Join(t.TempDir(), "gateway.yaml")
	admin := testport.Address(t) // the same after a restart
	write(t, w.config, []byte(strings.NewReplacer("LOST", lost, "DEAF", deaf, "KEYS", w.keys, "PAIR", w.pair, "ISSUER", w.issuer.URL, "JOBS", w.jobs, "ADMIN", admin).Replace(troubled)))
	w.serve(t)
	w.prometheus = prometheus(t, admin)
	return w
}

// serve starts the gateway.
func (w *watched) serve(t *testing.T) {
	t.Helper()
	w.gateway = start(t, "serve", "--config", w.config)
	w.api = w.gateway.api(t)
}

// killWithAJob kills the gateway while a job of it runs, and starts it again.
func (w *watched) killWithAJob(t *testing.T) {
	t.Helper()
	status, answer := post(t, w.api+"/services/sleep", w.key, `{"body":"5m"}`, "Prefer", "respond-async")
	if status != http.StatusAccepted {
		t.Fatalf("got %d %s", status, answer)
	}
	eventually(t, "the job runs", func() bool {
		return len(ask(t, w.prometheus, `mdp_gateway_jobs_running{service="sleep"} > 0`)) > 0
	})
	if err := w.gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = w.gateway.Process.Wait() // it has let go of its ports and of the store
	w.serve(t)
}

// newIssuer starts an issuer with a key that nobody has.
func newIssuer(t *testing.T) *httptest.Server {
	t.Helper()
	mux, issuer := http.NewServeMux(), httptest.NewUnstartedServer(nil)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer.URL, issuer.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"RSA","kid":"1","e":"AQAB","n":%q}]}`, base64url(strings.Repeat("\xff", 256)))
	})
	issuer.Config.Handler = mux
	issuer.Start()
	t.Cleanup(issuer.Close)
	return issuer
}

func base64url(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// writeKeys writes the keys file with another date in it.
func (w *watched) writeKeys(t *testing.T, expires string) {
	t.Helper()
	write(t, w.keys, fmt.Appendf(nil, "- {id: lab, sha256: %s, services: ['*'], expires: %s}\n", w.sum, expires))
}

// writePair writes a certificate of that age with that time left, and its key.
func (w *watched) writePair(t *testing.T, age, left time.Duration) {
	t.Helper()
	w.authority.Issue(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-age), time.Now().Add(left) }).Write(w.pair)
}

// hangUp makes the gateway read its keys again.
func (w *watched) hangUp(t *testing.T) {
	t.Helper()
	if err := w.gateway.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// beWell makes calls that are answered until Prometheus has seen them rise, so that
// ratios are those of calls and not of nothing.
func (w *watched) beWell(t *testing.T) {
	t.Helper()
	eventually(t, "Prometheus has seen calls that are answered", func() bool {
		status, answer := post(t, w.api+"/services/echo", w.key, `{}`)
		if status != http.StatusOK && status != http.StatusServiceUnavailable { // the demo worker may not be there yet
			t.Fatalf("got %d %s", status, answer)
		}
		seen := ask(t, w.prometheus, `rate(mdp_gateway_requests_total{service="echo",outcome="ok"}[5m]) > 0`)
		up := ask(t, w.prometheus, `sum(mdp_gateway_broker_up) == 3 and sum(up) == 1`)
		return len(seen) > 0 && len(up) > 0
	})
}

// lockBroker starts another broker where the lost one was. It wants a key.
func (w *watched) lockBroker(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command(gateway(t), "curve", "new", "hall1", "--dir", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	public, _, _ := strings.Cut(string(out), "\n")
	write(t, filepath.Join(dir, "allowed.yaml"), fmt.Appendf(nil, "- {id: nobody, key: %q, role: client}\n", public))
	start(t, "broker", "--bind", w.lostAt, "--curve-key-file", filepath.Join(dir, "hall1.key_secret"), "--curve-allowed", filepath.Join(dir, "allowed.yaml"))
}

// lockJobs keeps the gateway from writing its store of jobs until the test ends.
func (w *watched) lockJobs(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(w.jobs, "jobs.db")+"?_txlock=exclusive&_busy_timeout=20000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Begin(); err != nil {
		t.Fatal(err)
	}
}

// keep makes a call again and again until the test ends.
func (w *watched) keep(t *testing.T, service, body string, header ...string) {
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for ; w.calls.Err() == nil; <-time.After(20 * time.Millisecond) {
			r, err := http.NewRequestWithContext(w.calls, http.MethodPost, w.api+"/services/"+service, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+w.key)
			r.Header.Set("Content-Type", "application/json")
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			if answer, err := http.DefaultClient.Do(r); err == nil {
				_ = answer.Body.Close()
			}
		}
	}()
}

// prometheus runs Prometheus with our rules, every second, and returns its URL.
func prometheus(t *testing.T, target string) string {
	t.Helper()
	program, dir := tool(t, "prometheus"), t.TempDir()
	config := strings.NewReplacer("gateway:8081", target, "15s", "1s").Replace(read(t, "prometheus/prometheus.yml"))
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": read(t, "prometheus/rules.yml")} {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	address := testport.Address(t) // it does not tell which port it took
	cmd := exec.Command(program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address, "--log.level=error")
	cmd.Dir = dir
	launch(t, cmd)
	eventually(t, "Prometheus is ready", func() bool {
		response, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return "http://" + address
}

// A sample is one of what a query returns.
type sample struct {
	Metric map[string]string
	Value  []any // time and value
}

// ask returns what a query returns at this moment.
func ask(t *testing.T, prometheus, query string) []sample {
	t.Helper()
	var answer struct {
		Error string
		Data  struct{ Result []sample }
	}
	text := get(t, prometheus+"/api/v1/query?query="+url.QueryEscape(query))
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Error != "" {
		t.Fatalf("%s: %v %s", query, err, answer.Error)
	}
	return answer.Data.Result
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
