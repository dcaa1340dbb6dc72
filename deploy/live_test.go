package deploy_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

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

// TestTheDocumentsNameMetricsAndFlagsThatThereAre looks for what an operator would
// paste at night.
func TestTheDocumentsNameMetricsAndFlagsThatThereAre(t *testing.T) {
	help, err := exec.Command(gateway(t), "serve", "--help-all").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	known := string(help) + read(t, "../internal/metrics/testdata/metrics.txt") + read(t, "prometheus/rules.yml")
	foreign := regexp.MustCompile(`(?m)^.*\b(kubectl|docker|nginx|systemctl|make|curl|journalctl|gateway call)\b.*$`)
	for _, name := range []string{"../docs/runbook.md", "../docs/operations.md"} {
		text := read(t, name)
		names := regexp.MustCompile(`[\w:]*\bmdp_gateway_\w+[\w:]*|\b\w+:mdp_gateway_[\w:]+`).FindAllString(text, -1)
		names = append(names, regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(foreign.ReplaceAllString(text, ""), -1)...)
		if len(names) < 20 {
			t.Errorf("%s: only %v were found", name, names)
		}
		for _, n := range names {
			if !strings.Contains(known, n) {
				t.Errorf("%s: there is no %s", name, n)
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
