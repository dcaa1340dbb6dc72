package main

import (
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

// writes keeps what is written to it, write by write.
type writes struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

// messages returns the messages of all lines, with a bar between two writes.
func (w *writes) messages() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, write := range w.all {
		var each []string
		for line := range strings.Lines(write) {
			_, rest, _ := strings.Cut(line, `"msg":"`)
			message, _, _ := strings.Cut(rest, `"`)
			each = append(each, message)
		}
		all = append(all, strings.Join(each, " "))
	}
	return strings.Join(all, " | ")
}

// A testClock ticks when something is sent to it.
type testClock chan time.Time

func (testClock) Now() time.Time { return time.Now() }

func (c testClock) NewTicker(time.Duration) *time.Ticker { return &time.Ticker{C: c} }

// newTestLogs returns logs whose lines have waited long enough whenever something is
// sent to the channel.
func newTestLogs(t *testing.T, w io.Writer) (*logs, chan<- time.Time) {
	ticks := make(testClock)
	l, err := newLogsAt(ticks, w, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	return l, ticks
}

func TestLinesOfRequestsAreWrittenTogether(t *testing.T) {
	var w writes
	l, clock := newTestLogs(t, &w)
	defer l.close()
	l.requests.Named("http").Info("one")
	l.requests.With(zap.Int("n", 2)).Info("two")
	if got := w.messages(); got != "" {
		t.Errorf("got the writes %q before their time, want none", got)
	}
	clock <- time.Time{}
	eventually(t, "the lines are written", func() bool { return w.messages() == "one two" })
}

func TestWhatIsNotOfARequestOrIsAWarningIsWrittenAtOnceAndInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		log  func(*logs)
		want string
	}{
		"life":    {func(l *logs) { l.main.Info("life") }, "request life"},
		"named":   {func(l *logs) { l.main.Named("x").With(zap.Int("n", 1)).Info("life") }, "request life"},
		"warning": {func(l *logs) { l.requests.Warn("slow") }, "request slow"},
		"error":   {func(l *logs) { l.requests.Error("bug") }, "request bug"},
		"the end": {func(l *logs) {}, "request"},
	} {
		var w writes
		l, _ := newTestLogs(t, &w)
		l.requests.Info("request")
		c.log(l)
		if name != "the end" {
			eventually(t, name+": the writes are "+c.want, func() bool { return w.messages() == c.want })
		}
		l.close()
		if got := w.messages(); got != c.want {
			t.Errorf("%s: the writes are %s, want %s", name, got, c.want)
		}
	}
}

func TestLevelsHoldForBothLogsAndMayChange(t *testing.T) {
	var w writes
	l, _ := newTestLogs(t, &w)
	defer l.close()
	l.main.Debug("silent")
	l.requests.Debug("silent")
	l.level.SetLevel(zap.DebugLevel)
	l.requests.Debug("request")
	l.main.Debug("life")
	eventually(t, "the lines after the change are written", func() bool { return w.messages() == "request life" })
}

// BenchmarkRequestLine measures what a line of the size of a request's costs when it
// goes to a file, each by itself or together with others.
func BenchmarkRequestLine(b *testing.B) {
	for name, log := range map[string]func(*logs) *zap.Logger{
		"alone":    func(l *logs) *zap.Logger { return l.main },
		"together": func(l *logs) *zap.Logger { return l.requests },
	} {
		b.Run("written="+name, func(b *testing.B) {
			file, err := os.CreateTemp(b.TempDir(), "")
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			l, err := newLogs(file, "info", "json")
			if err != nil {
				b.Fatal(err)
			}
			defer l.close()
			to := log(l)
			b.ReportAllocs()
			for b.Loop() {
				to.Info("request", zap.String("route", "/services/{name}"), zap.String("request_id", "0123456789abcdef0123456789abcdef"),
					zap.Int("status", 200), zap.Int("in", 64), zap.Int("out", 128), zap.String("peer", "127.0.0.1:12345"))
			}
		})
	}
}

// full is a disk without room for the first line.
type full struct {
	writes
	refused atomic.Bool
}

func (f *full) Write(p []byte) (int, error) {
	if f.refused.CompareAndSwap(false, true) {
		return 0, syscall.ENOSPC
	}
	return f.writes.Write(p)
}

func TestAWriteThatFailsDoesNotEndTheLog(t *testing.T) {
	w := new(full)
	l, _ := newTestLogs(t, w)
	l.main.Warn("lost")
	eventually(t, "the first line is refused", w.refused.Load)
	l.requests.Info("request")
	l.main.Warn("kept")
	l.close()
	if got := w.messages(); got != "lines of the log were dropped, since they could not be written request kept" || !strings.Contains(w.all[0], `"lines":1}`) {
		t.Errorf("got %q in %q, want that one was dropped, and both lines that came later", got, w.all)
	}
}
