package audit

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// A place takes what is written to it, unless it is full or held.
type place struct {
	mu   sync.Mutex
	full bool
	text strings.Builder
}

func (p *place) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full {
		return 0, errors.New("no space left")
	}
	return p.text.Write(text)
}

func (p *place) set(full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = full
}

// ids returns the request ids of the lines of a text.
func ids(t *testing.T, text string) (all []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var l Line
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, l.RequestID)
	}
	return all
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func open(t *testing.T, p *place, bestEffort bool) *Log {
	t.Helper()
	l, err := New(Stderr, p, bestEffort)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestALineHasAllOfACall(t *testing.T) {
	var p place
	l := open(t, &p, false)
	want := Line{time.Unix(1_800_000_000, 0).UTC(), "r1", "web", "alice", "127.0.0.1:5", "echo", "ok", "yes", 3, 7}
	l.Record(want)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got Line
	if err := json.Unmarshal([]byte(p.text.String()), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %s, %v, want %+v", p.text.String(), err, want)
	}
}

// No line is dropped: while it can't be written, no call may begin.
func TestALogThatCannotBeWrittenIsNotReadyAndKeepsItsLines(t *testing.T) {
	p := &place{full: true}
	l := open(t, p, false)
	if !l.Ready() {
		t.Error("it is not ready before the first line")
	}
	l.Record(Line{RequestID: "1"})
	eventually(t, "it is not ready", func() bool { return !l.Ready() })
	l.Record(Line{RequestID: "2"}) // of a call that was open
	p.set(false)
	eventually(t, "it is ready again", l.Ready)
	l.Record(Line{RequestID: "3"})
	if err := l.Close(); err != nil || l.Dropped() != 0 {
		t.Errorf("got %v and %d dropped lines", err, l.Dropped())
	}
	if got := strings.Join(ids(t, p.text.String()), " "); got != "1 2 3" {
		t.Errorf("the lines are %s, want 1 2 3", got)
	}
}

func TestTheEndTellsWhatWasNotWritten(t *testing.T) {
	l := open(t, &place{full: true}, false)
	l.Record(Line{})
	l.Record(Line{})
	if err := l.Close(); err == nil || err.Error() != "audit log: 2 lines were not written" {
		t.Errorf("got %v, want that 2 lines were not written", err)
	}
}

func TestBestEffortGoesOnAndCounts(t *testing.T) {
	p := &place{full: true}
	l := open(t, p, true)
	l.Record(Line{})
	l.Record(Line{})
	eventually(t, "the lines are counted", func() bool { return l.Dropped() == 2 })
	if !l.Ready() {
		t.Error("it is not ready")
	}
	p.set(false)
	l.Record(Line{RequestID: "3"})
	if err := l.Close(); err != nil || l.Dropped() != 2 {
		t.Errorf("got %v and %d dropped lines, want 2", err, l.Dropped())
	}
	if got := strings.Join(ids(t, p.text.String()), " "); got != "3" {
		t.Errorf("the lines are %s, want 3", got)
	}
}

// A reader that stalls fills what may wait.
func TestALogThatIsNotReadIsNotReady(t *testing.T) {
	var p place
	p.mu.Lock()
	l := open(t, &p, false)
	line := Line{Service: strings.Repeat("x", 10_000)}
	for range mostWaiting / 10_000 {
		if !l.Ready() {
			t.Fatal("it is not ready before there is no room")
		}
		l.Record(line)
	}
	l.Record(line)
	if l.Ready() {
		t.Error("it is ready without room")
	}
	p.mu.Unlock()
	eventually(t, "it is ready again", l.Ready)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := len(ids(t, p.text.String())); got != mostWaiting/10_000+1 {
		t.Errorf("got %d lines, want all %d", got, mostWaiting/10_000+1)
	}
}

func TestAFileIsAppendedToAndReopened(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit")
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			return ""
		}
		return strings.Join(ids(t, string(text)), " ")
	}
	for _, id := range []string{"1", "2"} {
		l, err := New(name, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		l.Record(Line{RequestID: id})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l, err := New(name, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	l.Reopen()
	eventually(t, "the file is there anew", func() bool { _, err := os.Stat(name); return err == nil })
	l.Record(Line{RequestID: "3"})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if old, fresh := read(name+".1"), read(name); old != "1 2" || fresh != "3" {
		t.Errorf("the files have %q and %q, want 1 2 and 3", old, fresh)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v, want that its owner alone reads it", info.Mode(), err)
	}
	if _, err := New(t.TempDir(), nil, false); err == nil {
		t.Error("a directory is opened")
	}
}
