package client

// A list holds idle connections, the one that rests longest first.
type list struct {
	first, last *conn
	len         int
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
	return c
}

func (l *list) takeAll() (all []*conn) {
	for c := l.pop(); c != nil; c = l.pop() {
		all = append(all, c)
	}
	return all
}
