package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mdpgateway/internal/mdp/mdptest"
)

// TestAPythonWorkerIsReachableAtOnce runs the worker of examples/python as it is.
// It reads its vars with ast.literal_eval and dies of none that are missing.
func TestAPythonWorkerIsReachableAtOnce(t *testing.T) {
	g := start(t)
	worker := exec.Command("/usr/bin/python3", filepath.Join("..", "..", "examples", "python", "worker.py"), "--broker", g.broker, "--service", "lora")
	worker.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatalf("this test needs Debian's python3 and python3-zmq: %v", err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		_ = worker.Wait()
	})
	mdptest.WaitForService(t, g.broker, "lora")

	a := g.post("lora", `{"body":"samples","vars":{"sf":7,"has_crc":false,"sync_words":[8,16],"name":"Zoë 😀","gain":1e-3}}`)
	const vars = `{'sf': 7, 'has_crc': False, 'sync_words': [8, 16], 'name': 'Zoë 😀', 'gain': 0.001}`
	if got := fmt.Sprint(a.data()); a.status != 200 || got != "[samples "+asciiRepr(vars)+"]" {
		t.Errorf("got %d %s, want the vars as Python read them: %s", a.status, a.body, vars)
	}
	if a = g.post("lora", `{"body":"no vars"}`); a.status != 200 {
		t.Errorf("without vars: got %d %s", a.status, a.body)
	}
	samples := string([]byte{0, 255, 128, 65, 10, 13})
	a = request(t, newClient(t), http.MethodPost, g.url+"/services/lora?frame=0", "application/octet-stream", samples, "Flowgraph-Vars", `{"sf":7}`)
	if a.status != 200 || string(a.body) != samples {
		t.Errorf("raw: got %d %q, want %q", a.status, a.body, samples)
	}
}

// asciiRepr writes what is not ASCII as Python's backslashreplace does.
func asciiRepr(s string) (ascii string) {
	for _, r := range s {
		switch {
		case r < 0x80:
			ascii += string(r)
		case r < 0x100:
			ascii += fmt.Sprintf(`\x%02x`, r)
		case r < 0x10000:
			ascii += fmt.Sprintf(`\u%04x`, r)
		default:
			ascii += fmt.Sprintf(`\U%08x`, r)
		}
	}
	return ascii
}

// TestAPythonModuleServesWhatItsPageShows runs the first program of docs/workers.md, with
// mdpworker.py beside it, at an embedded broker.
func TestAPythonModuleServesWhatItsPageShows(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "workers.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(page), "\n```python\n")
	program, _, _ = strings.Cut(program, "\n```\n")
	module, err := os.ReadFile(filepath.Join("..", "..", "examples", "python", "mdpworker.py"))
	if err != nil {
		t.Fatal(err)
	}
	g := startWith(t, "services:\n  upper: {errors: [{frame: 0, equals: \"\\u0006\", reason: failed}]}\n  count: {}\n", nil, "--embedded").running
	program = strings.ReplaceAll(program, `"tcp://127.0.0.1:5555"`, fmt.Sprintf(`%q, dialect="mdp/0.2"`, g.broker))
	dir := t.TempDir()
	write(t, dir, "mdpworker.py", string(module))
	worker := exec.Command("/usr/bin/python3", write(t, dir, "program.py", program))
	worker.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatalf("this test needs Debian's python3 and python3-zmq: %v", err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		_ = worker.Wait()
	})
	mdptest.WaitForService(t, g.broker, "upper")
	mdptest.WaitForService(t, g.broker, "count")
	if a := g.post("upper", `{"body":"hello"}`); fmt.Sprint(a.data()) != "[HELLO]" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	a := g.post("upper", `{}`)
	problem(t, a, 502, "worker_error", "yes")
	if !strings.Contains(string(a.body), "there is nothing to do") {
		t.Errorf("got %s, want the text of the failure", a.body)
	}
	a = g.post("count", `{"vars":{"n":3}}`, "Accept", "application/x-ndjson")
	want := ""
	for i := range 3 {
		want += fmt.Sprintf(`{"event":"partial","seq":%d,"frames":[{"data":%s,"encoding":"text"}]}`+"\n", i, strconv.Quote(strconv.Itoa(i)))
	}
	want += `{"event":"final","seq":3,"frames":[{"data":"done","encoding":"text"}]}` + "\n"
	if string(a.body) != want {
		t.Errorf("got\n%s\nwant\n%s", a.body, want)
	}
}
