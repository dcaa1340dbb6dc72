package main

import (
	"fmt"
	"regexp"
)

// The forms of a body.
const (
	asJSON = "json" // the gateway's envelope, both ways
	asRaw  = "raw"  // the body as it is, both ways
)

// A window is one measurement, which takes a second at a time.
type window struct {
	Target   string // what is asked: a name of setup.go, or one of the direct calls below
	Service  string // echo goes to a worker, local is answered inside the C broker
	Form     string // asJSON or asRaw; of direct calls it is raw
	Callers  int    // connections
	Size     int    // bytes of the body before it is put into a form
	other    bool   // measured only if BENCH_ONLY names it
	measured []*process
}

// The names of direct calls.
const (
	thePool      = "pool"       // through the gateway's own pool, at the C broker
	theDealers   = "dealers"    // C, at the C broker
	theGoDealers = "go-dealers" // Go without the pool, at the C broker
	theBroker    = "broker"     // C, at gateway broker
)

// direct reports whether a target is called without HTTP.
func direct(target string) bool {
	return target == thePool || target == theDealers || target == theGoDealers || target == theBroker
}

// aCrowd is the number of connections above which a gateway of its own is measured. The
// pool keeps its connections for a minute: with few connections after many, each call
// would use a socket that has left the CPU's caches.
const aCrowd = 64

// process returns the name that setup.go has for the process that w calls.
func (w window) process() string {
	if w.Target == theGateway && w.Callers > aCrowd {
		return theCrowd
	}
	return w.Target
}

// Sizes of bodies.
const (
	small  = 64
	middle = 64 << 10
	large  = 1 << 20
)

func (w window) String() string {
	return fmt.Sprintf("%s/%s/%s/c=%d/%s", w.Target, w.Service, w.Form, w.Callers, sizeText(w.Size))
}

func sizeText(n int) string {
	switch {
	case n >= large:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

// plan returns every window of a round.
func plan() (all []window) {
	add := func(target, service, form string, callers, size int) {
		all = append(all, window{Target: target, Service: service, Form: form, Callers: callers, Size: size})
	}
	for _, service := range []string{"local", "echo"} {
		for _, target := range []string{theGateway, theAgainst, theAiohttp, theFlask} {
			add(target, service, asJSON, 64, small)
			add(target, service, asRaw, 64, small)
		}
		add(thePool, service, asRaw, 64, small)
		add(theDealers, service, asRaw, 64, small)
		add(theGoDealers, service, asRaw, 64, small)
	}
	add(theBroker, "echo", asRaw, 64, small)
	add(theEmbedded, "echo", asJSON, 64, small)
	for _, callers := range []int{1, 64, 256, 1024} {
		add(theMuxed, "echo", asJSON, callers, small)
		add(thePlain, "echo", asJSON, callers, small)
	}
	add(theNull, "null", asRaw, 64, small)
	add(theNull, "wait", asRaw, 64, small)
	add(theNull, "services/echo", asJSON, 64, small)
	add(thePushpin, "echo", asRaw, 64, small)
	add(theNginx, "echo", asRaw, 64, small)
	for _, callers := range []int{1, 16, 256, 1024} {
		add(theGateway, "echo", asJSON, callers, small)
		add(theGateway, "local", asJSON, callers, small)
		add(thePool, "echo", asRaw, callers, small)
	}
	add(theGateway, "echo", asRaw, 1, small)
	for _, size := range []int{middle, large} {
		for _, callers := range []int{1, 16, 64} {
			add(theGateway, "echo", asRaw, callers, size)
			add(thePool, "echo", asRaw, callers, size)
		}
		add(theGateway, "echo", asJSON, 16, size)
		add(theAgainst, "echo", asRaw, 16, size)
		add(theAgainst, "echo", asJSON, 16, size)
		add(theNull, "null", asRaw, 16, size)
		add(theAiohttp, "echo", asRaw, 16, size)
		add(theNginx, "echo", asRaw, 16, size)
	}
	return append(all, others(all)...)
}

// others returns every other combination of form, connections and size, with the direct
// calls beside it. They take longer than a run may, so they are measured only if
// BENCH_ONLY names them.
func others(planned []window) (all []window) {
	known := map[string]bool{}
	for _, w := range planned {
		known[w.String()] = true
	}
	for _, size := range []int{small, middle, large} {
		for _, callers := range []int{1, 16, 64, 256, 1024} {
			for _, w := range []window{
				{Target: theGateway, Form: asRaw}, {Target: theGateway, Form: asJSON}, {Target: thePool, Form: asRaw},
			} {
				w.Service, w.Callers, w.Size, w.other = "echo", callers, size, true
				if !known[w.String()] {
					all = append(all, w)
				}
			}
		}
	}
	return all
}

// windows returns the windows whose targets run here and that only matches. If only is
// nil, these are all but the others.
func (b *bench) windows(only *regexp.Regexp) (all []window) {
	for _, w := range plan() {
		if only == nil && w.other || only != nil && !only.MatchString(w.String()) {
			continue
		}
		names := []string{w.process()}
		switch w.Target {
		case thePool, theDealers, theGoDealers:
			names = []string{"broker", "workers-of-broker"}
		case theBroker:
			names = []string{"ours", "workers-of-ours"}
		case theNginx:
			names = []string{theNginx, "echo"}
		case thePushpin:
			names = []string{thePushpin, "zhttp"}
		}
		_, speaks := b.urls[w.process()]
		if !speaks && !direct(w.Target) {
			continue
		}
		for _, name := range names {
			w.measured = append(w.measured, b.procs[name])
		}
		all = append(all, w)
	}
	return all
}
