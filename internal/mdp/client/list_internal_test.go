package client

import "testing"

// used takes n connections for a moment.
func (l *list) used(n int) {
	var busy []*conn
	for range n {
		busy = append(busy, l.pop())
	}
	for _, c := range busy {
		l.push(c)
	}
}

func TestAListGivesUpWhatNobodyNeededForAPeriod(t *testing.T) {
	var l list
	for range 10 {
		l.push(new(conn))
	}
	for i, c := range []struct{ used, surplus int }{
		{3, 0}, {4, 6}, {4, 0}, {1, 3}, {0, 1}, {0, 0},
	} {
		l.used(c.used)
		if got := len(l.takeSurplus()); got != c.surplus {
			t.Fatalf("period %d, with %d used: %d taken, want %d of %d", i, c.used, got, c.surplus, l.len+got)
		}
	}
	l.push(new(conn))
	if got := len(l.takeAll()); got != 1 || l.len != 0 {
		t.Errorf("took %d, left %d, want all", got, l.len)
	}
	if l.takeSurplus() != nil {
		t.Error("an empty list has a surplus")
	}
}
