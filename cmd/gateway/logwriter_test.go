package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A stalled place takes nothing until it is released.
type stalled struct {
	writes
	reached  chan struct{} // closed by the first write
	first    sync.Once
	released chan struct{}
}

func newStalled() *stalled {
	return &stalled{reached: make(chan struct{}), released: make(chan struct{})}
}

func (s *stalled) Write(p []byte) (int, error) {
	s.first.Do(func() { close(s.reached) })
	<-s.released
	return s.writes.Write(p)
}

func TestALogThatStallsMakesNobodyWaitAndSaysWhatItDropped(t *testing.T) {
	w := newStalled()
	l, _ := newTestLogs(t, w)
	l.main.Info("first")
	<-w.reached
	const count = 100_000
	for i := range count { // more than mostWaiting
		l.requests.Info(fmt.Sprint("request ", i))
	}
	l.main.Error("dropped, too")
	close(w.released)
	told := func() bool { return strings.Contains(w.messages(), "dropped, since") }
	eventually(t, "the log tells what was dropped", told)
	l.main.Info("again")
	l.close()

	var lines []string
	for _, write := range w.all {
		lines = append(lines, strings.Split(strings.TrimSpace(write), "\n")...)
	}
	kept := len(lines) - 3
	if kept < count/10 || kept >= count {
		t.Fatalf("%d of %d lines were kept, want those that have room", kept, count)
	}
	for i, want := range map[int]string{
		0: `"msg":"first"`, 1: `"msg":"request 0"`, kept: fmt.Sprintf(`"msg":"request %d"`, kept-1),
		kept + 1: fmt.Sprintf(`"lines":%d}`, count+1-kept), kept + 2: `"msg":"again"`,
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %s, want %s", i, lines[i], want)
		}
	}
}

// A refusal is the line of a stranger's request.
type refusal struct{}

func (refusal) MarshalLogObject(zapcore.ObjectEncoder) error { return nil }
func (refusal) Dispensable() bool                            { return true }

func TestTheLinesOfStrangersAreTheFirstToBeDropped(t *testing.T) {
	w := newStalled()
	l, _ := newTestLogs(t, w)
	l.main.Info("first")
	<-w.reached
	line := zap.String("text", strings.Repeat("x", 1000))
	for range 3000 { // between half of mostWaiting and all of it
		l.requests.Warn("valid", line)
	}
	l.requests.Warn("refused", zap.Inline(refusal{}))
	l.requests.Warn("last", line)
	close(w.released)
	l.close()
	got := w.messages()
	if strings.Contains(got, "refused") || !strings.Contains(got, "last") || strings.Count(got, "valid") != 3000 {
		t.Errorf("got %.100s … %s, want every line but the refused one", got, got[max(0, len(got)-100):])
	}
	if all := strings.Join(w.all, ""); !strings.Contains(all, `"lines":1}`) {
		t.Error("the log does not say that a line was dropped")
	}
}

// Whatever waits for the log at last is given up: the process shall end.
func TestALogThatStallsDoesNotKeepTheProcess(t *testing.T) {
	w := newStalled()
	l, _ := newTestLogs(t, w)
	defer close(w.released)
	l.main.Info("first")
	<-w.reached
	l.close()
}

// Nobody reads the pipe that is stderr, into which 64 KiB fit.
func TestAGatewayWhoseLogStallsAnswersAndEnds(t *testing.T) {
	c := spawn(t, "serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*")
	url := ""
	c.line(t, "ready for calls", func(line map[string]any) {
		if line["msg"] == "listening" {
			url = fmt.Sprint("http://", line["address"])
		}
	})
	client := newClient(t)
	for range 2000 {
		if a := request(t, client, http.MethodGet, url+"/version", "", ""); a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
}
