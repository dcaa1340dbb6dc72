package budget

import (
	"math"
	"sync"
	"testing"
)

func TestTakeGivesNoMoreThanTheMaximum(t *testing.T) {
	b := New(100)
	for _, c := range []struct {
		take int64
		want bool
		held int64
	}{
		{0, true, 0}, {60, true, 60}, {41, false, 60}, {math.MaxInt64, false, 60}, {40, true, 100}, {1, false, 100}, {0, true, 100},
	} {
		if got := b.Take(c.take); got != c.want || b.Bytes() != c.held {
			t.Fatalf("Take(%d) = %v with %d held, want %v with %d", c.take, got, b.Bytes(), c.want, c.held)
		}
	}
	b.Release(100)
	if b.Bytes() != 0 || b.Max() != 100 {
		t.Fatalf("after the release %d of %d are held, want 0 of 100", b.Bytes(), b.Max())
	}
}

func TestALeaseThatCannotGrowKeepsWhatItHas(t *testing.T) {
	b := New(10)
	l, other := b.Lease(), b.Lease()
	if !l.Resize(4) || !other.Resize(6) {
		t.Fatal("two leases of 4 and 6 bytes do not fit in 10")
	}
	if l.Resize(5) {
		t.Error("a lease grew beyond the budget")
	}
	if b.Bytes() != 10 {
		t.Errorf("%d bytes are held after a refusal, want 10", b.Bytes())
	}
	if !other.Resize(1) || !l.Resize(9) {
		t.Error("what one lease gave back was not there for the other")
	}
	l.Release()
	l.Release()
	other.Release()
	if b.Bytes() != 0 {
		t.Errorf("%d bytes are held after all releases, want 0", b.Bytes())
	}
}

func TestManyLeasesAtOnceNeverHoldMoreThanTheBudget(t *testing.T) {
	const budget, holders, rounds = 1000, 16, 2000
	b := New(budget)
	var wg sync.WaitGroup
	for i := range holders {
		wg.Go(func() {
			l := b.Lease()
			defer l.Release()
			for round := range rounds {
				l.Resize(int64((round*7 + i*13) % 200))
				if held := b.Bytes(); held > budget || held < 0 {
					t.Errorf("%d bytes are held, want 0 to %d", held, budget)
					return
				}
			}
		})
	}
	wg.Wait()
	if b.Bytes() != 0 {
		t.Errorf("%d bytes are held at the end, want 0", b.Bytes())
	}
}

func TestWhatIsMeasuredCountsInPlaceOfWhatWasMeasuredOrHandedOverBefore(t *testing.T) {
	b := New(100)
	if !b.Take(80) || b.Take(21) || b.Bytes() != 80 {
		t.Fatalf("%d bytes are held, want 80, and no 21 more", b.Bytes())
	}
	if b.HandOver(50); b.Bytes() != 80 {
		t.Fatalf("%d bytes are held, want 80 as before", b.Bytes())
	}
	for _, c := range []struct{ found, left, held int64 }{{60, 10, 90}, {90, -20, 120}, {0, 70, 30}} {
		found, left := b.Measure(func() int64 { return c.found })
		if found != c.found || left != c.left || b.Bytes() != c.held {
			t.Errorf("measured %d: got %d, %d left, %d held, want %d left, %d held", c.found, found, left, b.Bytes(), c.left, c.held)
		}
		if full := c.left < 1; b.Take(1) == full {
			t.Errorf("with %d bytes left a byte was to be had: %v", c.left, !full)
		} else if !full {
			b.Release(1)
		}
	}
}

func TestWhatIsHandedOverDuringAMeasurementStillCountsAfterIt(t *testing.T) {
	b := New(100)
	b.Measure(func() int64 { return 10 })
	if _, left := b.Measure(func() int64 {
		if !b.Take(40) {
			t.Error("40 bytes do not fit beside 10")
		}
		b.HandOver(40)
		return 20
	}); left != 40 || b.Bytes() != 60 {
		t.Errorf("%d left, %d held, want 20 measured and 40 taken", left, b.Bytes())
	}
	if b.Measure(func() int64 { return 60 }); b.Bytes() != 60 {
		t.Errorf("%d held, want the 60 of the next measurement", b.Bytes())
	}
}
