package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// allowed returns the system calls that the filters of a unit let through.
func allowed(t *testing.T, unit string) map[string]bool {
	t.Helper()
	calls := make(map[string]bool)
	for _, filter := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllStringSubmatch(unit, -1) {
		for name := range strings.FieldsSeq(filter[2]) {
			for _, call := range members(t, name) {
				calls[call] = filter[1] == ""
			}
		}
	}
	return calls
}

// members returns the system calls of a set as systemd knows it, or the one of
// that name.
func members(t *testing.T, name string) (calls []string) {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	out, err := exec.Command(tool(t, "systemd-analyze"), "syscall-filter", "--no-pager", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if line == "" || line == name || strings.HasPrefix(line, "#") {
			continue
		}
		calls = append(calls, members(t, line)...)
	}
	return calls
}

// TestTheUnitAllowsTheSystemCallsOfTheGateway traces a gateway from start to end.
// libzmq answers some refusals by ending the process.
func TestTheUnitAllowsTheSystemCallsOfTheGateway(t *testing.T) {
	strace, trace := tool(t, "strace"), filepath.Join(t.TempDir(), "trace")
	tool(t, "systemd-analyze")
	cmd := exec.Command(strace, "-f", "-qq", "-o", trace, gateway(t),
		"serve", "--listen", "127.0.0.1:0", "--embedded", "--embedded-bind", "tcp://127.0.0.1:*", "--broker", "tcp://localhost:1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := launch(t, cmd)
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	answers(t, p.api(t)+"/services/echo")
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	may, seen := allowed(t, read(t, unitFile)), make(map[string]bool)
	for _, found := range regexp.MustCompile(`(?m)^\d+ +(?:<\.\.\. )?([a-z0-9_]+)[( ]`).FindAllSubmatch(data, -1) {
		seen[string(found[1])] = true
	}
	if !seen["epoll_ctl"] {
		t.Errorf("the trace shows only %d system calls", len(seen))
	}
	for call := range seen {
		if !may[call] {
			t.Errorf("the gateway calls %s, which the unit does not allow", call)
		}
	}
}
