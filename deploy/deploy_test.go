// Package deploy_test checks the files of this directory with the tools that
// will read them, and against the gateway that they speak of.
//
// Some tools are missing on most machines: their tests are skipped there, but
// not under make deploy-check, which installs the tools first and requires them.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// required is set in the environment by make deploy-check.
const required = "MDP_DEPLOY_TOOLS_REQUIRED"

// built is where make deploy-check puts the tools that are Go programs, and what
// it makes with them.
const built = "../bin/deploy"

// tool returns the path of a program, and skips the test where it is missing.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := filepath.Abs(filepath.Join(built, name)); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv(required) != "" {
		t.Fatalf("%v; run make deploy-setup", err)
	}
	t.Skipf("%v; make deploy-check installs it", err)
	return ""
}

// read returns a file of this directory.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// gateway builds the gateway and returns its path.
func gateway(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../cmd/gateway").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}
