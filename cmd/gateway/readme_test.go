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

// TestTheReadmeHasEverySettingWithItsDefault holds its table against what --check
// prints. Defaults that follow from other settings are told in words.
func TestTheReadmeHasEverySettingWithItsDefault(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, printed, _ := runGateway(t, "serve --check", nil, "")
	for line := range strings.Lines(printed) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		row := fmt.Sprintf("\n| `--%s` | `%s` | ", name, value)
		switch name {
		case "otlp-endpoint", "admin-listen", "embedded", "allowed-hosts", "keys-file", "cors-origin":
			row = fmt.Sprintf("\n| `--%s` | | ", name)
		}
		if !strings.Contains(string(readme), row) {
			t.Errorf("README.md has no row %q", strings.TrimSpace(row))
		}
	}
}

// TestTheReadmesFileIsTaken holds that the file of its section Configuration starts a
// gateway, and that it has every key of a service and of a rule.
func TestTheReadmesFileIsTaken(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Configuration\n")
	_, block, _ := strings.Cut(section, "\n```yaml\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !closed {
		t.Fatal("README.md has no YAML in its section Configuration")
	}
	if code, _, stderr := runGateway(t, "serve --check --config FILE", nil, block); code != exitOK || stderr != "" {
		t.Errorf("exit code %d, %s, for\n%s", code, stderr, block)
	}
	keys := []string{"frame", "equals", "reason", "status", "detail"}
	for _, key := range slices.AppendSeq(keys, maps.Keys(keyEffects)) {
		if !strings.Contains(block, " "+key+": ") && !strings.Contains(block, "{"+key+": ") && !strings.Contains(block, " "+key+":\n") {
			t.Errorf("README.md does not show the key %s", key)
		}
	}
}
