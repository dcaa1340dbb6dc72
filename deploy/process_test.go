package deploy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long the tests wait for what must happen.
const patience = 2 * time.Minute

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// A process is a gateway, or another of its commands, that runs on its own.
type process struct {
	*exec.Cmd
	mu  sync.Mutex
	log []string // guarded by mu
}

// launch starts a process, which is killed when the test ends.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // also if the test is killed
	p := &process{Cmd: cmd}
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the log of %s:\n%s", cmd.Path, strings.Join(p.log, "\n"))
		}
	})
	return p
}

// start runs the gateway's program.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(gateway(t), args...))
}

// logged waits for a line of the log that has all of these texts, and returns its
// field.
func (p *process) logged(t *testing.T, field string, texts ...string) (value string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the log has a line with %q", texts), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
	lines:
		for _, text := range p.log {
			for _, want := range texts {
				if !strings.Contains(text, want) {
					continue lines
				}
			}
			var line map[string]any
			if json.Unmarshal([]byte(text), &line) == nil {
				value = fmt.Sprint(line[field])
				return true
			}
		}
		return false
	})
	return value
}

// api returns the URL of a gateway's API once it serves.
func (p *process) api(t *testing.T) string {
	t.Helper()
	p.logged(t, "msg", `"ready for calls"`)
	return "http://" + p.logged(t, "address", `"listening"`, `"api"`)
}

// run starts a gateway with its embedded broker, and returns its URL.
func run(t *testing.T, args ...string) string {
	t.Helper()
	return start(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--embedded", "--embedded-bind", "tcp://127.0.0.1:*"}, args...)...).api(t)
}

func get(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// post makes a call and returns its status and body.
func post(t *testing.T, url, key, body string, header ...string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error() // the gateway has been killed
	}
	defer response.Body.Close()
	data, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(data)
}

// answers waits until a service answers.
func answers(t *testing.T, url string) {
	t.Helper()
	eventually(t, url+" answers", func() bool {
		status, answer := post(t, url, "", `{"body":"hello"}`)
		return status == http.StatusOK && strings.Contains(answer, "hello")
	})
}
