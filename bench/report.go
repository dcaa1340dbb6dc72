package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// A report is one run.
type report struct {
	Date      string   `json:"date"`
	Took      string   `json:"took"`
	Machine   machine  `json:"machine"`
	LoadAfter string   `json:"load_after"`
	Rounds    int      `json:"rounds"`
	Seconds   float64  `json:"seconds"`
	Disturbed int      `json:"disturbed"` // windows that stayed so after every try
	Series    []series `json:"series"`
	Wide      *wide    `json:"wide,omitempty"`
}

// print prints the tables.
func (r *report) print(out io.Writer) {
	r.writeConditions(out)
	r.writeVerdicts(out)
	r.writeWindows(out)
}

func (r *report) writeConditions(out io.Writer) {
	fmt.Fprintf(out, "%s; %s; %s. %s. Load before %s, after %s (it holds the run's own).\n",
		r.Date, r.Machine.CPU, r.Machine.Kernel, strings.Join(r.Machine.Versions, "; "), r.Machine.Load, r.LoadAfter)
	var others []float64
	wrong := 0
	for _, s := range r.Series {
		for _, each := range s.Samples {
			others = append(others, 100*each.Others)
			wrong += each.Wrong
		}
	}
	s := spreadOf(others)
	fmt.Fprintf(out, "\n%d rounds of %g s a window, %d windows a round, %s in all. Other processes took %.0f %% of the CPU (median of all windows, %.0f–%.0f);\n",
		r.Rounds, r.Seconds, len(r.Series), r.Took, s.Median, s.Min, s.Max)
	fmt.Fprintf(out, "%d windows stayed over %.0f %% after %d tries, or when the run had no time for more, and are in the figures. Wrong or missing replies: %d.\n\n", r.Disturbed, 100*foreign, tries, wrong)
}

func (r *report) writeVerdicts(out io.Writer) {
	fmt.Fprintf(out, "| target | wanted | median (min–max) | |\n|---|---|---|---|\n")
	for _, v := range r.verdicts() {
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", v.What, v.Want, v.Got, v.Result)
	}
	fmt.Fprintln(out)
}

func (r *report) writeWindows(out io.Writer) {
	fmt.Fprintf(out, "| window | replies/s | CPU µs/request | p50 ms | p99 ms | RSS MB | threads |\n|---|---|---|---|---|---|---|\n")
	for _, s := range r.Series {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %.0f | %.0f |\n", s.Name,
			s.of(rate), s.of(cpu), short(s.of(p50).Median), short(s.of(p99).Median), s.of(rss).Median, s.of(threads).Median)
	}
	if a, ok := r.combine(localJSON, "against/local/json/c=64/64B", cpus); ok {
		fmt.Fprintf(out, "\nCPU ÷ against: %s on local", a)
		for _, name := range []string{"echo/json/c=64/64B", "local/raw/c=64/64B", "echo/json/c=16/64KiB", "echo/raw/c=16/64KiB", "echo/json/c=16/1MiB", "echo/raw/c=16/1MiB"} {
			if s, ok := r.combine("gateway/"+name, "against/"+name, cpus); ok {
				fmt.Fprintf(out, "; %s on %s", s, name)
			}
		}
		fmt.Fprintln(out)
	}
}

// The figures of the page are between these lines. All else on the page stays.
const (
	beginMark = "<!-- figures: begin (written by make bench) -->"
	endMark   = "<!-- figures: end -->"
)

// writePage puts the figures into the page.
func (r *report) writePage() error {
	page, err := os.ReadFile(pageFile)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(page), beginMark)
	_, tail, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", pageFile, beginMark, endMark)
	}
	var b strings.Builder
	r.writeConditions(&b)
	fmt.Fprintf(&b, "## Targets\n\n")
	r.writeVerdicts(&b)
	for _, c := range charts {
		fmt.Fprintf(&b, "![%s](benchmarks/%s.svg)\n", c.title, c.name)
	}
	fmt.Fprintf(&b, "\n## Windows\n\nA name is target/service/form/connections/body. CPU is that of the target's processes; of direct calls, the broker's and the workers'.\n\n")
	r.writeWindows(&b)
	return os.WriteFile(pageFile, []byte(head+beginMark+"\n\n"+b.String()+"\n"+endMark+tail), 0o644)
}
