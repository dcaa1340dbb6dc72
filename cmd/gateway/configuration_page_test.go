package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// configurationPage is where the settings are documented.
const configurationPage = "docs/configuration.md"

func readConfigurationPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", configurationPage))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestThePageHasEverySettingWithItsDefault holds its table against what --check
// prints. Defaults that follow from other settings are told in words.
func TestThePageHasEverySettingWithItsDefault(t *testing.T) {
	page := readConfigurationPage(t)
	_, printed, _ := runGateway(t, "serve --check", nil, "")
	for line := range strings.Lines(printed) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		row := fmt.Sprintf("\n| `--%s` | `%s` | ", name, value)
		switch name {
		case "otlp-endpoint", "admin-listen", "embedded", "allowed-hosts", "access", "access-file", "audit-log", "keys-file", "cors-origin",
			"dialect", "jobs", "jobs-nats-creds", "jobs-nats-ca", "jobs-in-flight", "jobs-max-bytes", "max-connections", "max-connections-per-peer", "max-requests", "trusted-proxies",
			"curve-key-file", "curve-allowed", "tls-cert", "tls-key", "tls-client-ca", "tls-client-auth", "tls-client-crl":
			row = fmt.Sprintf("\n| `--%s` | | ", name)
		}
		if !strings.Contains(page, row) {
			t.Errorf(configurationPage+" has no row %q", strings.TrimSpace(row))
		}
	}
}

// TestThePagesFileIsTaken holds that the first file of the page starts a gateway, and
// that it has every key of a service and of a rule.
func TestThePagesFileIsTaken(t *testing.T) {
	_, block, _ := strings.Cut(readConfigurationPage(t), "\n```yaml\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !closed {
		t.Fatal(configurationPage + " has no YAML")
	}
	if code, _, stderr := runGateway(t, "serve --check --config FILE", nil, block); code != exitOK || stderr != "" {
		t.Errorf("exit code %d, %s, for\n%s", code, stderr, block)
	}
	keys := []string{"frame", "equals", "reason", "status", "detail"}
	for _, key := range slices.AppendSeq(keys, maps.Keys(keyEffects)) {
		if !strings.Contains(block, " "+key+": ") && !strings.Contains(block, "{"+key+": ") && !strings.Contains(block, " "+key+":\n") {
			t.Errorf(configurationPage+" does not show the key %s", key)
		}
	}
}
