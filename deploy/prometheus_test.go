package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A ruleFile is what Prometheus reads, as far as the tests look at it.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Record, Alert, Expr string
			Annotations         map[string]string
		}
	}
}

// A ruleTests is what promtool test rules reads.
type ruleTests struct {
	Tests []struct {
		Cases []struct {
			Alert    string `yaml:"alertname"`
			Expected []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

func parse[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// alerts returns the names of all alerts.
func alerts(t *testing.T) (names []string) {
	t.Helper()
	for _, g := range parse[ruleFile](t, read(t, "prometheus/rules.yml")).Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				names = append(names, r.Alert)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("there are no alerts")
	}
	return names
}

// promtool runs promtool in a copy of deploy/prometheus, edited first.
func promtool(t *testing.T, edit func(rules string) string, args ...string) (string, error) {
	t.Helper()
	program, dir := tool(t, "promtool"), t.TempDir()
	for _, name := range []string{"prometheus.yml", "rules.yml", "rules_test.yml"} {
		text := read(t, "prometheus/"+name)
		if name == "rules.yml" && edit != nil {
			text = edit(text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPrometheusAcceptsTheConfigurationAndTheRules(t *testing.T) {
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "--lint=all", "--lint-fatal", "rules.yml"},
	} {
		if out, err := promtool(t, nil, args...); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

func TestEachAlertFiresWhenItShouldAndOnlyThen(t *testing.T) {
	if out, err := promtool(t, nil, "test", "rules", "rules_test.yml"); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, test := range parse[ruleTests](t, read(t, "prometheus/rules_test.yml")).Tests {
		for _, c := range test.Cases {
			if len(c.Expected) > 0 {
				fires[c.Alert] = true
			} else {
				quiet[c.Alert] = true
			}
		}
	}
	for _, name := range alerts(t) {
		if !fires[name] || !quiet[name] {
			t.Errorf("%s has a case where it fires: %v, one where it does not: %v; want both", name, fires[name], quiet[name])
		}
	}
}

// TestTheCasesOfTheAlertsCanFail breaks all alerts: one whose expression never,
// or always, holds must be noticed.
func TestTheCasesOfTheAlertsCanFail(t *testing.T) {
	for _, broken := range []string{"vector(1) < 0", "vector(1)"} {
		edit := func(rules string) string { return replaceAlerts(t, rules, broken) }
		out, err := promtool(t, edit, "test", "rules", "rules_test.yml")
		if err == nil {
			t.Errorf("with the expression %s the cases passed, want them to fail", broken)
		}
		for _, name := range alerts(t) {
			if !strings.Contains(out, "alertname: "+name+",") {
				t.Errorf("%s with the expression %s: its cases passed, want them to fail", name, broken)
			}
		}
	}
}

// replaceAlerts gives every alert another expression.
func replaceAlerts(t *testing.T, rules, expr string) string {
	t.Helper()
	doc := parse[map[string]any](t, rules)
	for _, g := range doc["groups"].([]any) {
		for _, r := range g.(map[string]any)["rules"].([]any) {
			if rule := r.(map[string]any); rule["alert"] != nil {
				rule["expr"] = expr
			}
		}
	}
	out, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestEachAlertHasItsSectionInTheRunbook(t *testing.T) {
	runbook := read(t, "../docs/runbook.md")
	var sections []string
	for _, found := range regexp.MustCompile(`(?m)^## (MdpGateway\w+)$`).FindAllStringSubmatch(runbook, -1) {
		sections = append(sections, found[1])
	}
	for _, g := range parse[ruleFile](t, read(t, "prometheus/rules.yml")).Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			if want := "docs/runbook.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
				t.Errorf("%s: runbook is %q, want %q", r.Alert, r.Annotations["runbook"], want)
			}
			if !slices.Contains(sections, r.Alert) {
				t.Errorf("docs/runbook.md has no section ## %s", r.Alert)
			}
		}
	}
	names := alerts(t)
	for _, s := range sections {
		if !slices.Contains(names, s) {
			t.Errorf("docs/runbook.md has the section %s, and there is no such alert", s)
		}
	}
}
