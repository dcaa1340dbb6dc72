package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Input says how a program gets the data frames.
type Input string

// The inputs.
const (
	Stdin Input = "stdin" // one after the other; MDP_FRAMES has their sizes
	Args  Input = "args"  // each is an argument, after those of the command
)

const (
	// killAfter is how long a program that was told to end (SIGTERM) may take to do so.
	killAfter = 3 * time.Second

	// leftOpen is how long a process that left the program's group may hold its output.
	leftOpen = time.Second

	// maxString is how long one argument or variable may be, on Linux (MAX_ARG_STRLEN).
	maxString = 128<<10 - 1
)

// A Command is what Exec runs for each request.
type Command struct {
	Args  []string // the program and its arguments; nothing parses them
	Input Input
	Env   []string // of the worker: the program gets it without the gateway's own variables
}

// Shell returns the command that has sh run a script. Arguments that follow are $1, $2 and so
// on to the script, which are not parsed.
func Shell(script string) []string { return []string{"/bin/sh", "-c", script, "sh"} }

// Exec returns a Runner that runs a program for each request, in a process group of its own,
// with the variables
//
//	MDP_SERVICE  the service
//	MDP_VARS     the vars as JSON, {} without
//	MDP_FRAMES   the sizes of the data frames in bytes, separated by blanks
//
// Its output is the reply, and exit status 0 means that there is one. What it writes to stderr
// goes to the log. The group ends with the program; at the end of the context it is told to
// end by SIGTERM, and after killAfter ended by SIGKILL.
func (c Config) Exec(command Command) Runner {
	env := slices.DeleteFunc(slices.Clone(command.Env), func(v string) bool {
		return strings.HasPrefix(v, "GATEWAY_") || strings.HasPrefix(v, "MDP_")
	})
	env = append(env, "MDP_SERVICE="+c.Service)
	return func(ctx context.Context, req *Request) ([]byte, error) {
		args, err := command.arguments(req)
		if err != nil {
			return nil, err
		}
		vars, frames := "MDP_VARS="+req.varsText(), "MDP_FRAMES="+sizes(req.Frames)
		if max(len(vars), len(frames)) > maxString {
			return nil, failed("the vars or frames are more than a program can be told of")
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		out := &output{left: c.MaxReply, full: func() { cancel(errTooLarge) }}
		errs := &stderr{log: c.Log.With(zap.String("service", c.Service))}
		cmd := exec.Command(args[0], args[1:]...) // #nosec G204: the operator's command, and frames as arguments
		cmd.Env = append(slices.Clip(env), vars, frames)
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, errs, leftOpen
		if command.Input == Stdin {
			cmd.Stdin = join(req.Frames)
		}
		err = runGroup(ctx, cmd)
		errs.flush()
		if err = c.explain(ctx, err); err != nil {
			return nil, err
		}
		return out.held.Bytes(), nil
	}
}

// arguments returns the program and its arguments. A frame that the program would take for an
// option is refused, unless the command ends with --, or has sh hand the frames on.
func (c Command) arguments(req *Request) ([]string, error) {
	args := slices.Clip(c.Args)
	if c.Input != Args {
		return args, nil
	}
	last := args[len(args)-1]
	safe := last == "--" || len(args) > 2 && args[0] == "/bin/sh" && args[1] == "-c"
	for _, frame := range req.Frames {
		switch {
		case bytes.IndexByte(frame, 0) >= 0:
			return nil, failed("a frame with a NUL byte can't be an argument")
		case len(frame) > maxString:
			return nil, failed("a frame of %d bytes can't be an argument, want at most %d", len(frame), maxString)
		case !safe && bytes.HasPrefix(frame, []byte("-")):
			return nil, failed("a frame that begins with - would be an option")
		}
		args = append(args, string(frame))
	}
	return args, nil
}

// explain says why a program that has ended gave no reply.
func (c Config) explain(ctx context.Context, err error) error {
	var exit *exec.ExitError
	switch {
	case context.Cause(ctx) == errTooLarge:
		return errTooLarge
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return failed("%s", exit.ProcessState)
	case errors.Is(err, syscall.E2BIG):
		return &Error{Text: "the frames and vars are more than a program can be given", Err: err}
	case errors.Is(err, exec.ErrWaitDelay):
		return failed("the program left a process behind that holds its output")
	}
	return err
}

func sizes(frames [][]byte) string {
	text := make([]string, len(frames))
	for i, frame := range frames {
		text[i] = strconv.Itoa(len(frame))
	}
	return strings.Join(text, " ")
}

func join(frames [][]byte) io.Reader {
	readers := make([]io.Reader, len(frames))
	for i, frame := range frames {
		readers[i] = bytes.NewReader(frame)
	}
	return io.MultiReader(readers...)
}

// An output holds what a program writes, up to its bound. It embeds no Buffer: io.Copy would
// use that one's ReadFrom, which has no bound.
type output struct {
	held bytes.Buffer
	left int64
	full func() // called when there is more
}

// Write is io.Writer.
func (o *output) Write(p []byte) (int, error) {
	if o.left -= int64(len(p)); o.left < 0 {
		o.full()
		return 0, errTooLarge
	}
	return o.held.Write(p)
}

// What the log gets of one run.
const (
	maxLines = 100
	maxLine  = 1 << 10
)

// A stderr logs the lines that a program writes, up to a bound.
type stderr struct {
	log   *zap.Logger
	line  []byte // the beginning of one that has not ended
	lines int
}

// Write is io.Writer.
func (s *stderr) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		s.line = append(s.line, line[:min(len(line), maxLine-len(s.line))]...)
		if ended {
			s.flush()
		}
		rest = after
	}
	return len(p), nil
}

// flush logs the line, unless there were too many.
func (s *stderr) flush() {
	if len(s.line) == 0 {
		return
	}
	switch s.lines++; {
	case s.lines <= maxLines:
		s.log.Info("the program says", zap.ByteString("value", s.line))
	case s.lines == maxLines+1:
		s.log.Warn("the program says more, which is not logged", zap.Int("lines", maxLines))
	}
	s.line = s.line[:0]
}

// runGroup runs a program in a process group of its own, which ends with it or, after a
// SIGTERM, with ctx. The program also ends if this process does.
func runGroup(ctx context.Context, cmd *exec.Cmd) error {
	defer bindToThread()()
	cmd.SysProcAttr = groupAttributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	group := -cmd.Process.Pid
	exited, quiet := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(quiet)
		select {
		case <-exited:
			return
		case <-ctx.Done():
		}
		_ = syscall.Kill(group, syscall.SIGTERM)
		timer := time.NewTimer(killAfter)
		defer timer.Stop()
		select {
		case <-exited:
		case <-timer.C:
			_ = syscall.Kill(group, syscall.SIGKILL)
		}
	}()
	wait := awaitExit(cmd)
	close(exited)
	<-quiet
	_ = syscall.Kill(group, syscall.SIGKILL)
	err := wait()
	reap(group)
	return err
}

// Find returns the path of a program as exec does, so that a mistake is seen at the start.
func Find(program string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("a program that is there: %w", errors.Unwrap(err))
	}
	return nil
}
