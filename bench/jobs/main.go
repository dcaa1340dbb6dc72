// Command jobs measures asynchronous calls at a gateway as built, with its jobs in memory and in a file, and prints
// the table of docs/jobs.md. It asserts nothing.
//
//	go run ./bench/jobs -gateway bin/gateway
//
// Everything runs on one machine: the gateway with its embedded broker in a process of its own, the workers and the
// callers in this one. figures.go has what is measured, process.go the gateway's process.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

func main() {
	binary := flag.String("gateway", "bin/gateway", "the gateway as built")
	dir := flag.String("dir", os.TempDir(), "where the file of jobs is made: the disk that is measured")
	each := flag.Duration("each", 5*time.Second, "how long each rate is measured")
	queued := flag.Int("queued", 100_000, "jobs that are queued when the gateway is started again")
	flag.Parse()
	fmt.Printf("%s, %d CPUs, %v each\n\n", runtime.Version(), runtime.NumCPU(), *each)
	file, err := os.MkdirTemp(*dir, "jobs")
	if err != nil {
		fail(err)
	}
	columns := [][]row{}
	for _, store := range []string{"memory", file} {
		b := &bench{binary: *binary, store: store, each: *each, queued: *queued}
		rows, err := b.measure()
		if err != nil {
			_ = os.RemoveAll(file)
			fail(err)
		}
		columns = append(columns, rows)
	}
	_ = os.RemoveAll(file)
	fmt.Println("| | in memory | in a file |\n|---|---|---|")
	for i, row := range columns[0] {
		fmt.Printf("| %s | %s | %s |\n", row.what, row.value, columns[1][i].value)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench/jobs:", err)
	os.Exit(1)
}
