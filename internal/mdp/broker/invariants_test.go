package broker

import "testing"

// checkState fails the test if the state contradicts itself.
func checkState(t *testing.T, s *state) {
	t.Helper()
	var all, unserved load
	workers := 0
	for name, svc := range s.services {
		if name != svc.name || svc.workers == 0 && svc.queued.requests == 0 {
			t.Fatalf("service %q (%q) has neither workers nor requests", name, svc.name)
		}
		if svc.idle.len > 0 && svc.queued.requests > 0 {
			t.Fatalf("service %q has %d idle workers and %d queued requests", name, svc.idle.len, svc.queued.requests)
		}
		queued := checkLines(t, s, svc)
		all.add(queued)
		if svc.workers == 0 {
			unserved.add(queued)
		}
		for w := range svc.idle.all {
			if w.request != nil || s.workers[string(w.id)] != w {
				t.Fatalf("worker %q is idle in %q, registered %v, with request %v", w.id, name, s.workers[string(w.id)] == w, w.request)
			}
		}
		workers += svc.workers
	}
	if s.queued != all || s.unserved != unserved || len(s.deadlines.heap) != all.requests {
		t.Fatalf("queued %v, unserved %v, deadlines %d, want %v, %v", s.queued, s.unserved, len(s.deadlines.heap), all, unserved)
	}
	if workers != len(s.workers) || s.alive.len+s.patient.len != workers {
		t.Fatalf("%d workers, %d in services, %d alive, %d patient", len(s.workers), workers, s.alive.len, s.patient.len)
	}
	for i, r := range s.deadlines.heap {
		if r.rank != i || r.deadline.Before(s.deadlines.front().deadline) {
			t.Fatalf("place %d of the deadlines has the request of place %d, or it should be first", i, r.rank)
		}
	}
	checkWorkers(t, s)
	checkOutboxes(t, s)
	checkMuxes(t, s)
	if all.requests > s.cfg.QueueMax+len(s.workers)+s.cfg.Redispatch*int(s.count.redispatched) {
		t.Fatalf("%d requests are queued, want at most %d", all.requests, s.cfg.QueueMax)
	}
}

// checkLines returns what is queued for a service.
func checkLines(t *testing.T, s *state, svc *service) (queued load) {
	t.Helper()
	if len(svc.byClient) != svc.lines.len {
		t.Fatalf("service %q has %d clients by id and %d in turn", svc.name, len(svc.byClient), svc.lines.len)
	}
	for l := range svc.lines.all {
		if svc.byClient[l.client] != l || l.requests.len == 0 {
			t.Fatalf("service %q: the line of client %q has %d requests", svc.name, l.client, l.requests.len)
		}
		for r := range l.requests.all {
			if r.body == nil || r.over || r.line != l || r.service != svc || s.deadlines.heap[r.rank] != r {
				t.Fatalf("service %q: a queued request of %q is %+v", svc.name, l.client, r)
			}
			queued.add(load{1, r.size})
		}
	}
	if queued != svc.queued {
		t.Fatalf("service %q: queued %v, want %v", svc.name, svc.queued, queued)
	}
	return queued
}

func checkWorkers(t *testing.T, s *state) {
	t.Helper()
	for _, l := range []*list[worker]{&s.alive, &s.patient} {
		var last *worker
		for w := range l.all {
			if last != nil && w.heard.Before(last.heard) {
				t.Fatal("workers are not in the order in which they were heard")
			}
			if last = w; s.services[w.service.name] != w.service || s.workers[string(w.id)] != w {
				t.Fatalf("worker %q is heard of but not registered", w.id)
			}
			if (w.request == nil) != (w.rest.list != nil) {
				t.Fatalf("worker %q has request %v, idle %v", w.id, w.request, w.rest.list != nil)
			}
		}
	}
}

func checkOutboxes(t *testing.T, s *state) {
	t.Helper()
	all := int64(0)
	for box := range s.stalled.all {
		bytes := int64(0)
		for m := range box.messages.all {
			bytes += m.size
		}
		if s.outboxes[string(box.client)] != box || bytes == 0 || bytes != box.bytes ||
			box.messages.len > 1 && bytes > s.cfg.OutboxBytes/clientShare {
			t.Fatalf("client %q has %d messages of %d bytes waiting, counted as %d", box.client, box.messages.len, bytes, box.bytes)
		}
		all += bytes
	}
	if all != s.outgoing || all > s.cfg.OutboxBytes || s.stalled.len != len(s.outboxes) {
		t.Fatalf("%d bytes wait for %d clients, counted as %d for %d", all, len(s.outboxes), s.outgoing, s.stalled.len)
	}
}
