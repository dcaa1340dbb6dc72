package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

const (
	foreign = 0.20 // of the CPU, taken by others, disturbs a window
	tries   = 3    // of a window that is disturbed
)

// A sample is one window of one round.
type sample struct {
	Rate    float64 `json:"rate"` // replies a second
	CPU     float64 `json:"cpu"`  // microseconds a request, of the measured processes
	P50     float64 `json:"p50"`  // milliseconds
	P99     float64 `json:"p99"`
	RSS     float64 `json:"rss"` // MB
	Threads int     `json:"threads"`
	Wrong   int     `json:"wrong"`
	Others  float64 `json:"others"` // share of the machine's CPU that other processes took
}

// A series is one window through all rounds that count.
type series struct {
	Name    string   `json:"name"`
	Window  window   `json:"window"`
	Samples []sample `json:"samples"`
}

// measureRounds measures every window in each round, in reversed order every other
// round, after a first round that does not count.
func (b *bench) measureRounds(ctx context.Context, windows []window, rounds int, seconds float64) ([]series, int, error) {
	all := make([]series, len(windows))
	for i, w := range windows {
		all[i] = series{Name: w.String(), Window: w}
	}
	order := make([]int, len(windows))
	for i := range order {
		order[i] = i
	}
	disturbed := 0
	b.retries = len(windows) * (rounds + 1) / 4
	for round := range rounds + 1 {
		for k, i := range order {
			s, err := b.measure(ctx, windows[i], seconds, round > 0)
			if err != nil {
				return nil, 0, fmt.Errorf("%s: %w", windows[i], err)
			}
			if round > 0 && s.Others > foreign {
				disturbed++
			}
			if round > 0 {
				all[i].Samples = append(all[i].Samples, s)
			}
			fmt.Fprintf(b.out, "round %d/%d window %2d/%d %-34s %8.0f/s %6.1f us CPU, p50 %.2f p99 %.2f ms, others %2.0f %%, wrong %d\n",
				round, rounds, k+1, len(order), windows[i], s.Rate, s.CPU, s.P50, s.P99, 100*s.Others, s.Wrong)
		}
		slices.Reverse(order)
	}
	return all, disturbed, nil
}

// measure measures one window. If other processes took too much of the CPU, it repeats
// the window as long as the run has time, and returns the least disturbed one.
func (b *bench) measure(ctx context.Context, w window, seconds float64, again bool) (best sample, err error) {
	if w.Size >= 1<<20 { // where fresh memory is slow, a call at 64 connections takes a second
		seconds = max(seconds, 3)
	}
	for try := range tries {
		s, err := b.once(ctx, w, seconds)
		if err != nil {
			return s, err
		}
		if try == 0 || s.Others < best.Others {
			best = s
		}
		if best.Others <= foreign || !again || b.retries == 0 {
			break
		}
		b.retries--
	}
	return best, nil
}

func (b *bench) once(ctx context.Context, w window, seconds float64) (sample, error) {
	command := b.load(w, seconds)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	m, before := startMeter(), usageOf(w.measured...)
	out, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("%q: %w", command, err)
	}
	after := usageOf(w.measured...)
	ended := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r, err := parseResult(out)
	if err != nil {
		return sample{}, err
	}
	if r.Requests == 0 {
		return sample{}, fmt.Errorf("no reply at all: %s", out)
	}
	return sample{
		Rate: float64(r.Requests) / r.Seconds, CPU: (after.cpu - before.cpu) * 1e6 / float64(r.Requests),
		P50: r.P50, P99: r.P99, RSS: after.rss, Threads: after.threads, Wrong: r.Wrong, Others: m.others(ended.Seconds()),
	}, nil
}

// load returns the command of the load generator.
func (b *bench) load(w window, seconds float64) []string {
	callers, size := strconv.Itoa(w.Callers), strconv.Itoa(w.Size)
	if direct(w.Target) {
		self, _ := os.Executable()
		program, command, endpoint := self, "dealers", b.broker
		switch w.Target {
		case thePool:
			command = "pool"
		case theDealers:
			program = b.bin + "/bench-zmq"
		case theBroker:
			program, endpoint = b.bin+"/bench-zmq", b.ours
		}
		return []string{program, command, endpoint, w.Service, callers, size, fmt.Sprint(seconds)}
	}
	return []string{"wrk", "-t1", "-c", callers, "-d", fmt.Sprintf("%.0fs", max(seconds, 1)), "--timeout", "20s",
		"-s", b.src + "/check.lua", b.urls[w.process()] + w.Service, "--", w.Form, size}
}

// parseResult finds the line of JSON in what a load generator printed.
func parseResult(out []byte) (r result, err error) {
	at := bytes.LastIndexByte(out, '{')
	if at < 0 {
		return r, fmt.Errorf("no result in %q", out)
	}
	return r, json.Unmarshal(out[at:], &r)
}

// pause waits until the time is over or ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
