// Command bench measures the gateway beside what it could be compared with, on
// one machine, in one interleaved run, and writes docs/benchmarks.md's figures.
//
// plan.go says what is measured, targets.go what should come out, rounds.go how
// often and in which order, setup.go what runs meanwhile. Whatever it starts it
// stops by its process id. It asserts nothing: a target that is missed is a line
// of the report.
//
// The binary is also the processes that it measures: see main.go.
package main
