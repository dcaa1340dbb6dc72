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

// A usage is what a process and its descendants hold and have used.
type usage struct {
	cpu     float64 // seconds, user and system
	rss     float64 // MB
	threads int
}

// A table has all processes at one moment.
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
		// The name, in parentheses, may have any characters.
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

// tree adds up a process and its descendants.
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

// usageOf adds up several processes with their descendants.
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

// descriptors counts the descriptors of one process.
func descriptors(p *process) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	return len(entries)
}

// machineCPU returns the CPU seconds that the machine has used, and those that it had in
// all.
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

// A meter measures the CPU time that other processes take.
type meter struct{ used, all, ours float64 }

// startMeter starts a meter. This process and its descendants are no others; children
// that were waited for count in ended.
func startMeter() meter {
	used, all := machineCPU()
	return meter{used, all, readTable().tree(os.Getpid()).cpu}
}

// others returns the share of the others since then. ended is the CPU time of this
// process's children that have ended meanwhile.
func (m meter) others(ended float64) float64 {
	used, all := machineCPU()
	if all <= m.all {
		return 0
	}
	ours := readTable().tree(os.Getpid()).cpu - m.ours + ended
	return max(0, (used-m.used-ours)/(all-m.all))
}
