// Package demo is a worker with services to try a gateway or a broker. It does no
// useful work and does not run what it is sent.
package demo

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
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

// Start registers the demo services:
//
//	echo    replies all frames
//	sleep   replies the first frame, a duration such as 200ms, after that time
//	fail    replies the byte 0x06, which is loudify's "the flowgraph failed"
//	vars    replies the last frame, where flowgraph vars are
//	stream  replies the first frame, a number n, after n PARTIALs that hold 1 to n
//
// A frame that is not a duration or number is answered with a text that says so.
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
			"echo": echo, "sleep": sleep, "fail": fail, "vars": vars, "stream": stream,
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
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return body[:1], nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func fail(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) {
	return [][]byte{{6}}, nil
}

func vars(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	return body[max(len(body)-1, 0):], nil
}

func stream(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
	n, err := strconv.Atoi(first(body))
	if err != nil || n < 0 || n > maxParts {
		return text("the body is %q, want a number from 0 to %d", clip(first(body)), maxParts), nil
	}
	for i := range n {
		if err := partial([][]byte{strconv.AppendInt(nil, int64(i)+1, 10)}); err != nil {
			return nil, err
		}
	}
	return body[:1], nil
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
