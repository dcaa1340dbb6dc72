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
