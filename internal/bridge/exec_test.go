package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/bridge"
	"mdpgateway/internal/flowgraph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds tests that fail and slows none that passes.
const patience = 2 * time.Minute

func config() bridge.Config {
	return bridge.Config{Service: "svc", Timeout: patience, MaxReply: 1 << 20, Log: zap.NewNop()}
}

// ask has a request answered and returns the frames joined by |.
func ask(t *testing.T, cfg bridge.Config, run bridge.Runner, body ...string) string {
	t.Helper()
	reply, err := cfg.Handler(run)(t.Context(), frames(body...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Join(reply, []byte("|")))
}

func frames(body ...string) (all [][]byte) {
	for _, s := range body {
		all = append(all, []byte(s))
	}
	return all
}

func sh(script string) bridge.Command {
	return bridge.Command{Args: bridge.Shell(script), Input: bridge.Stdin}
}

func shArgs(script string) bridge.Command {
	return bridge.Command{Args: bridge.Shell(script), Input: bridge.Args}
}

func TestAProgramGetsTheRequestAndItsOutputIsTheReply(t *testing.T) {
	env := []string{"PATH=" + os.Getenv("PATH"), "KEPT=1", "GATEWAY_BROKER=tcp://secret:1", "MDP_VARS=forged", "MDP_OTHER=x"}
	for _, c := range []struct {
		name    string
		command bridge.Command
		body    []string
		want    string
	}{
		{"stdin", sh(`tr a-z A-Z`), []string{"hello"}, "HELLO"},
		{"bytes", sh(`cat`), []string{"\x00\xff\n\x06"}, "\x00\xff\n\x06"},
		{"no frame", sh(`cat; echo -n "[$MDP_FRAMES]"`), nil, "[]"},
		{"several frames", sh(`cat; echo -n " $MDP_FRAMES"`), []string{"ab", "", "cde", "{}"}, "abcde 2 0 3"},
		{"vars", sh(`echo -n "$MDP_VARS $MDP_SERVICE"`), []string{"x", `{'sf': 7, 'on': True, 'é': (1,)}`}, `{"sf":7,"on":true,"é":[1]} svc`},
		{"no vars", sh(`echo -n "$MDP_VARS"`), []string{"x"}, `{}`},
		{"the environment", sh(`echo -n "$KEPT|$GATEWAY_BROKER|$MDP_OTHER"`), nil, "1||"},
		{"a large body that is not read", sh(`echo -n done`), []string{strings.Repeat("x", 4<<20)}, "done"},
		{"arguments", shArgs(`printf '<%s>' "$@"`), []string{"a b", "-rf", "$(id)", "`id`", "'; id", "{}"}, "<a b><-rf><$(id)><`id`><'; id>"},
		{"no shell", bridge.Command{Args: []string{"/bin/echo", "-n", "$HOME", "--"}, Input: bridge.Args}, []string{"-e", "*", "{}"}, "$HOME -- -e *"},
		{"nothing on stdin", shArgs(`cat; echo -n end`), []string{"x"}, "end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config()
			c.command.Env = env
			if got := ask(t, cfg, cfg.Exec(c.command), c.body...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestARequestThatFailsIsAnsweredWithTheReason(t *testing.T) {
	echo := bridge.Command{Args: []string{"/bin/echo"}, Input: bridge.Args}
	for _, c := range []struct {
		name    string
		command bridge.Command
		body    []string
		want    string
	}{
		{"exit status", sh(`echo nonsense; exit 3`), nil, "exit status 3"},
		{"signal", sh(`kill -9 $$`), nil, "signal: killed"},
		{"no such program", bridge.Command{Args: []string{"/nowhere/x"}}, nil, "the worker can't do the work"},
		{"the reply is too large", sh(`cat /dev/zero`), nil, "the reply is larger than 1048576 bytes"},
		{"no vars", sh(`cat`), []string{"x", "{not vars"}, "the last of 2 frames holds no vars (python)"},
		{"JSON for Python", sh(`cat`), []string{"x", `{"a": true}`}, "the last of 2 frames holds no vars (python)"},
		{"NUL", echo, []string{"a\x00b"}, "a frame with a NUL byte can't be an argument"},
		{"an option", echo, []string{"--help"}, "a frame that begins with - would be an option"},
		{"a long argument", echo, []string{strings.Repeat("x", 128<<10)}, "a frame of 131072 bytes can't be an argument, want at most 131071"},
		{"many long arguments", echo, append(strings.Split(strings.Repeat(strings.Repeat("x", 130_000)+" ", 100), " "), "{}"), "the frames and vars are more than a program can be given"},
		{"long vars", sh(`cat`), []string{"x", "{'a': '" + strings.Repeat("x", 128<<10) + "'}"}, "the vars or frames are more than a program can be told of"},
		{"many frames", sh(`cat`), append(strings.Split(strings.Repeat("x ", 100_000), " "), "{}"), "the vars or frames are more than a program can be told of"},
		{"a process that escapes with the output", sh(`f=$(mktemp -u); setsid sh -c "touch $f; exec sleep 5" & while [ ! -e $f ]; do sleep 0.01; done; rm $f`), nil, "the program left a process behind that holds its output"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config()
			if got := ask(t, cfg, cfg.Exec(c.command), c.body...); got != "\x06|"+c.want {
				t.Errorf("got %.300q, want %q", got, "\x06|"+c.want)
			}
		})
	}
}

// A run writes the number of its process, and of one that it started, to a file.
const family = `trap '' TERM; sleep 300 & echo $$ $! > "$FILE.new"; mv "$FILE.new" "$FILE"; wait; wait`

// numbers waits for the file of a family.
func numbers(t *testing.T, file string) (pids []int) {
	t.Helper()
	eventually(t, "the program runs", func() bool {
		text, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		return true
	})
	return pids
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// gone reports whether a process is dead; one that init has not waited for yet is.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestARunEndsWithAllThatItStarted(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration // of the request
		leave   bool          // the worker stops
		want    string
	}{
		"at the timeout":           {2 * time.Second, false, "\x06|no reply within 2s"},
		"when the worker gives up": {patience, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pids")
			cfg := config()
			cfg.Timeout = c.timeout
			command := sh(family) // which ignores SIGTERM
			command.Env = []string{"PATH=" + os.Getenv("PATH"), "FILE=" + file}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			type result struct {
				reply [][]byte
				err   error
			}
			done := make(chan result, 1)
			go func() {
				reply, err := cfg.Handler(cfg.Exec(command))(ctx, nil, nil)
				done <- result{reply, err}
			}()
			pids := numbers(t, file)
			if c.leave {
				cancel()
			}
			r := <-done
			if got := string(bytes.Join(r.reply, []byte("|"))); got != c.want || c.leave != errors.Is(r.err, context.Canceled) {
				t.Errorf("got %q, %v, want %q", got, r.err, c.want)
			}
			for _, pid := range pids {
				eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool { return gone(pid) })
			}
		})
	}
}

// A program that ends leaves nothing in its group behind, and no zombie.
func TestWhatAProgramLeavesBehindIsEnded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	cfg := config()
	command := sh(`sleep 300 </dev/null >/dev/null 2>&1 & echo $$ $! > "$FILE"`)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "FILE=" + file}
	ask(t, cfg, cfg.Exec(command))
	pids := numbers(t, file)
	if err := syscall.Kill(pids[0], 0); err != syscall.ESRCH {
		t.Errorf("the program's process is still there: %v", err)
	}
	eventually(t, "what it started has ended", func() bool { return gone(pids[1]) })
}

func TestStderrGoesToTheLogWithBounds(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	cfg := config()
	cfg.Log = zap.New(core)
	script := `head -c 100000 /dev/zero | tr '\0' x >&2; echo >&2; i=0; while [ $i -lt 300 ]; do echo line $i >&2; i=$((i+1)); done; printf 'the end' >&2`
	ask(t, cfg, cfg.Exec(bridge.Command{Args: bridge.Shell(script), Env: []string{"PATH=" + os.Getenv("PATH")}}))
	said := logs.FilterMessage("the program says").All()
	if len(said) != 100 || logs.FilterMessageSnippet("not logged").Len() != 1 {
		t.Fatalf("%d lines are logged, want 100 and a word on the rest", len(said))
	}
	first := fmt.Sprintf("%s", said[0].ContextMap()["value"])
	if len(first) != 1<<10 || said[0].ContextMap()["service"] != "svc" {
		t.Errorf("the first line has %d bytes, want 1024", len(first))
	}
}

func TestAFrameIsVarsOnlyWhereThereAreSome(t *testing.T) {
	cfg := config()
	cfg.Vars = flowgraph.None
	if got := ask(t, cfg, cfg.Exec(sh(`cat`)), "a", "{}"); got != "a{}" {
		t.Errorf("got %q, want both frames", got)
	}
	cfg.Vars = flowgraph.JSON
	if got := ask(t, cfg, cfg.Exec(sh(`echo -n $MDP_VARS`)), "a", `{"a":true}`); got != `{"a":true}` {
		t.Errorf("got %q, want the vars", got)
	}
}
