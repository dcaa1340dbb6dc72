package client

import "slices"

// quarters are those of Config.Idle.
const quarters = 4

// A list holds idle connections, the one that rests longest first. All of them take
// turns, so none says of itself that it is not needed: the list remembers how few it
// held.
type list struct {
	first, last *conn
	len         int
	least       [quarters]int // of what it holds now, that it held in each quarter, this one first
}

func (l *list) push(c *conn) {
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.len++
}

// pushFront gives back what was taken and not used.
func (l *list) pushFront(c *conn) {
	if l.first == nil {
		l.last = c
	}
	c.next, l.first = l.first, c
	l.len++
}

func (l *list) pop() *conn {
	c := l.first
	if c == nil {
		return nil
	}
	if l.first = c.next; l.first == nil {
		l.last = nil
	}
	c.next = nil
	l.len--
	l.least[0] = min(l.least[0], l.len)
	return c
}

func (l *list) takeAll() []*conn {
	all := l.take(l.len)
	*l = list{}
	return all
}

// takeSurplus takes out as many connections as nobody needed in any of the last
// quarters, and begins another.
func (l *list) takeSurplus() []*conn {
	surplus := slices.Min(l.least[:])
	copy(l.least[1:], l.least[:quarters-1])
	for i := range l.least {
		l.least[i] -= surplus
	}
	l.least[0] = l.len
	return l.take(surplus)
}

func (l *list) take(n int) (taken []*conn) {
	for range n {
		taken = append(taken, l.pop())
	}
	return taken
}
