package broker

// A list is a doubly linked list whose nodes are fields of its elements, so that
// an element leaves any of its lists in constant time and without allocation.
// The zero list is empty.
type list[T any] struct {
	first, last *node[T]
	len         int
}

// A node is an element's place in at most one list. The zero node is in none.
type node[T any] struct {
	list       *list[T]
	prev, next *node[T]
	value      *T
}

// front returns the first element, or nil.
func (l *list[T]) front() *T {
	if l.first == nil {
		return nil
	}
	return l.first.value
}

// back returns the last value, or nil.
func (l *list[T]) back() *T {
	if l.last == nil {
		return nil
	}
	return l.last.value
}

// pushBack appends v, whose node n must be in no list.
func (l *list[T]) pushBack(n *node[T], v *T) { l.insert(n, v, l.last, nil) }

// pushFront prepends v, whose node n must be in no list.
func (l *list[T]) pushFront(n *node[T], v *T) { l.insert(n, v, nil, l.first) }

func (l *list[T]) insert(n *node[T], v *T, prev, next *node[T]) {
	*n = node[T]{list: l, prev: prev, next: next, value: v}
	if prev == nil {
		l.first = n
	} else {
		prev.next = n
	}
	if next == nil {
		l.last = n
	} else {
		next.prev = n
	}
	l.len++
}

// remove takes the node out of its list, if it is in one.
func (n *node[T]) remove() {
	l := n.list
	if l == nil {
		return
	}
	if n.prev == nil {
		l.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	l.len--
	*n = node[T]{}
}

// all walks the list; its elements must stay where they are meanwhile.
func (l *list[T]) all(yield func(*T) bool) {
	for n := l.first; n != nil; n = n.next {
		if !yield(n.value) {
			return
		}
	}
}
