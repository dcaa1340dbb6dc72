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

func TestAListGivesUpWhatNobodyNeededForAllQuarters(t *testing.T) {
	var l list
	for range 10 {
		l.push(new(conn))
	}
	for i, c := range []struct{ used, surplus int }{
		{0, 0}, {0, 0}, {3, 0}, {5, 0}, // in the first quarter it began with none
		{1, 5}, {1, 0}, {4, 0}, {2, 1}, {0, 0}, {0, 0}, {0, 2}, {0, 2}, {0, 0},
	} {
		l.used(c.used)
		if got := len(l.takeSurplus()); got != c.surplus {
			t.Fatalf("quarter %d, with %d used: %d taken, want %d of %d", i, c.used, got, c.surplus, l.len+got)
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
