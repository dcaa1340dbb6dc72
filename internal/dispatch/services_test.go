package dispatch

import (
	"fmt"
	"testing"
	"time"
)

func TestServicesAreRememberedUpToABoundTheNewestFirst(t *testing.T) {
	s := newServices(1)
	start := time.Now()
	const more = 10
	for i := range maxServices + more {
		s.add(fmt.Sprint(i)).confirm(0, start.Add(time.Duration(i)*time.Second))
	}
	if got := len(s.byName); got != maxServices {
		t.Errorf("%d are remembered, want %d", got, maxServices)
	}
	for _, i := range []int{0, more - 1} {
		if s.get(fmt.Sprint(i)) != nil {
			t.Errorf("service %d is remembered, want it forgotten for a newer one", i)
		}
	}
	for _, i := range []int{more, maxServices + more - 1} {
		if s.get(fmt.Sprint(i)) == nil {
			t.Errorf("service %d is forgotten, want an older one", i)
		}
	}
}

func TestDeniedNamesAreRememberedUpToABound(t *testing.T) {
	a, now := newAbsent(), time.Now()
	for i := range 3 * maxAbsent {
		a.add(0, fmt.Sprint(i), now)
	}
	if got := len(a.until); got > maxAbsent {
		t.Errorf("%d are remembered, want at most %d", got, maxAbsent)
	}
	last := fmt.Sprint(3*maxAbsent - 1)
	if !a.has(0, last, now) || a.has(1, last, now) || a.has(0, last, now.Add(absentFor)) {
		t.Error("the last is denied by this broker for this time alone")
	}
}

func TestOrphansAreBounded(t *testing.T) {
	var o orphans
	until := time.Now().Add(time.Hour)
	for range maxOrphans + 1 {
		o.add("svc", 0, 0, until)
	}
	got := o.count(time.Now(), func(int, uint64) bool { return true })["svc"]
	if got > maxOrphans || got < maxOrphans/2 {
		t.Errorf("%d are counted, want the newer half of %d", got, maxOrphans)
	}
}
