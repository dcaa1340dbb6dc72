package main

import (
	"errors"
	"net/http"
	"slices"
)

// pairs is how often the gateways with and without jobs are compared.
const pairs = 9

// unused compares the synchronous call at this gateway, whose jobs nobody uses now, and at one without jobs: the CPU
// time of a call, in pairs whose order alternates.
func (b *bench) unused() error {
	const what = "CPU time of a synchronous call, jobs on and unused ÷ jobs off: median of 9 pairs, quartiles"
	if b.column == "nats3" { // the gateway is the same as with one server
		b.dashes(what)
		return nil
	}
	off := *b
	off.store = "off"
	var err error
	if off.gateway, err = off.start(); err != nil {
		return err
	}
	defer func() { off.gateway.stop() }()
	stop, err := off.work()
	if err != nil {
		return err
	}
	defer stop()
	var ratios []float64
	for i := range pairs {
		first, second := b, &off
		if i%2 == 1 {
			first, second = second, first
		}
		a, err1 := first.cpuOfCall()
		c, err2 := second.cpuOfCall()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if i%2 == 1 {
			a, c = c, a
		}
		ratios = append(ratios, a/c)
	}
	slices.Sort(ratios)
	b.add(what, "%.3f, %.3f to %.3f",
		ratios[pairs/2], ratios[pairs/4], ratios[pairs*3/4])
	return nil
}

// cpuOfCall is the gateway's CPU time of a synchronous call, in milliseconds.
func (b *bench) cpuOfCall() (float64, error) {
	before, err1 := b.gateway.cpu()
	n, _, err2 := load(pollers, within(b.each/3), func() error { _, err := b.post("now", "", http.StatusOK); return err })
	after, err3 := b.gateway.cpu()
	return (after - before).Seconds() * 1000 / float64(n), errors.Join(err1, err2, err3)
}
