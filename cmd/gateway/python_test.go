package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
