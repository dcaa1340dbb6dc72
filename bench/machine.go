package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// A machine describes the computer of a run and its software.
type machine struct {
	CPU      string   `json:"cpu"`
	Kernel   string   `json:"kernel"`
	Load     string   `json:"load"` // before the run
	Versions []string `json:"versions"`
}

func thisMachine(ctx context.Context, gateway string) machine {
	m := machine{Load: loadAverage(), Kernel: firstLine(ctx, "uname", "-sr")}
	info, _ := os.ReadFile("/proc/cpuinfo")
	model := regexp.MustCompile(`model name\s*: (.*)`).FindStringSubmatch(string(info))
	name := runtime.GOARCH
	if model != nil {
		name = model[1]
	}
	m.CPU = fmt.Sprintf("%d × %s", runtime.NumCPU(), name)
	m.Versions = append(m.Versions, runtime.Version())
	for _, command := range [][]string{
		{gateway, "version"},
		{"wrk", "-v"},
		{python, "-c", "import sys, zmq; print('Python', sys.version.split()[0], 'pyzmq', zmq.__version__, 'libzmq', zmq.zmq_version())"},
		{python, "-c", "import aiohttp; print('aiohttp', aiohttp.__version__)"},
		{python, "-c", "import flask, gunicorn; print('Flask', flask.__version__, 'gunicorn', gunicorn.__version__)"},
		{"pushpin", "--version"},
		{"/usr/sbin/nginx", "-v"},
	} {
		if line := firstLine(ctx, command...); line != "" {
			m.Versions = append(m.Versions, line)
		}
	}
	return m
}

// checkCommit returns an error for a gateway that nobody can build again, since its
// figures could not be repeated.
func checkCommit(ctx context.Context, gateway string) error {
	version := strings.Fields(firstLine(ctx, gateway, "version"))
	head := firstLine(ctx, "git", "describe", "--tags", "--always", "--dirty")
	switch {
	case len(version) < 2:
		return fmt.Errorf("%s does not tell its version", gateway)
	case version[1] != head || strings.HasSuffix(head, "-dirty"):
		return fmt.Errorf("the gateway is of %s and the tree is %s, want both of the same commit: commit and build, or set BENCH_ONLY", version[1], head)
	}
	return nil
}

// firstLine returns the first line that a command prints, "" if there is no such
// command. The exit code does not matter: some print their version and fail.
func firstLine(ctx context.Context, command ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	out, err := cmd.CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	if err != nil && strings.Contains(string(out), "Error") {
		return ""
	}
	return strings.TrimSpace(line)
}

func loadAverage() string {
	data, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(data))
	if len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}
