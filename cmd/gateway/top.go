package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"mdpgateway/internal/gateway"
)

// topCmd is gateway top.
type topCmd struct {
	remote
	Interval time.Duration `default:"1s" given:"" placeholder:"DURATION" help:"Time between two looks (${default})."`
}

// What a terminal is told (ECMA-48, and xterm's alternate screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // and hide the cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// Run shows the services of a running gateway until it is interrupted, the busiest first.
func (c *topCmd) Run(p *process) error {
	screen, ok := p.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(screen.Fd())) { // #nosec G115
		return usageError{fmt.Errorf("top needs a terminal; gateway services prints the services once")}
	}
	if err := c.open(); err != nil {
		return err
	}
	last, err := c.look(p.ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(screen, enterScreen)
	defer fmt.Fprint(screen, leaveScreen)
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for now := last; ; {
		width, height, err := term.GetSize(int(screen.Fd())) // #nosec G115
		if err != nil {
			return err
		}
		text := strings.Join(topLines(c.URL, &last, &now, width, height, isColourful(screen)), eraseLine+"\r\n")
		fmt.Fprint(screen, home+text+eraseLine+eraseBelow)
		select {
		case <-p.ctx.Done():
			return nil
		case <-tick.C:
		}
		last = now
		if now, err = c.look(p.ctx); err != nil {
			now = last
			now.trouble = err.Error()
		}
	}
}

// A look is what a gateway said at one moment.
type look struct {
	at       time.Time
	services []seenService
	trouble  string // what is wrong, empty if nothing
}

// A seenService is one of GET /overview.
type seenService struct {
	Service gateway.ServiceInfo
	Recent  struct { // in the last minutes; nil without calls
		P50 *float64 `json:"p50_ms"`
		P99 *float64 `json:"p99_ms"`
	}
}

func (c *topCmd) look(ctx context.Context) (look, error) {
	l := look{at: time.Now()}
	var seen struct{ Services []seenService }
	if err := c.get(ctx, "/overview", &seen); err != nil {
		return l, err
	}
	l.services = seen.Services
	var ready struct {
		Degraded []string
		Detail   string
	}
	switch err := c.get(ctx, "/readyz", &ready); {
	case err != nil:
		l.trouble = err.Error()
	case ready.Degraded != nil:
		l.trouble = strings.TrimSpace("degraded: " + strings.Join(ready.Degraded, ", ") + " " + ready.Detail)
	}
	return l, nil
}

// A row is a service with its rates between two looks, in calls a second.
type row struct {
	gateway.ServiceInfo
	calls, failed float64
	p50, p99      *float64 // in milliseconds; nil without calls
}

// topLines returns the lines of a screen of that size.
func topLines(url string, last, now *look, width, height int, colour bool) []string {
	rows, total := rates(last, now)
	state := paint(colour, green, "ready")
	if now.trouble != "" {
		state = paint(colour, red, cut(now.trouble, max(width-40, 10)))
	}
	lines := []string{
		cut(fmt.Sprintf("%s  %s  %d services  %.1f calls/s  %.1f failed/s  %d in flight", now.at.Format("15:04:05"), url, len(rows), total.calls, total.failed, total.InFlight), width),
		state, "",
		cut(fmt.Sprintf("%s  STATE     CALLS/S  FAILED/S       P50       P99  FLIGHT  QUEUE  BUSY/WORKERS  LAST REPLY", column("SERVICE", 24)), width),
	}
	for _, r := range rows[:min(len(rows), max(height-len(lines), 0))] {
		workers, busy, queued := liveColumns(r.Live)
		rest := fmt.Sprintf("  %8.1f  %8.1f  %8s  %8s  %6d  %5s  %12s  %s", r.calls, r.failed, took(r.p50), took(r.p99), r.InFlight, queued, busy+"/"+workers, ago(r.LastOK))
		lines = append(lines, column(r.Name, 24)+"  "+stateColumn(&r.ServiceInfo, colour)+cut(rest, max(width-33, 0)))
	}
	return lines
}

// rates returns the services with their rates, the busiest first, and the sum of all.
func rates(last, now *look) (rows []row, total row) {
	before := map[string]gateway.ServiceInfo{}
	for _, s := range last.services {
		before[s.Service.Name] = s.Service
	}
	seconds := now.at.Sub(last.at).Seconds()
	for _, seen := range now.services {
		s := seen.Service
		r := row{ServiceInfo: s, p50: seen.Recent.P50, p99: seen.Recent.P99}
		if b, ok := before[s.Name]; ok && seconds > 0 && s.Calls >= b.Calls && s.Failed >= b.Failed { // else it was restarted
			r.calls, r.failed = float64(s.Calls-b.Calls)/seconds, float64(s.Failed-b.Failed)/seconds
		}
		total.calls, total.failed, total.InFlight = total.calls+r.calls, total.failed+r.failed, total.InFlight+r.InFlight
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(b.InFlight, a.InFlight), cmp.Compare(a.Name, b.Name))
	})
	return rows, total
}

// took writes how long calls took, in milliseconds.
func took(ms *float64) string {
	if ms == nil {
		return "-"
	}
	d := time.Duration(*ms * float64(time.Millisecond))
	switch {
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	}
	return d.String()
}

// cut returns at most so many characters of a text.
func cut(text string, most int) string {
	if all := []rune(text); len(all) > most {
		return string(all[:most])
	}
	return text
}
