package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"mdpgateway/internal/mdp/mdptest"
)

// spawnUnread runs the program in a process of its own, with a stdout and a stderr whose
// reader is gone.
func spawnUnread(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader.Close()
	cmd := exec.Command(os.Args[0], args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// The reader of a log may end before the program does, as tee or logger may: the write that
// fails then must not raise SIGPIPE.
func TestNoCommandEndsWhenTheReaderOfItsOutputIsGone(t *testing.T) {
	dir := t.TempDir()
	var registered atomic.Bool
	router := mdptest.NewRouter(t, func([]byte, [][]byte) [][][]byte {
		registered.Store(true)
		return nil
	})
	bound := func(name string) func() bool {
		return func() bool {
			_, err := os.Stat(filepath.Join(dir, name))
			return err == nil
		}
	}
	for name, c := range map[string]struct {
		args   []string
		starts func() bool // whether it handles signals
	}{
		"serve":  {[]string{"serve", "--listen", "127.0.0.1:0", "--embedded-bind", "ipc://" + filepath.Join(dir, "serve")}, bound("serve")},
		"broker": {[]string{"broker", "--bind", "ipc://" + filepath.Join(dir, "broker")}, bound("broker")},
		"worker": {[]string{"worker", "--broker", router.Endpoint()}, registered.Load},
	} {
		cmd := spawnUnread(t, c.args...)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		eventually(t, name+" starts or ends", func() bool { return c.starts() || len(ended) > 0 })
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("%s: %v, want exit code 0 at SIGTERM", name, err)
		}
	}
}

func TestACallWhoseReplyNobodyReadsFails(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "echo", echoBack)
	body := write(t, t.TempDir(), "body", "hi")
	err := spawnUnread(t, "call", "echo", body, "--broker", broker).Wait()
	if got, want := fmt.Sprint(err), "exit status 1"; got != want {
		t.Errorf("it ends with %s, want %s", got, want)
	}
}
