package internal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// builders are the programs that a build needs, of those that scripts/setup.sh looks
// for, and what the script itself calls.
var builders = []string{"bash", "basename", "dirname", "sed", "make", "gcc", "as", "ld", "pkg-config", "go"}

// setup runs scripts/setup.sh on a machine that has only the builders.
func setup(t *testing.T, word string) (string, error) {
	t.Helper()
	bin := t.TempDir()
	for _, name := range builders {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("building needs %s: %v", name, err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "bash"), "../scripts/setup.sh", word)
	cmd.Env = []string{"PATH=" + bin}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A user who only builds and runs the gateway is not asked for what tests need.
func TestBuildingNeedsNothingThatOnlyTestsNeed(t *testing.T) {
	if out, err := setup(t, "run"); err != nil || out != "" {
		t.Errorf("setup.sh run: %v, %q, want it to find all that it needs", err, out)
	}
	out, err := setup(t, "test")
	if err == nil || !strings.Contains(out, "setup: missing curl openssl iproute2") {
		t.Errorf("setup.sh test: %v, %q, want it to miss curl, openssl and iproute2", err, out)
	}
}

// What a person pastes first must not install the tests' needs by a detour.
func TestMakeRunAsksForWhatRunningNeeds(t *testing.T) {
	for target, want := range map[string]string{"run": "setup.sh run", "test": "setup.sh test"} {
		cmd := exec.Command("make", "--dry-run", "--no-print-directory", target)
		cmd.Dir = ".."
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Count(string(out), "setup.sh") != 1 || !strings.Contains(string(out), want) {
			t.Errorf("make %s: %v, want %s and no other setup:\n%s", target, err, want, out)
		}
	}
}
