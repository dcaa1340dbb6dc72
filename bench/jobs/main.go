// Command jobs measures asynchronous calls at a gateway as built, with its jobs in memory, in a file and in NATS, and
// prints the table of docs/jobs.md. It asserts nothing.
//
//	go run ./bench/jobs -gateway bin/gateway
//	go run ./bench/jobs -gateway bin/gateway -stores file -only whole,large -- --admin-listen 127.0.0.1:9100
//
// Everything runs on one machine: the gateway with its embedded broker and the NATS servers in processes of their own,
// the workers and the callers in this one. figures.go has what is measured, process.go the gateway's process, nats.go
// the servers, disk.go what the disk's fsync costs alone.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// The columns of the table.
var titles = map[string]string{"memory": "in memory", "file": "in a file", "nats": "in NATS, 1 server", "nats3": "in NATS, 3 servers"}

func main() {
	binary := flag.String("gateway", "bin/gateway", "the gateway as built")
	server := flag.String("nats-server", "bin/nats-server", "the NATS server as built")
	dir := flag.String("dir", os.TempDir(), "where the files of jobs are made: the disk that is measured")
	each := flag.Duration("each", 3*time.Second, "how long each rate is measured")
	queued := flag.Int("queued", 100_000, "jobs that are queued when the gateway is started again")
	stores := flag.String("stores", "memory,file,nats,nats3", "the stores to measure, separated by commas")
	only := flag.String("only", "", "the steps to measure, separated by commas: "+strings.Join(names(), ", ")+"; empty: all")
	flag.Parse() // what remains is for the gateway
	if err := run(*dir, *stores, bench{
		binary: *binary, server: *server, only: *only, each: *each, queued: *queued, more: flag.Args(),
	}); err != nil {
		fmt.Fprintln(os.Stderr, "bench/jobs:", err)
		os.Exit(1)
	}
}

// run measures each store and prints the table.
func run(dir, stores string, of bench) error {
	root, err := os.MkdirTemp(dir, "jobs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	synced, err := fsync(root)
	if err != nil {
		return err
	}
	begun := time.Now()
	before, err := machineLoad()
	if err != nil {
		return err
	}
	head, rule := "|", "|---"
	var columns [][]row
	for i, store := range strings.Split(stores, ",") {
		title := titles[store]
		if title == "" {
			return fmt.Errorf("%q is no store", store)
		}
		fmt.Fprintln(os.Stderr, "measuring jobs", title)
		b := of
		b.dir = fmt.Sprintf("%s/%d", root, i)
		rows, err := b.measure(store)
		if err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
		columns = append(columns, rows)
		head, rule = head+" | "+title, rule+"|---"
	}
	after, err := machineLoad()
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d CPUs, %v each, load %s before and %s after, %.0f s in all; to append 4 KiB to a file and fsync takes %s\n\n",
		runtime.Version(), runtime.NumCPU(), of.each, before, after, time.Since(begun).Seconds(), synced)
	fmt.Printf("%s |\n%s|\n", head, rule)
	for i, first := range columns[0] {
		line := "| " + first.what
		for _, rows := range columns {
			line += " | " + rows[i].value
		}
		fmt.Println(line + " |")
	}
	return nil
}

// machineLoad is how many threads of all programs ran or waited for a CPU in the last minute.
func machineLoad() (string, error) {
	text, err := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(text), " ")
	return load, err
}
