package deploy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// run starts a gateway with its embedded broker, and returns its URL.
func run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(gateway(t), append([]string{"serve", "--listen", "127.0.0.1:0", "--embedded", "--embedded-bind", "tcp://127.0.0.1:*"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	logs, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return "http://" + listening(t, logs)
}

func get(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// labelsOf returns the labels that every metric of an exposition has, by its name.
func labelsOf(exposition string) map[string]map[string]bool {
	metrics := make(map[string]map[string]bool)
	sample := regexp.MustCompile(`^(\w+)(?:\{(.*)\})? `)
	label := regexp.MustCompile(`(\w+)="`)
	for line := range strings.Lines(exposition) {
		found := sample.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		if metrics[found[1]] == nil {
			metrics[found[1]] = map[string]bool{"job": true, "instance": true, "namespace": true} // the scrape adds them
		}
		for _, l := range label.FindAllStringSubmatch(found[2], -1) {
			metrics[found[1]][l[1]] = true
		}
	}
	return metrics
}

// expressions returns every PromQL expression of dashboard and rules, by where it
// stands. What rules record counts as a metric that is there.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, g := range parse[ruleFile](t, read(t, "prometheus/rules.yml")).Groups {
		for _, r := range g.Rules {
			all["rules.yml: "+r.Alert+r.Record] = r.Expr
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Links   []struct{ URL string }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for i, target := range p.Targets {
			all[fmt.Sprintf("dashboard.json: %s %d", p.Title, i)] = target.Expr
		}
	}
	return all
}

// TestWhatDashboardAndRulesReadExists compares with a live gateway and, for what
// only failures bring about, with the exposition that the tests of the package
// metrics hold.
func TestWhatDashboardAndRulesReadExists(t *testing.T) {
	base := run(t)
	answers(t, base+"/services/echo")
	metrics := labelsOf(get(t, base+"/metrics") + "\n" + read(t, "../internal/metrics/testdata/metrics.txt"))
	selector := regexp.MustCompile(`\b((?:mdp_gateway|process)_\w+)(?:\{([^}]*)\})?`)
	grouping := regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
	label := regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"`)
	for where, expr := range expressions(t) {
		recorded := regexp.MustCompile(`\w+:mdp_gateway_\w+:\w+`).ReplaceAllString(expr, "recorded")
		known := make(map[string]bool)
		for _, found := range selector.FindAllStringSubmatch(recorded, -1) {
			if metrics[found[1]] == nil {
				t.Errorf("%s: there is no metric %s", where, found[1])
			}
			for l := range metrics[found[1]] {
				known[l] = true
			}
			for _, l := range label.FindAllStringSubmatch(found[2], -1) {
				if !metrics[found[1]][l[1]] {
					t.Errorf("%s: %s has no label %s", where, found[1], l[1])
				}
			}
		}
		for _, found := range grouping.FindAllStringSubmatch(recorded, -1) {
			for l := range strings.SplitSeq(found[1], ", ") {
				if !known[l] {
					t.Errorf("%s: no metric in it has the label %s", where, l)
				}
			}
		}
	}
}

func TestTheLinksOfTheDashboardLeadToTheRunbook(t *testing.T) {
	var anchors []string
	for _, name := range alerts(t) {
		anchors = append(anchors, strings.ToLower(name))
	}
	links := regexp.MustCompile(`\$\{runbook\}#(\w+)`).FindAllStringSubmatch(read(t, "grafana/dashboard.json"), -1)
	if len(links) == 0 {
		t.Error("there are no links")
	}
	for _, l := range links {
		if !strings.Contains(strings.Join(anchors, " ")+" ", l[1]+" ") {
			t.Errorf("the runbook has no section %s", l[1])
		}
	}
}

// TestPrometheusScrapesTheGatewayAndItsAlertsSeeALostBroker runs a real Prometheus.
func TestPrometheusScrapesTheGatewayAndItsAlertsSeeALostBroker(t *testing.T) {
	base := run(t, "--broker", "tcp://127.0.0.1:1") // beside the embedded one; nothing listens there
	answers(t, base+"/services/echo")
	prom := prometheus(t, strings.TrimPrefix(base, "http://"))
	want := map[string]string{
		`up{job="mdp-gateway"}`: "1",
		`mdp_gateway_broker_up{endpoint="tcp://127.0.0.1:1"} == 0`: "0",
		`mdp_gateway_requests_total{service="echo",outcome="ok"}`:  "1",
		`ALERTS{alertname="MdpGatewayBrokerDown"}`:                 "1",
	}
	for query, value := range want {
		for deadline := time.Now().Add(30 * time.Second); ; {
			got, ok := ask(t, prom, query)
			if ok && got == value {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: got %q, want %q", query, got, value)
				break
			}
			<-time.After(100 * time.Millisecond)
		}
	}
	for _, quiet := range []string{"MdpGatewayDown", "MdpGatewayPoolSaturated", "MdpGatewayConfigReloadFailed", "MdpGatewayBufferFull", "MdpGatewayBrokerSilent"} {
		if got, ok := ask(t, prom, `ALERTS{alertname="`+quiet+`"}`); ok {
			t.Errorf("%s fires: %s", quiet, got)
		}
	}
}

// prometheus runs Prometheus with our rules, every second, and returns its URL.
func prometheus(t *testing.T, target string) string {
	t.Helper()
	program, dir := tool(t, "prometheus"), t.TempDir()
	config := strings.NewReplacer("gateway:8081", target, "15s", "1s").Replace(read(t, "prometheus/prometheus.yml"))
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": read(t, "prometheus/rules.yml")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// It does not tell which port it took, so a free one is chosen for it.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	cmd := exec.Command(program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address, "--log.level=error")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); ; {
		if response, err := http.Get("http://" + address + "/-/ready"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("Prometheus is not ready")
		}
		<-time.After(100 * time.Millisecond)
	}
}

// ask returns the value of a query that has one.
func ask(t *testing.T, prom, query string) (value string, ok bool) {
	t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value []any } }
	}
	if err := json.Unmarshal([]byte(get(t, prom+"/api/v1/query?query="+url.QueryEscape(query))), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Data.Result) == 0 {
		return "", false
	}
	value, _ = answer.Data.Result[0].Value[1].(string)
	return value, true
}
