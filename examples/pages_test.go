package examples_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A step is one thing that a reader of a page pastes, and what the page says that it
// prints; "" if it says nothing.
type step struct{ commands, prints string }

// notPasted is the comment before a block that takes too long for a test.
var notPasted = regexp.MustCompile(`^<!-- not pasted: .+ -->$`)

// steps returns what a page tells its readers to paste, in order: its blocks of sh with
// the block that follows each, and the commands of its blocks of console.
func steps(t *testing.T, page string) (found []step) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split("\n"+string(text), "\n```")
	for i := 1; i+1 < len(parts); i += 2 {
		before := strings.TrimSpace(parts[i-1])
		kind, block, _ := strings.Cut(parts[i], "\n")
		skipped := notPasted.MatchString(before[strings.LastIndex(before, "\n")+1:])
		switch {
		case kind == "console":
			found = append(found, transcript(block)...)
		case kind != "sh" || skipped:
		case i+3 < len(parts) && strings.TrimSpace(parts[i+1]) == "" && !strings.HasPrefix(parts[i+2], "sh\n"):
			_, prints, _ := strings.Cut(parts[i+2], "\n")
			found = append(found, step{block, prints})
		default:
			found = append(found, step{block, ""})
		}
	}
	return found
}

// transcript returns the steps of a session in a terminal. Its gateway is started
// by the test.
func transcript(block string) (found []step) {
	for line := range strings.Lines(block) {
		if command, isCommand := strings.CutPrefix(line, "$ "); !isCommand {
			found[len(found)-1].prints += line
		} else if command != "make run &\n" {
			found = append(found, step{command, ""})
		}
	}
	return found
}

// A shell is a bash that steps are pasted into.
type shell struct {
	stdin io.Writer
	lines *bufio.Scanner
}

// newShell starts bash in a directory with the project's examples.
func newShell(t *testing.T, dir string) *shell {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(here, filepath.Join(dir, "examples")); err != nil {
		t.Fatal(err)
	}
	bash := exec.Command("bash", "--norc")
	bash.Dir = dir
	// The group is killed at the end, with what a step has started.
	bash.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stdin, err := bash.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := bash.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	bash.Stderr = bash.Stdout
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { _ = syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) }
	late := time.AfterFunc(patience, end)
	t.Cleanup(func() {
		late.Stop()
		end()
		_ = bash.Wait()
	})
	return &shell{stdin, bufio.NewScanner(stdout)}
}

// paste returns what the commands print.
func (s *shell) paste(t *testing.T, commands string) (printed string) {
	t.Helper()
	const end = "that was all of it"
	if _, err := fmt.Fprintf(s.stdin, "%s\necho; echo %s\n", commands, end); err != nil {
		t.Fatal(err)
	}
	for s.lines.Scan() {
		if s.lines.Text() == end {
			return printed
		}
		printed += s.lines.Text() + "\n"
	}
	t.Fatalf("bash ended after\n%s", printed)
	return ""
}

// What differs from run to run: ids and times. White space is for readers.
var (
	ids    = regexp.MustCompile(`"request_id":"[0-9a-f]{32}"`)
	times  = regexp.MustCompile(`"(elapsed|last_ok)_ms":[0-9]+`)
	spaces = regexp.MustCompile(`\s+`)
)

// same reports whether a step prints what its page says; … there is any text.
func same(printed, want string) bool {
	mask := func(text string) string {
		return spaces.ReplaceAllString(times.ReplaceAllString(ids.ReplaceAllString(text, `"request_id":"…"`), `"${1}_ms":…`), "")
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(mask(want)), "…", ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(mask(printed))
}

// TestPagesCanBePasted pastes all that the pages tell their readers to, in order, into
// one bash beside a gateway, and compares what it prints. Only the ports differ from the
// pages: those of the gateway and of its embedded broker are free ones.
func TestPagesCanBePasted(t *testing.T) {
	for page, fewest := range map[string]int{"../README.md": 6, "../docs/http.md": 6} {
		t.Run(filepath.Base(page), func(t *testing.T) {
			found := steps(t, page)
			if len(found) < fewest {
				t.Fatalf("%d steps were found, want at least %d", len(found), fewest)
			}
			g := startDemo(t)
			ports := strings.NewReplacer("localhost:8080", strings.TrimPrefix(g.url, "http://"),
				"worker.py", "worker.py --broker "+g.broker)
			dir := t.TempDir()
			bash := newShell(t, dir)
			for _, s := range found {
				if printed := bash.paste(t, ports.Replace(s.commands)); !same(printed, s.prints) {
					t.Errorf("this was pasted:\n%s\nit printed:\n%s\nwant:\n%s", s.commands, printed, s.prints)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("the steps leave %v (error %v), want nothing but the examples", left, err)
			}
		})
	}
}

// TestWhatAPagePrintsIsCompared holds the comparison itself.
func TestWhatAPagePrintsIsCompared(t *testing.T) {
	const reply = `{"service":"echo","request_id":"a796278ee25557afb8ccc4f7b792cd10","elapsed_ms":201}`
	for want, equal := range map[string]bool{
		reply:                                 true,
		`{"service":"echo", … }`:              true,
		`{"service":"vars", … }`:              false,
		`{"service":"echo"}`:                  false,
		"":                                    false,
		strings.Replace(reply, "201", "9", 1): true,
		strings.Replace(reply, ":\"echo", ":\n  \"echo", 1): true,
	} {
		if same(reply+"\n", want) != equal {
			t.Errorf("%q and %q: same is %v, want %v", reply, want, !equal, equal)
		}
	}
}
