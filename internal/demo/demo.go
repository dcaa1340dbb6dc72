// Package demo is a worker with services to try a gateway or a broker. It does not run
// what it is sent.
//
// demo.go has the worker and its simple services, melody.go and fm.go the two that work on
// samples. examples/demo/gateway.yaml describes all of them to a gateway.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/worker"
)

// Config configures the demo worker.
type Config struct {
	// Endpoint is the broker's.
	Endpoint string

	// Dialect is mdp/0.1 (the default), mdp/0.2 or loudify.
	Dialect *mdp.Dialect

	// Concurrency is the number of requests that each service handles at once. Default 4.
	Concurrency int

	// Curve are the keys for a broker with CURVE; nil means one without.
	Curve *curve.Client

	// Log gets errors. Nil means none.
	Log *zap.Logger
}

// Limits of the services, so that one request cannot occupy a worker for long.
const (
	maxSleep = 5 * time.Minute
	maxParts = 10_000
)

// Start registers the demo services. Vars are a Python literal in the last of several
// frames, as a gateway sends them.
//
//	echo    replies all frames
//	sleep   replies the first frame, a duration such as 200ms, after that time
//	fail    fails as loudify's workers do: replies the byte 0x06 and, unless it is empty, the
//	        first frame as the reason
//	vars    replies the last frame, where flowgraph vars are
//	stream  replies the first frame, a number n, after n PARTIALs that hold 1 to n; the var
//	        pause is the time before each of them, in seconds
//	melody  replies 4 s of an FM transmission (cu8, 24,000 samples a second)
//	fm      demodulates FM, see demodulation: samples in, a WAV file out; an empty body
//	        stands for the reply of melody
//
// A request that sleep or stream can't read is answered with a text that says so. fm fails
// as the service fail does.
func Start(cfg Config) (*worker.Worker, error) {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 4
	}
	return worker.New(worker.Config{
		Endpoint:    cfg.Endpoint,
		Dialect:     cfg.Dialect,
		Concurrency: cfg.Concurrency,
		Log:         cfg.Log,
		Curve:       cfg.Curve,
		Services: map[string]worker.Handler{
			"echo": echo, "sleep": sleep, "fail": fail, "vars": vars, "stream": stream, "melody": melody, "fm": fm,
		},
	})
}

func echo(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	return body, nil
}

func sleep(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	d, err := time.ParseDuration(first(body))
	switch {
	case err != nil:
		return text("the body is %q, want a duration such as 200ms", clip(first(body))), nil
	case d < 0 || d > maxSleep:
		return text("the duration is %s, want 0s to %s", d, maxSleep), nil
	}
	if err := wait(ctx, d); err != nil {
		return nil, err
	}
	return body[:1], nil
}

// workerError is the first frame of loudify's replies that mean that the work failed.
const workerError = "\x06"

func fail(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	if reason := first(body); reason != "" {
		return [][]byte{[]byte(workerError), []byte(reason)}, nil
	}
	return [][]byte{[]byte(workerError)}, nil
}

func vars(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	return body[max(len(body)-1, 0):], nil
}

func stream(ctx context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
	n, err := strconv.Atoi(first(body))
	if err != nil || n < 0 || n > maxParts {
		return text("the body is %q, want a number from 0 to %d", clip(first(body)), maxParts), nil
	}
	var vars struct{ Pause float64 }
	if err := readVars(body, &vars); err != nil {
		return text("%v", err), nil
	}
	if vars.Pause < 0 || vars.Pause*float64(n) > maxSleep.Seconds() {
		return text("the pauses are %d times %gs, want at most %v together", n, vars.Pause, maxSleep), nil
	}
	pause := time.Duration(vars.Pause * float64(time.Second))
	for i := range n {
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
		if err := partial([][]byte{strconv.AppendInt(nil, int64(i)+1, 10)}); err != nil {
			return nil, err
		}
	}
	return body[:1], nil
}

// wait returns after that time, or ctx's error if it ends before.
func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readVars decodes the vars of a request into a struct, which has their defaults. A body of
// one frame has none.
func readVars(body [][]byte, into any) error {
	if len(body) < 2 {
		return nil
	}
	vars, err := flowgraph.Python.Parse(body[len(body)-1])
	if err != nil {
		return errors.New("the last frame holds no vars")
	}
	d := json.NewDecoder(bytes.NewReader(vars.Text()))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil { // which speaks of Go's types
		return errors.New("the vars are not those of the service")
	}
	return nil
}

// first returns the first frame; a hostile broker may send none.
func first(body [][]byte) string {
	if len(body) == 0 {
		return ""
	}
	return string(body[0])
}

// clip cuts what is quoted back to a length that a person would read.
func clip(s string) string { return s[:min(len(s), 64)] }

func text(format string, args ...any) [][]byte {
	return [][]byte{fmt.Appendf(nil, format, args...)}
}
