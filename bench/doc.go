// Command bench measures the gateway beside its peers on one machine, in one
// interleaved run, and writes the figures of docs/benchmarks.md.
//
// plan.go has what is measured, targets.go what is wanted, rounds.go how often and in
// which order, setup.go the processes that run meanwhile. It stops what it started, by
// process id. It asserts nothing: a missed target is a line of the report. waiting.go
// measures the memory of a call alone.
//
// The program also runs as several of the processes that it measures: see main.go.
package main
