package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const unitFile = "systemd/mdp-gateway.service"

// installed writes a unit to where a test may have it, with a program that is
// there in place of the gateway, and returns its path.
func installed(t *testing.T, unit string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	unit = strings.ReplaceAll(unit, "ExecStart=/usr/local/bin/mdp-gateway ", "ExecStart="+program+" ")
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// complaints returns what systemd has to say of a unit. Its exit code is no
// help: it is 0 where a key is unknown.
func complaints(t *testing.T, unit string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(tool(t, "systemd-analyze"), "verify", "--man=no", installed(t, unit))
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err != nil && stderr.Len() == 0 {
		t.Fatal(err)
	}
	return stderr.String()
}

func TestSystemdHasNothingToSayOfTheUnit(t *testing.T) {
	if got := complaints(t, read(t, unitFile)); got != "" {
		t.Errorf("systemd-analyze verify: %s", got)
	}
}

func TestSystemdWouldComplainOfAnUnknownKey(t *testing.T) {
	unit := strings.Replace(read(t, unitFile), "DynamicUser=", "DynamikUser=", 1)
	if got := complaints(t, unit); !strings.Contains(got, "DynamikUser") {
		t.Errorf("got %q, want a complaint of DynamikUser", got)
	}
}

func TestTheUnitIsHardened(t *testing.T) {
	out, err := exec.Command(tool(t, "systemd-analyze"), "security", "--no-pager", "--offline=yes", installed(t, read(t, unitFile))).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("no exposure level in %s", out)
	}
	if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 2.0 {
		t.Errorf("exposure level %s, want at most 2.0\n%s", found[1], out)
	}
}
