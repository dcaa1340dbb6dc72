package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A chart is a picture of some windows.
type chart struct {
	name, title string
	draw        func(r *report) string
}

// charts never changes.
var charts = [...]chart{
	{"peers", "Throughput of the gateway divided by that of others", (*report).drawPeers},
	{"latency", "Latency against connections", (*report).drawLatency},
	{"cpu", "CPU per request against connections", (*report).drawCPU},
}

func (r *report) writeCharts() error {
	for _, c := range charts {
		file := filepath.Join(chartsDir, c.name+".svg")
		if err := os.WriteFile(file, []byte(c.draw(r)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The size of a chart and its margins.
const (
	chartWidth, chartHeight    = 720, 320
	left, right, top, baseline = 64, 150, 40, 270
	svgHead                    = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13"><rect width="100%%" height="100%%" fill="white"/>` + "\n"
	svgTitle                   = `<text x="%d" y="22" font-size="15">%s</text>` + "\n"
	plotWidth, plotHeight      = chartWidth - left - right, baseline - top
	colors, dark, grey         = "#1b6ca8 #d1495b #66a182 #edae49", "#222", "#ddd"
)

func beginChart(title string) *strings.Builder {
	var b strings.Builder
	fmt.Fprintf(&b, svgHead, chartWidth, chartHeight)
	fmt.Fprintf(&b, svgTitle, left, title)
	return &b
}

// drawPeers draws a bar for each peer, with a line from the minimum to the maximum.
func (r *report) drawPeers() string {
	b := beginChart("gateway ÷ other, replies a second (JSON, 64 B, 64 connections)")
	bars := []struct{ label, a, b string }{
		{"aiohttp, local", localJSON, "aiohttp/local/json/c=64/64B"},
		{"aiohttp, echo", mainJSON, "aiohttp/echo/json/c=64/64B"},
		{"Flask, local", localJSON, "flask/local/json/c=64/64B"},
		{"Flask, echo", mainJSON, "flask/echo/json/c=64/64B"},
		{"Pushpin", mainJSON, "pushpin/echo/raw/c=64/64B"},
		{"nginx, no ZeroMQ", mainJSON, "nginx/echo/raw/c=64/64B"},
		{"direct, same pool", mainJSON, mainPool},
	}
	y := top
	for _, bar := range bars {
		s, ok := r.combine(bar.a, bar.b, rates)
		if !ok {
			continue
		}
		scale := func(v float64) float64 { return 200 + min(v, 12)*35 }
		fmt.Fprintf(b, `<text x="190" y="%d" text-anchor="end">%s</text><rect x="200" y="%d" width="%.1f" height="18" fill="#1b6ca8"/>`, y+14, bar.label, y, scale(s.Median)-200)
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
			scale(s.Min), scale(s.Max), y+9, y+9, dark, scale(s.Max)+6, y+14, s)
		y += 34
	}
	return b.String() + "</svg>\n"
}

// A curve is one value against the number of connections.
type curve struct {
	label   string
	windows string // with %d for the connections
	value   func(sample) float64
}

func (r *report) drawLatency() string {
	return r.drawCurves("latency in ms against connections (echo, 64 B)", []curve{
		{"gateway p50", "gateway/echo/json/c=%d/64B", p50},
		{"gateway p99", "gateway/echo/json/c=%d/64B", p99},
		{"direct p50", "pool/echo/raw/c=%d/64B", p50},
		{"direct p99", "pool/echo/raw/c=%d/64B", p99},
	})
}

func (r *report) drawCPU() string {
	return r.drawCurves("gateway's CPU per request in µs against connections (JSON, 64 B)", []curve{
		{"local", "gateway/local/json/c=%d/64B", cpu},
		{"echo", "gateway/echo/json/c=%d/64B", cpu},
	})
}

// drawCurves draws curves over numbers of connections with even distances.
func (r *report) drawCurves(title string, curves []curve) string {
	b := beginChart(title)
	connections := []int{1, 16, 64, 256, 1024}
	most := 0.0
	for _, c := range curves {
		for _, n := range connections {
			if s := r.find(fmt.Sprintf(c.windows, n)); s != nil {
				most = max(most, s.of(c.value).Median)
			}
		}
	}
	for i := range 5 {
		v := most * float64(i) / 4
		y := baseline - plotHeight*i/4
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s"/><text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left, left+plotWidth, y, y, grey, left-8, y+4, short(v))
	}
	for i, c := range curves {
		color := strings.Fields(colors)[i]
		var points []string
		for k, n := range connections {
			x := left + plotWidth*k/(len(connections)-1)
			if i == 0 {
				fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%d</text>`+"\n", x, baseline+22, n)
			}
			if s := r.find(fmt.Sprintf(c.windows, n)); s != nil && most > 0 {
				points = append(points, fmt.Sprintf("%d,%.1f", x, baseline-plotHeight*s.of(c.value).Median/most))
			}
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n",
			strings.Join(points, " "), color, left+plotWidth+12, top+20*i+10, color, c.label)
	}
	return b.String() + "</svg>\n"
}
