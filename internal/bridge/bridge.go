// Package bridge lets programs and HTTP servers serve requests without knowing MDP: Exec runs
// a program for each request, HTTP posts each to a server.
//
// Requests come from strangers. What a request holds becomes the input of a program, or an
// argument, or a variable, or a body; it is never a part of a command line that something
// parses. All sizes are bounded, and a run ends with everything that it started.
//
// bridge.go has what both share, exec.go and process_linux.go the program, http.go the server.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/ijson"
)

// failure is the first frame of a reply that means that the work failed. It is loudify's; a
// gateway at brokers of other dialects is told of it by a rule of the service.
const failure = "\x06"

// A Request is what a bridge is asked for.
type Request struct {
	Frames [][]byte     // the data
	Vars   ijson.Object // the zero Object if there are none
}

// A Runner does the work of one request and returns the reply. It ends when ctx does. An
// *Error is one that the caller is told of.
type Runner func(ctx context.Context, req *Request) (reply []byte, err error)

// An Error is why there is no reply.
type Error struct {
	Text string // for the caller; without what the operator alone may know
	Err  error  // the cause, for the log; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func failed(format string, args ...any) error { return &Error{Text: fmt.Sprintf(format, args...)} }

// errTooLarge ends a run whose reply is larger than it may be.
var errTooLarge = errors.New("the reply is too large")

// Config configures a bridge. All fields are needed.
type Config struct {
	Service  string             // for the program and the log
	Vars     flowgraph.Encoding // of the last of several frames; None: all frames are data
	Timeout  time.Duration      // of one request
	MaxReply int64              // bytes
	Log      *zap.Logger
}

// Handler makes a Runner the handler of a worker. A request that fails is answered, by the
// byte 0x06 and why; an error is returned only if ctx has ended, so that nobody waits.
func (c Config) Handler(run Runner) func(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) {
	log := c.Log.With(zap.String("service", c.Service))
	return func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		start := time.Now()
		reply, err := c.run(ctx, body, run)
		switch told := (*Error)(nil); {
		case err == nil:
			log.Debug("done", zap.Duration("took", time.Since(start)))
			return [][]byte{reply}, nil
		case ctx.Err() != nil:
			log.Warn("the work was given up", zap.Duration("took", time.Since(start)), zap.Error(err))
			return nil, err
		case errors.As(err, &told):
			log.Warn("the work failed", zap.Duration("took", time.Since(start)), zap.Error(err))
			return [][]byte{[]byte(failure), []byte(told.Text)}, nil
		default:
			log.Error("the work can't be done", zap.Duration("took", time.Since(start)), zap.Error(err))
			return [][]byte{[]byte(failure), []byte("the worker can't do the work")}, nil
		}
	}
}

func (c Config) run(ctx context.Context, body [][]byte, run Runner) ([]byte, error) {
	req, err := c.request(body)
	if err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	reply, err := run(timed, req)
	switch {
	case err == nil:
		return reply, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, errTooLarge):
		return nil, failed("the reply is larger than %d bytes", c.MaxReply)
	case timed.Err() != nil:
		return nil, failed("no reply within %v", c.Timeout)
	}
	return nil, err
}

// request takes a request apart: the last of several frames is the vars.
func (c Config) request(body [][]byte) (*Request, error) {
	req := &Request{Frames: body}
	if last := len(body) - 1; last > 0 && c.Vars != flowgraph.None {
		vars, err := c.Vars.Parse(body[last])
		if err != nil {
			return nil, &Error{Text: fmt.Sprintf("the last of %d frames holds no vars (%s)", len(body), c.Vars), Err: err}
		}
		req.Frames, req.Vars = body[:last], vars
	}
	return req, nil
}

// varsText returns the vars as JSON: {} if there are none.
func (r *Request) varsText() string {
	if r.Vars.IsZero() {
		return "{}"
	}
	return r.Vars.String()
}
