package main

import (
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"mdpgateway/internal/gateway"
)

// parseBytes reads a number of bytes of at least 1, with or without unit.
func parseBytes(text string, _ *kong.Tag) (int64, error) { return gateway.ParseBytes(text) }

// formatBytes writes a size in the largest unit of which it is a whole number.
func formatBytes(n int64) string { return gateway.FormatBytes(n) }

// formatDuration writes a duration as people do: 5m, not 5m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
