package main

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"
)

// defaultGOGC is GOGC unless it is set. With 100, bodies of 64 KiB take a quarter more CPU. With 400, those of 1 MiB take
// twice as much: they are read into memory that is new, or that was not used for long.
const defaultGOGC = 200

// A memory is what holds for Go's memory.
type memory struct {
	gogc      string
	limit     int64  // the soft limit, in bytes; math.MaxInt64 if there is none
	limitFrom string // GOMEMLIMIT, cgroup or none
}

// limitMemory sets GOGC and the soft memory limit, unless the variables of that name do.
func limitMemory(s *settings) memory {
	m := memory{gogc: os.Getenv("GOGC"), limitFrom: "GOMEMLIMIT"}
	if m.gogc == "" {
		debug.SetGCPercent(defaultGOGC)
		m.gogc = strconv.Itoa(defaultGOGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		m.limitFrom = "none"
		if all, err := memlimit.FromCgroup(); err == nil { // without a cgroup, or a limit of it, it fails
			m.limitFrom = "cgroup"
			debug.SetMemoryLimit(goMemory(all, s))
		}
	}
	m.limit = debug.SetMemoryLimit(-1)
	return m
}

// goMemory returns Go's share of a memory limit: all but what libzmq may hold, which is a copy of
// what --max-buffered counts and 45 KiB a connection, and a twentieth for the rest. It is at
// least a quarter: a collector that runs all the time is worse than an end by the kernel.
func goMemory(all uint64, s *settings) int64 {
	limit := int64(min(all, math.MaxInt64))
	share := limit - limit/20 - s.MaxBuffered - int64(s.PoolMax)*(45<<10)
	if s.Jobs == jobsInMemory {
		share -= s.JobsMaxBytes // SQLite's
	}
	return max(share, limit/4)
}

// tell logs what holds.
func (m memory) tell(log *zap.Logger) {
	fields := []zap.Field{zap.String("gogc", m.gogc), zap.String("limit_from", m.limitFrom)}
	if m.limit != math.MaxInt64 {
		fields = append(fields, zap.Int64("limit_bytes", m.limit))
	}
	log.Info("memory", fields...)
}
