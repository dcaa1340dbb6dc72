package broker

import (
	"fmt"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

// A storm of calls that time out leaves the workers what they had begun: they are free
// within one job's time, whichever way the broker learns that nobody waits any more.
func TestAStormOfTimeoutsCostsTheWorkersOneJob(t *testing.T) {
	const calls, connections, workers = 600, 4, 8
	const timeout, takes = 50 * time.Millisecond, 2 * time.Second
	for _, c := range []struct {
		name     string
		ttl      time.Duration
		cancel   bool
		leave    bool
		answered int // how many calls were told something
	}{
		{"by their ttl", timeout, false, false, calls - workers},
		{"by CANCEL", time.Minute, true, false, calls},
		{"by CANCEL when the ttl has passed", timeout, true, false, calls},
		{"by the end of their connections", time.Minute, false, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			now, left, tokens := time.Unix(0, 0), false, 0
			free := map[string]time.Time{} // when a worker ends its job
			tokenOf := map[string][]byte{}
			told := map[string]mdpx.Command{}
			s := newState(Config{}.withDefaults(), now, shell{
				newToken:   func() []byte { tokens++; return fmt.Appendf(nil, "token-%010d", tokens) },
				connection: func() connection { return ends(func() bool { return left }) },
				send: func(frames [][]byte) error {
					id := string(frames[0])
					if id[0] == 'g' && left {
						return errGone
					}
					if m, err := mdpx.ParseFromBroker(frames[1:]); err == nil {
						key := fmt.Sprintf("%s %x", id, m.ID)
						if told[key] != 0 {
							t.Fatalf("call %s was told %02x and then %02x", key, told[key], m.Command)
						}
						told[key] = m.Command
						return nil
					}
					if m, err := mdp.V01.ParseWorker(frames[1:]); err == nil && m.Command == mdp.Work {
						if free[id].After(now) {
							t.Fatalf("worker %s has two requests", id)
						}
						free[id], tokenOf[id] = now.Add(takes), append([]byte(nil), m.Client...)
					}
					return nil
				},
			})
			worker := func(i int, m mdp.WorkerMessage) {
				s.receive(now, mdp.V01.AppendWorker([][]byte{fmt.Appendf(nil, "w%d", i)}, m))
			}
			gateway := func(n int, frames [][]byte) {
				s.receive(now, append([][]byte{fmt.Appendf(nil, "g%d", n%connections)}, frames...))
			}
			for i := range workers {
				worker(i, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("slow")})
			}
			for n := range calls {
				id, ttl := mdpx.NumberID(uint64(n)), mdpx.NewTTL(c.ttl)
				request, err := mdpx.AppendRequest(nil, &id, &ttl, []byte("slow"), [][]byte{[]byte("x")})
				if err != nil {
					t.Fatal(err)
				}
				gateway(n, request)
			}
			now = now.Add(timeout)
			s.tick(now)
			for n := 0; c.cancel && n < calls; n++ {
				id := mdpx.NumberID(uint64(n))
				gateway(n, mdpx.AppendCancel(nil, &id))
			}
			left = c.leave
			now = time.Unix(0, 0).Add(takes)
			for i := range workers {
				worker(i, mdp.WorkerMessage{Command: mdp.Final, Client: tokenOf[fmt.Sprintf("w%d", i)], Body: [][]byte{[]byte("x")}})
				if c.cancel || c.leave {
					continue // their replies are dropped
				}
				c.answered++
			}
			checkState(t, s)
			if svc := s.services["slow"]; tokens != calls || svc.idle.len != workers || svc.queued.requests != 0 {
				t.Errorf("after one job %d of %d workers are free, and %d requests are queued", svc.idle.len, workers, svc.queued.requests)
			}
			if len(told) != c.answered {
				t.Errorf("%d calls were told what became of them, want %d", len(told), c.answered)
			}
			for _, ends := range free {
				if ends.After(now) {
					t.Errorf("a worker works until %s after the storm", ends.Sub(time.Unix(0, 0)))
				}
			}
		})
	}
}
