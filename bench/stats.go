package main

import (
	"fmt"
	"slices"
)

// A spread is the median of several rounds with the minimum and the maximum.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// String returns the median with min–max.
func (s spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", short(s.Median), short(s.Min), short(s.Max))
}

// short prints a number with about three digits.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// The values of a sample.
func rate(s sample) float64    { return s.Rate }
func cpu(s sample) float64     { return s.CPU }
func p50(s sample) float64     { return s.P50 }
func p99(s sample) float64     { return s.P99 }
func rss(s sample) float64     { return s.RSS }
func threads(s sample) float64 { return float64(s.Threads) }

// of returns the spread of one value of a series.
func (s series) of(value func(sample) float64) spread {
	var all []float64
	for _, each := range s.Samples {
		all = append(all, value(each))
	}
	return spreadOf(all)
}

// combine returns the spread of a function of two windows in the same round. ok is false
// if one of them was not measured.
func (r *report) combine(a, b string, value func(a, b sample) float64) (spread, bool) {
	x, y := r.find(a), r.find(b)
	if x == nil || y == nil {
		return spread{}, false
	}
	var all []float64
	for i := range min(len(x.Samples), len(y.Samples)) {
		all = append(all, value(x.Samples[i], y.Samples[i]))
	}
	return spreadOf(all), true
}

func (r *report) find(name string) *series {
	for i := range r.Series {
		if r.Series[i].Name == name {
			return &r.Series[i]
		}
	}
	return nil
}

// The ways to combine.
func rates(a, b sample) float64   { return a.Rate / b.Rate }
func cpus(a, b sample) float64    { return a.CPU / b.CPU }
func p50s(a, b sample) float64    { return a.P50 / b.P50 }
func added50(a, b sample) float64 { return (a.P50 - b.P50) / b.P50 }
func added99(a, b sample) float64 { return a.P99 - b.P99 }
