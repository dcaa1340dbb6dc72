package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"mdpgateway/internal/gateway"
)

// servicesCmd is gateway services.
type servicesCmd struct{ remote }

// Run prints the services that a running gateway knows, as a table.
func (c *servicesCmd) Run(p *process) error {
	if err := c.open(); err != nil {
		return err
	}
	all, err := c.list(p.ctx)
	if err != nil {
		return err
	}
	return printServices(p.stdout, all, isColourful(p.stdout))
}

func printServices(w io.Writer, all []gateway.ServiceInfo, colour bool) error {
	wide := len("SERVICE")
	for _, s := range all {
		wide = max(wide, len(s.Name))
	}
	_, err := fmt.Fprintf(w, "%s  STATE    WORKERS   BUSY  QUEUE  FLIGHT      CALLS  FAILED  LAST REPLY  \n", column("SERVICE", wide))
	for _, s := range all {
		workers, busy, queued := liveColumns(s.Live)
		line := fmt.Sprintf("%s  %s  %7s  %5s  %5s  %6d  %9d  %6d  %-10s  %s", column(s.Name, wide), stateColumn(&s, colour),
			workers, busy, queued, s.InFlight, s.Calls, s.Failed, ago(s.LastOK), s.Description)
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return err
}

// stateColumn returns whether a service can be called, or that it never answered, in seven characters.
func stateColumn(s *gateway.ServiceInfo, colour bool) string {
	if s.Silent {
		return paint(colour, red, column("silent", 7))
	}
	a := s.Availability
	painted := map[gateway.Availability]int{gateway.ServiceUp: green, gateway.ServiceDown: red, gateway.ServiceUnknown: yellow}
	return paint(colour, painted[a], column(a, 7))
}

// liveColumns returns what the embedded broker knows of a service; of another broker nothing is known.
func liveColumns(live *gateway.LiveService) (workers, busy, queued string) {
	if live == nil {
		return "-", "-", "-"
	}
	return strconv.Itoa(live.Workers), strconv.Itoa(live.Busy), strconv.Itoa(live.Queued)
}

// ago writes how long ago something was, in milliseconds.
func ago(ms *int64) string {
	if ms == nil {
		return "never"
	}
	d := time.Duration(*ms) * time.Millisecond
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return d.String() + " ago"
}
