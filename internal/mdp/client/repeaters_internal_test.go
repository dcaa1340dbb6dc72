package client

import (
	"fmt"
	"testing"
	"time"
)

func TestARepeaterIsForgottenAfterTenMinutes(t *testing.T) {
	r, start := repeaters{}, time.Now()
	if r.has("a", start) || r.count(start) != 0 {
		t.Error("a service repeats before it was seen to")
	}
	if !r.note("a", start) || r.note("a", start.Add(4*time.Minute)) {
		t.Error("want the first sighting of a to be new, and the second not to be")
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{4 * time.Minute, 1}, {14*time.Minute - 1, 1}, {14 * time.Minute, 0}} {
		now := start.Add(c.after)
		if r.has("a", now) != (c.want == 1) || r.has("b", now) || r.count(now) != c.want {
			t.Errorf("after %v: a repeats: %v, %d do, want %d", c.after, r.has("a", now), r.count(now), c.want)
		}
	}
	if !r.note("a", start.Add(14*time.Minute)) {
		t.Error("want a sighting after the end to be new")
	}
}

func TestRepeatersAreBounded(t *testing.T) {
	r, start := repeaters{}, time.Now()
	for i := range 2 * maxRepeaters {
		r.note(fmt.Sprint(i), start.Add(time.Duration(i)))
	}
	if len(r) != maxRepeaters || r.has("0", start) || !r.has(fmt.Sprint(2*maxRepeaters-1), start) {
		t.Errorf("%d are held, want the newest %d", len(r), maxRepeaters)
	}
}

// BenchmarkRepeaters measures what every call pays for being asked after.
func BenchmarkRepeaters(b *testing.B) {
	for _, held := range []int{0, maxRepeaters} {
		b.Run(fmt.Sprintf("held=%d", held), func(b *testing.B) {
			r, now := repeaters{}, time.Now()
			for i := range held {
				r.note(fmt.Sprint("service-", i), now)
			}
			b.ReportAllocs()
			for b.Loop() {
				if r.has("echo", now) {
					b.Fatal("echo repeats")
				}
			}
		})
	}
}
