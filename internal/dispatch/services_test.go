package dispatch

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

// setBack returns the same moment as a clock shows it that was set back by whole seconds:
// the monotonic part, which time.Time has beside the wall clock's, stays.
func setBack(t *testing.T, moment time.Time, by time.Duration) time.Time {
	shown := moment
	*(*uint64)(unsafe.Pointer(&shown)) -= uint64(by/time.Second) << 30
	if shown.Sub(moment) != 0 || shown.Unix() != moment.Add(-by).Unix() {
		t.Fatalf("time.Time has another layout: %v became %v", moment, shown)
	}
	return shown
}

func TestAClockThatIsSetBackKeepsNoServiceKnown(t *testing.T) {
	svc := newServices(1).add("echo")
	now := time.Now()
	svc.replied(0, now)
	if later := setBack(t, now.Add(knownFor-time.Millisecond), time.Hour); !svc.known(0, later) || !svc.remembered(later) {
		t.Error("the service is forgotten early")
	}
	if later := setBack(t, now.Add(knownFor), time.Hour); svc.known(0, later) {
		t.Errorf("the service is known %v after its reply", knownFor)
	}
	if later := setBack(t, now.Add(rememberedFor), time.Hour); svc.remembered(later) {
		t.Errorf("the service is remembered %v after its reply", rememberedFor)
	}
}

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
		o.add(orphan{service: "svc", until: until})
	}
	got := o.count(func(orphan, int) bool { return true })["svc"]
	if got > maxOrphans || got < maxOrphans/2 {
		t.Errorf("%d are counted, want the newer half of %d", got, maxOrphans)
	}
}
