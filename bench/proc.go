package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tick is the unit of the kernel's counts of CPU time, in seconds.
const tick = 0.01

// A usage is what a process and those that it started hold and have used.
type usage struct {
	cpu     float64 // seconds, user and system
	rss     float64 // MB
	threads int
}

// A table is all processes at one moment.
type table struct {
	of       map[int]usage
	children map[int][]int
}

func readTable() table {
	t := table{of: map[int]usage{}, children: map[int][]int{}}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		// The name, in parentheses, may hold anything.
		fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		number := func(i int) float64 { n, _ := strconv.ParseFloat(fields[i-3], 64); return n } // proc(5) counts from 1
		parent := int(number(4))
		t.children[parent] = append(t.children[parent], pid)
		t.of[pid] = usage{
			cpu:     (number(14) + number(15)) * tick,
			threads: int(number(20)),
			rss:     number(24) * float64(os.Getpagesize()) / (1 << 20),
		}
	}
	return t
}

// tree adds up a process and all below it.
func (t table) tree(pid int) usage {
	sum := t.of[pid]
	for _, child := range t.children[pid] {
		below := t.tree(child)
		sum.cpu += below.cpu
		sum.rss += below.rss
		sum.threads += below.threads
	}
	return sum
}

// usageOf adds up several processes, each with those that it started.
func usageOf(ps ...*process) (sum usage) {
	t := readTable()
	for _, p := range ps {
		u := t.tree(p.cmd.Process.Pid)
		sum.cpu += u.cpu
		sum.rss += u.rss
		sum.threads += u.threads
	}
	return sum
}

// descriptors counts those of one process.
func descriptors(p *process) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	return len(entries)
}

// machineCPU returns the seconds of CPU that the machine has used and all that it
// had.
func machineCPU() (used, all float64) {
	data, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(data), "\n")
	for i, field := range strings.Fields(line)[1:9] {
		n, _ := strconv.ParseFloat(field, 64)
		all += n * tick
		if i != 3 && i != 4 { // idle, iowait
			used += n * tick
		}
	}
	return used, all
}

// A meter tells what others took of the machine.
type meter struct{ used, all, ours float64 }

// startMeter starts one. Ours is this process with all below it; children that
// were waited for count in ended.
func startMeter() meter {
	used, all := machineCPU()
	return meter{used, all, readTable().tree(os.Getpid()).cpu}
}

// others returns their share since then; ended is the CPU time of our processes
// that have ended meanwhile.
func (m meter) others(ended float64) float64 {
	used, all := machineCPU()
	if all <= m.all {
		return 0
	}
	ours := readTable().tree(os.Getpid()).cpu - m.ours + ended
	return max(0, (used-m.used-ours)/(all-m.all))
}
