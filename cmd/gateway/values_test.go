package main

import (
	"testing"
	"time"
)

func TestBytesAreReadInAnyUnitAndWrittenInTheLargest(t *testing.T) {
	for _, c := range []struct {
		text    string
		want    int64
		written string
	}{
		{"1", 1, "1"}, {"1B", 1, "1"}, {"1000", 1000, "1000"}, {"1kB", 1000, "1000"}, {"1KB", 1000, "1000"},
		{"1KiB", 1024, "1KiB"}, {"1024", 1024, "1KiB"}, {"64 MiB", 64 << 20, "64MiB"}, {"2MB", 2e6, "2000000"},
		{"1536KiB", 1536 << 10, "1536KiB"}, {"3GiB", 3 << 30, "3GiB"}, {"3GB", 3e9, "3000000000"},
	} {
		got, err := parseBytes(c.text, nil)
		if err != nil || got != c.want {
			t.Errorf("%q: got %d, %v, want %d", c.text, got, err, c.want)
		}
		if w := formatBytes(got); w != c.written {
			t.Errorf("%q: written as %s, want %s", c.text, w, c.written)
		}
	}
}

func FuzzBytesThatAreReadAreWrittenTheSame(f *testing.F) {
	for _, seed := range []string{"64MiB", "1", "0", "-1", "9223372036854775807", "8589934592GiB", "1 kB", "1.5MiB", "MiB", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseBytes(text, nil)
		if err != nil {
			return
		}
		again, err := parseBytes(formatBytes(n), nil)
		if n < 1 || err != nil || again != n {
			t.Errorf("%q is %d bytes, written %s, read as %d (%v)", text, n, formatBytes(n), again, err)
		}
	})
}

func TestDurationsAreWrittenAsPeopleDo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 25 * time.Second: "25s", 5 * time.Minute: "5m", 650 * time.Second: "10m50s", time.Hour: "1h",
		90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 500 * time.Millisecond: "500ms",
		10 * time.Minute: "10m", 20 * time.Hour: "20h", 30 * time.Second: "30s",
	} {
		got := formatDuration(d)
		if back, err := time.ParseDuration(got); got != want || err != nil || back != d {
			t.Errorf("%d: got %s (%v), want %s", d, got, err, want)
		}
	}
}
