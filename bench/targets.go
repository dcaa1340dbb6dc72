package main

import "fmt"

// Windows that targets compare.
const (
	mainJSON   = "gateway/echo/json/c=64/64B"
	localJSON  = "gateway/local/json/c=64/64B"
	mainPool   = "pool/echo/raw/c=64/64B"
	nullServer = "null/null/raw/c=64/64B"
	muxed      = "muxed/echo/json/c=64/64B"
	plain      = "plain/echo/json/c=64/64B"
)

// A verdict is a target with its result.
type verdict struct {
	What   string
	Want   string
	Got    string
	Result string // met, missed, or why there is none
}

// verdicts compares the run with every target.
func (r *report) verdicts() (all []verdict) {
	atLeast := func(what string, want float64, a, b string, value func(a, b sample) float64) {
		all = append(all, r.judge(what, fmt.Sprintf("≥ %g", want), a, b, value, func(s spread) bool { return s.Median >= want }))
	}
	atMost := func(what string, want float64, unit, a, b string, value func(a, b sample) float64) {
		all = append(all, r.judge(what, fmt.Sprintf("≤ %g%s", want, unit), a, b, value, func(s spread) bool { return s.Median <= want }))
	}
	atLeast("throughput ÷ direct calls through the same pool, `echo`, 64 connections, 64 B, JSON", 0.65, mainJSON, mainPool, rates)
	atMost("CPU per request ÷ the null handler's, `local`, JSON", 3.5, "", localJSON, nullServer, cpus)
	atLeast("throughput ÷ aiohttp, `local`, JSON", 4, localJSON, "aiohttp/local/json/c=64/64B", rates)
	atLeast("throughput ÷ Flask, `local`, JSON", 4.5, localJSON, "flask/local/json/c=64/64B", rates)
	atLeast("throughput ÷ Pushpin, `echo`, JSON against raw", 4, mainJSON, "pushpin/echo/raw/c=64/64B", rates)
	atMost("latency added at 1 connection, p50 ÷ a direct call's p50, JSON", 0.8, "", "gateway/echo/json/c=1/64B", "pool/echo/raw/c=1/64B", added50)
	atMost("latency added at 64 connections, p99, JSON", 4.5, " ms", mainJSON, mainPool, added99)
	atLeast("64 KiB raw: throughput ÷ direct calls through the same pool", 0.65, "gateway/echo/raw/c=16/64KiB", "pool/echo/raw/c=16/64KiB", rates)
	atLeast("1 MiB raw: throughput ÷ direct calls through the same pool", 0.75, "gateway/echo/raw/c=16/1MiB", "pool/echo/raw/c=16/1MiB", rates)
	all = append(all, r.Wide.verdicts()...)
	atMost("growth: CPU per request from 16 to 1,024 connections, `local`, JSON", 1.5, "", "gateway/local/json/c=1024/64B", "gateway/local/json/c=16/64B", cpus)
	atMost("mdpx/1: CPU per request ÷ the null handler's, `echo`, JSON", 2.6, "", muxed, nullServer, cpus)
	atMost("mdpx/1, for comparison: CPU per request ÷ that of a null handler that waits 10 ms", 2.6, "", muxed, "null/wait/raw/c=64/64B", cpus)
	atMost("mdpx/1: CPU per request ÷ that of mdp/0.2 at the same broker", 0.65, "", muxed, plain, cpus)
	atMost("mdpx/1: growth of CPU per request from 64 to 1,024 connections", 1.2, "", "muxed/echo/json/c=1024/64B", muxed, cpus)
	atMost("mdpx/1: p50 at 1 connection ÷ that of mdp/0.2", 1, "", "muxed/echo/json/c=1/64B", "plain/echo/json/c=1/64B", p50s)
	atLeast("mdpx/1: throughput ÷ aiohttp, `echo`, JSON", 5.5, muxed, "aiohttp/echo/json/c=64/64B", rates)
	atLeast("mdpx/1: throughput ÷ Flask, `echo`, JSON", 6, muxed, "flask/echo/json/c=64/64B", rates)
	atLeast("mdpx/1: throughput ÷ Pushpin, `echo`, JSON against raw", 4.5, muxed, "pushpin/echo/raw/c=64/64B", rates)
	atMost("mdpx/1: latency added at 64 connections, p99, JSON", 3, " ms", muxed, mainPool, added99)
	atLeast("embedded broker: throughput ÷ the C broker's, `echo`, direct clients", 0.6, "broker/echo/raw/c=64/64B", "dealers/echo/raw/c=64/64B", rates)
	return all
}

func (r *report) judge(what, want, a, b string, value func(a, b sample) float64, met func(spread) bool) verdict {
	s, ok := r.combine(a, b, value)
	if !ok {
		return verdict{what, want, "–", "not measured"}
	}
	return verdict{what, want, s.String(), outcome(met(s))}
}

func outcome(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

func (w *wide) verdicts() []verdict {
	if w == nil {
		return nil
	}
	growth := w.TimeoutMB[1] / w.TimeoutMB[0]
	d, g := w.TimeoutDescriptors, w.TimeoutGoroutines
	verdicts := map[string][]verdict{
		"stuck": {
			{"1,000 calls stuck: threads", "≤ 40", fmt.Sprint(w.StuckThreads), outcome(w.StuckThreads <= 40)},
			{"1,000 calls stuck: memory each", "≤ 50 KB", fmt.Sprintf("%.0f KB", w.StuckKB), outcome(w.StuckKB <= 50)},
			{"1,000 calls stuck: the others' CPU per request", "≤ 1.3 ×", short(w.StuckCPU) + " ×", outcome(w.StuckCPU <= 1.3)},
		},
		"wide": {
			{"4,000 calls in flight: answered or timed out", "all", fmt.Sprintf("%d + %d, the latest %.0f ms after its time", w.WideAnswered, w.WideTimedOut, w.WideLate),
				outcome(w.WideAnswered+w.WideTimedOut == wideCalls)},
			{"4,000 calls in flight: threads", "≤ 60", fmt.Sprint(w.WideThreads), outcome(w.WideThreads <= 60)},
			{"4,000 calls in flight: memory", "≤ 210 MB", fmt.Sprintf("%.0f MB", w.WideMB), outcome(w.WideMB <= 210)},
		},
		"timeouts": {
			{"RSS after 10,000 timeouts ÷ after 5,000", "≤ 1.1", fmt.Sprintf("%.2f (%.0f MB, %.0f MB)", growth, w.TimeoutMB[0], w.TimeoutMB[1]), outcome(growth <= 1.1)},
			{"descriptors before, after 5,000, after 10,000 timeouts", "as before", fmt.Sprint(d), outcome(d[2] <= d[0]+2)},
			{"goroutines before, after 5,000, after 10,000 timeouts", "as before", fmt.Sprint(g), outcome(g[2] <= g[0]+2)},
		},
		"vars": {
			{"JSON vars → Python literal", "≥ 100 MB/s", fmt.Sprintf("%.0f MB/s", w.VarsMBs), outcome(w.VarsMBs >= 100)},
			{"allocations of 1 KB and of 60 KB of vars", "the same", fmt.Sprintf("%.1f, %.1f", w.VarsAllocs[0], w.VarsAllocs[1]), outcome(w.VarsAllocs[1] <= w.VarsAllocs[0]+1)},
		},
	}
	var all []verdict
	for _, part := range w.Parts {
		all = append(all, verdicts[part]...)
	}
	return all
}
