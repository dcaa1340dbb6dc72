package deploy_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// allowed returns the system calls that the filters of a unit allow.
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

// TestTheUnitsAllowTheSystemCallsOfTheirPrograms traces each program from start to
// end. libzmq ends the process if some of its calls are refused.
func TestTheUnitsAllowTheSystemCallsOfTheirPrograms(t *testing.T) {
	t.Run("gateway", func(t *testing.T) {
		wantAllowed(t, gatewayUnit, func(p *process) { answers(t, p.api(t)+"/services/echo") },
			"serve", "--listen", "127.0.0.1:0", "--embedded", "--embedded-bind", "tcp://127.0.0.1:*", "--broker", "tcp://localhost:1")
	})
	t.Run("broker", func(t *testing.T) {
		wantAllowed(t, brokerUnit, func(p *process) {
			endpoint := p.logged(t, "endpoint", `"broker listens"`)
			start(t, "worker", "--broker", endpoint)
			g := start(t, "serve", "--listen", "127.0.0.1:0", "--broker", endpoint)
			answers(t, g.api(t)+"/services/echo")
		}, "broker", "--bind", "tcp://127.0.0.1:*")
	})
}

// wantAllowed runs a program as long as use does, and compares its system calls with
// those that a unit allows.
func wantAllowed(t *testing.T, unit string, use func(p *process), args ...string) {
	t.Helper()
	strace, trace := tool(t, "strace"), filepath.Join(t.TempDir(), "trace")
	tool(t, "systemd-analyze")
	cmd := exec.Command(strace, append([]string{"-f", "-qq", "-o", trace, gateway(t)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := launch(t, cmd)
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	use(p)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	may, seen := allowed(t, read(t, unit)), make(map[string]bool)
	for _, found := range regexp.MustCompile(`(?m)^\d+ +(?:<\.\.\. )?([a-z0-9_]+)[( ]`).FindAllStringSubmatch(read(t, trace), -1) {
		seen[found[1]] = true
	}
	if !seen["epoll_ctl"] {
		t.Errorf("the trace shows only %d system calls", len(seen))
	}
	for call := range seen {
		if !may[call] {
			t.Errorf("%s calls %s, which %s does not allow", args[0], call, unit)
		}
	}
}
