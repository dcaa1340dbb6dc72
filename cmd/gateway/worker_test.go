package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mdpgateway/internal/mdp/mdptest"
)

// bridged starts a gateway whose services may fail, and a worker of the service svc with
// these arguments. Stop ends the worker as SIGTERM does, and returns its exit code.
func bridged(t *testing.T, args ...string) (g *running, stop func() int) {
	t.Helper()
	g = startWith(t, "services:\n  svc: {errors: [{frame: 0, equals: \"\\u0006\", reason: failed}]}\n", nil, "--embedded").running
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"worker", "--broker", g.broker, "--service", "svc"}, args...), os.Environ(), io.Discard, io.Discard)
	}()
	ended := false
	stop = func() int {
		ended = true
		cancel()
		return <-code
	}
	t.Cleanup(func() {
		if !ended {
			stop()
		}
	})
	mdptest.WaitForService(t, g.broker, "svc")
	return g, stop
}

func TestAProgramIsAService(t *testing.T) {
	script := `read line; [ "$line" != fail ] || exit 4; echo -n "$line $MDP_VARS $1"`
	g, stop := bridged(t, "--exec", `/bin/sh -c '`+script+`' sh "a b"`)
	a := g.post("svc", `{"body":"hello\n","vars":{"sf":7,"on":true}}`)
	if got, want := fmt.Sprint(a.data()), `[hello {"sf":7,"on":true} a b]`; a.status != http.StatusOK || got != want {
		t.Errorf("got %d %s, want %s", a.status, a.body, want)
	}
	a = g.post("svc", `{"body":"fail\n"}`)
	problem(t, a, 502, "worker_error", "yes")
	if a.json("reason") != "failed" || !strings.Contains(string(a.body), "exit status 4") {
		t.Errorf("got %s, want the exit status", a.body)
	}
	if code := stop(); code != exitOK {
		t.Errorf("the worker's exit code is %d, want 0", code)
	}
}

func TestFramesAreArgumentsThatNoShellReads(t *testing.T) {
	g, _ := bridged(t, "--input", "args", "--vars", "none", "--shell", "--exec", `printf '<%s>' "$@" | tr a-z A-Z`)
	a := g.post("svc", `{"body":"$(touch /tmp/x); --shell"}`)
	if got := fmt.Sprint(a.data()); got != "[<$(TOUCH /TMP/X); --SHELL><{}>]" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestAnHTTPServerIsAService(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(body) == 0 {
			http.Error(w, "empty", http.StatusTeapot)
			return
		}
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("Content-Type"), r.URL.Query().Get("vars"), bytes.ToUpper(body))
	}))
	t.Cleanup(server.Close)
	g, _ := bridged(t, "--http", server.URL, "--vars-in", "query", "--content-type", "text/plain", "--dialect", "mdp/0.2")
	if a := g.post("svc", `{"body":"hello","vars":{"sf":7}}`); fmt.Sprint(a.data()) != `[text/plain {"sf":7} HELLO]` {
		t.Errorf("got %d %s", a.status, a.body)
	}
	a := g.post("svc", `{}`)
	problem(t, a, 502, "worker_error", "yes")
	if !strings.Contains(string(a.body), "HTTP status 418") {
		t.Errorf("got %s, want the status", a.body)
	}
}

// holdOn is a script that says where it runs, and goes on once a file is there.
func holdOn(dir string) string {
	return fmt.Sprintf(`grep SigIgn /proc/self/status > %[1]s/ignored; echo $$ > %[1]s/pid.new; mv %[1]s/pid.new %[1]s/pid; while [ ! -e %[1]s/go ]; do sleep 0.01; done; echo -n done`, dir)
}

func awaitPid(t *testing.T, dir string) (pid int) {
	t.Helper()
	eventually(t, "the program runs", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	return pid
}

func TestAWorkerThatIsToldToStopFinishesItsRequest(t *testing.T) {
	dir := t.TempDir()
	g, stop := bridged(t, "--shell", "--exec", holdOn(dir), "--concurrency", "1")
	answer := make(chan answered, 1)
	go func() { answer <- g.post("svc", `{}`) }()
	awaitPid(t, dir)
	code := make(chan int, 1)
	go func() { code <- stop() }()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := <-answer; fmt.Sprint(a.data()) != "[done]" {
		t.Errorf("got %d %s, want done", a.status, a.body)
	}
	if c := <-code; c != exitOK {
		t.Errorf("the worker's exit code is %d, want 0", c)
	}
}

func TestAWorkerThatIsKilledTakesItsProgramAlong(t *testing.T) {
	dir := t.TempDir()
	g := start(t, "--embedded", "--timeout", "1s")
	cmd := exec.Command(os.Args[0], "worker", "--broker", g.broker, "--service", "svc", "--shell", "--exec", holdOn(dir))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	cmd.Env = append(os.Environ(), asProgram+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	mdptest.WaitForService(t, g.broker, "svc")
	answer := make(chan answered, 1)
	go func() { answer <- g.post("svc", `{}`) }()
	pid := awaitPid(t, dir)
	var ignored uint64
	status, err := os.ReadFile(filepath.Join(dir, "ignored"))
	if err == nil {
		_, err = fmt.Sscanf(string(status), "SigIgn: %x", &ignored)
	}
	const libc = 3 << 31 // signals 32 and 33 are glibc's own, and what make starts ignores them
	if err != nil || ignored&^libc != 0 {
		t.Errorf("the program ignores signals: %s, %v", status, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the program has ended", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	// Whether the broker finds out first is a matter of time.
	if a := <-answer; a.json("code") != "timeout" && a.json("reason") != "worker_lost" || a.json("executed") != "maybe" {
		t.Errorf("got %d %s, want a time-out or a worker that was lost, executed maybe", a.status, a.body)
	}
}

func TestWorkerFlagsThatContradictEachOtherAreRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--exec", "cat"}, `--service is "", want the name of the service that --exec or --http serves`},
		{[]string{"--service", "x"}, `--service is "x", want --exec or --http beside it`},
		{[]string{"--service", "mmi.x", "--exec", "cat"}, `--service is "mmi.x", want the name of a service: 1 to 255 bytes without NUL, not mmi.*`},
		{[]string{"--service", "x", "--exec", "cat", "--http", "http://u:p@a/"}, `--http is "http://xxxxx@a/", want only one of --exec and --http`},
		{[]string{"--service", "x", "--http", "ftp://a"}, `--http is "ftp://a", want a URL such as http://127.0.0.1:9000/work`},
		{[]string{"--service", "x", "--exec", "cat | sh"}, `--exec is "cat | sh", want no ; & | < > outside of quotes, or --shell`},
		{[]string{"--service", "x", "--exec", "cat 'x"}, `--exec is "cat 'x", want quotes that are closed, and no ( ) outside of them`},
		{[]string{"--service", "x", "--exec", " "}, `--exec is " ", want a program`},
		{[]string{"--service", "x", "--exec", "/nowhere/x"}, `--exec is "/nowhere/x", want a program that is there: stat /nowhere/x: no such file or directory`},
		{[]string{"--service", "x", "--exec", "cat", "--input", "file"}, `--input is "file", want one of stdin, args`},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"worker"}, c.args...), nil, io.Discard, &stderr); code != exitUsage || stderr.String() != "gateway: "+c.want+"\n" {
			t.Errorf("%q: got %d %s, want %s", c.args, code, stderr.String(), c.want)
		}
	}
}
