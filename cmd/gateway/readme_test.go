package main

import (
	"fmt"
	"os"
	"path/filepath"
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
	_, printed, _ := gateway(t, "serve --check", nil, "")
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
