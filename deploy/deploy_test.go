// Package deploy_test checks the files of this directory with the tools that
// will read them, and against the gateway that they speak of.
//
// Some tools are missing on most machines: their tests are skipped there, but
// not under make deploy-check, which installs the tools first and requires them.
package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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

// programs is where the tests put the programs that they build.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "deploy"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// buildGateway builds the gateway once for all tests.
var buildGateway = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(programs, "gateway")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../cmd/gateway").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// gateway returns the path of the gateway.
func gateway(t *testing.T) string {
	t.Helper()
	path, err := buildGateway()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
