package client

// A list holds connections that rest, the one that rests longest first. All of them take
// turns, so their age does not show that there are too many: the list remembers the
// fewest that it held in a period.
type list struct {
	first, last *conn
	len         int
	least       int // that it held since the period began
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
	l.least = min(l.least, l.len)
	return c
}

// takeFirst takes out the first connection that is fit, or nil.
func (l *list) takeFirst(fit func(*conn) bool) *conn {
	for before, c := (*conn)(nil), l.first; c != nil; before, c = c, c.next {
		if !fit(c) {
			continue
		}
		if before == nil {
			return l.pop()
		}
		if before.next = c.next; l.last == c {
			l.last = before
		}
		c.next = nil
		l.len--
		l.least = min(l.least, l.len)
		return c
	}
	return nil
}

func (l *list) takeAll() []*conn {
	all := l.take(l.len)
	*l = list{}
	return all
}

// takeSurplus takes out as many connections as nobody needed since it was last called.
func (l *list) takeSurplus() []*conn {
	surplus := l.take(l.least)
	l.least = l.len
	return surplus
}

func (l *list) take(n int) (taken []*conn) {
	for range n {
		taken = append(taken, l.pop())
	}
	return taken
}
