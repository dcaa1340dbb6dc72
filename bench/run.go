package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// A run writes its figures here, below its working directory.
const (
	resultsFile = "docs/benchmarks/results.json"
	pageFile    = "docs/benchmarks.md"
	chartsDir   = "docs/benchmarks"
)

// run is the benchmark. Its variables:
//   - BENCH_ROUNDS (5) and BENCH_SECONDS (1): how long it measures;
//   - BENCH_ONLY: a pattern of the windows and of stuck, wide, timeouts and vars; without
//     it all is measured and the page is written;
//   - BENCH_GATEWAY: the binary to measure;
//   - BENCH_AGAINST: another binary to measure beside it.
func run(ctx context.Context, _ []string) error {
	rounds, err := strconv.Atoi(env("BENCH_ROUNDS", "5"))
	if err != nil || rounds < 1 {
		return fmt.Errorf("BENCH_ROUNDS is %q, want a number from 1", os.Getenv("BENCH_ROUNDS"))
	}
	seconds, err := strconv.ParseFloat(env("BENCH_SECONDS", "1"), 64)
	if err != nil || seconds < 1 {
		return fmt.Errorf("BENCH_SECONDS is %q, want a number from 1", os.Getenv("BENCH_SECONDS"))
	}
	var only *regexp.Regexp
	if pattern := os.Getenv("BENCH_ONLY"); pattern != "" {
		if only, err = regexp.Compile(pattern); err != nil {
			return fmt.Errorf("BENCH_ONLY: %w", err)
		}
	}
	if only == nil {
		if err := checkCommit(ctx, env("BENCH_GATEWAY", env("BENCH_BIN", "bin")+"/gateway")); err != nil {
			return err
		}
	}
	// What the gateway would set itself in 1.5 GiB, for every Go process of the run.
	for name, value := range map[string]string{"GOGC": "200", "GOMEMLIMIT": "960MiB"} {
		if err := os.Setenv(name, env(name, value)); err != nil {
			return err
		}
	}
	start := time.Now()
	b, err := setUp(os.Stdout)
	if err != nil {
		return err
	}
	defer b.close()
	fmt.Printf("logs are in %s\n", b.dir)
	r := report{Machine: thisMachine(ctx, b.gateway()), Date: start.UTC().Format("2006-01-02 15:04 UTC"), Rounds: rounds, Seconds: seconds}
	if r.Series, r.Disturbed, err = b.measureRounds(ctx, b.windows(only), rounds, seconds); err != nil {
		return err
	}
	if r.Wide, err = b.measureWide(ctx, only); err != nil {
		return err
	}
	r.LoadAfter, r.Took = loadAverage(), time.Since(start).Round(time.Second).String()
	r.print(os.Stdout)
	if only != nil {
		return nil
	}
	return r.save()
}

// save writes the figures, the charts and the page.
func (r *report) save() error {
	if err := os.MkdirAll(chartsDir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(resultsFile, append(data, '\n'), 0o644), r.writeCharts(), r.writePage())
}

// rewritePage makes the charts and the page from figures that were saved.
func rewritePage(context.Context, []string) error {
	data, err := os.ReadFile(resultsFile)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	return errors.Join(r.writeCharts(), r.writePage())
}
