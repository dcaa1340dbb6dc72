package broker

import "container/heap"

// deadlines are the queued requests. The first is that whose deadline is first.
type deadlines struct{ heap byDeadline }

func (d *deadlines) add(r *request)    { heap.Push(&d.heap, r) }
func (d *deadlines) remove(r *request) { heap.Remove(&d.heap, r.rank) }

// front returns the first request, or nil.
func (d *deadlines) front() *request {
	if len(d.heap) == 0 {
		return nil
	}
	return d.heap[0]
}

// byDeadline is a heap of requests that know their places in it.
type byDeadline []*request

func (h byDeadline) Len() int           { return len(h) }
func (h byDeadline) Less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }

func (h byDeadline) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].rank, h[j].rank = i, j
}

// Push is for the package heap.
func (h *byDeadline) Push(x any) {
	r := x.(*request)
	r.rank = len(*h)
	*h = append(*h, r)
}

// Pop is for the package heap.
func (h *byDeadline) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
