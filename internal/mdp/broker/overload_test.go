package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
)

// goodput runs a service at three times what its workers can do, for an hour of virtual time, with clients who leave when
// their patience ends. It returns the replies that came in time, as a part of those that the workers could give, and how
// many clients with a patience of ten minutes or more got none.
func goodput(t *testing.T, cfg Config, takes time.Duration, patience func() time.Duration) (rate float64, leftOut int) {
	t.Helper()
	const workers, overload, hour = 8, 3, time.Hour
	type job struct {
		worker, token string
		ends          time.Time
	}
	start := time.Unix(0, 0)
	now, tokens, good := start, 0, 0
	var jobs []job                   // in the order of their ends, since all take the same time
	leaves := map[string]time.Time{} // when a client leaves
	patient := map[string]time.Time{}
	var sender string
	s := newState(cfg.withDefaults(), now, shell{
		newToken: func() []byte { tokens++; return fmt.Appendf(nil, "token-%010d", tokens) },
		connection: func() connection {
			until := leaves[sender]
			return ends(func() bool { return !now.Before(until) })
		},
		send: func(frames [][]byte) error {
			switch id := string(frames[0]); {
			case id[0] == 'c' && now.Before(leaves[id]):
				good++
				delete(leaves, id)
				delete(patient, id)
			case id[0] == 'c':
				delete(leaves, id)
				return errGone
			case string(frames[3]) == "\x02":
				jobs = append(jobs, job{id, string(frames[4]), now.Add(takes)})
			}
			return nil
		},
	})
	for i := range workers {
		s.receive(now, mdp.V01.AppendWorker([][]byte{fmt.Appendf(nil, "w%d", i)}, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("slow")}))
	}
	beat := now
	every := takes / (workers * overload)
	for n := 0; now.Before(start.Add(hour)); n++ {
		next := start.Add(time.Duration(n) * every)
		for len(jobs) > 0 && !jobs[0].ends.After(next) {
			done := jobs[0]
			jobs, now = jobs[1:], done.ends
			s.receive(now, mdp.V01.AppendWorker([][]byte{[]byte(done.worker)}, mdp.WorkerMessage{Command: mdp.Final, Client: []byte(done.token), Body: [][]byte{[]byte("x")}}))
		}
		now = next
		if now.Sub(beat) >= time.Second {
			beat = now
			for i := range workers {
				s.receive(now, mdp.V01.AppendWorker([][]byte{fmt.Appendf(nil, "w%d", i)}, mdp.WorkerMessage{Command: mdp.Heartbeat}))
			}
			s.tick(now)
		}
		sender = fmt.Sprintf("c%d", n)
		leaves[sender] = now.Add(patience())
		if leaves[sender].Sub(now) >= 10*time.Minute {
			patient[sender] = leaves[sender]
		}
		request, _ := mdp.V01.AppendRequest([][]byte{[]byte(sender)}, []byte("slow"), [][]byte{[]byte("x")})
		s.receive(now, request)
	}
	checkState(t, s)
	for _, left := range patient {
		if left.Before(now) {
			leftOut++
		}
	}
	return float64(good) / (float64(workers) * float64(hour) / float64(takes)), leftOut
}

type ends func() bool

func (e ends) Ended() bool    { return e() }
func (ends) End()             {}
func (ends) Received() uint64 { return 0 }

// Clients who leave when their patience ends cost the workers little: those who are served are still there.
func TestAnOverloadedServiceDoesWhatItsWorkersCan(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const takes = 2 * time.Second
	for _, timeout := range []time.Duration{2500 * time.Millisecond, 5 * time.Second, 25 * time.Second, time.Minute} {
		spread := func() time.Duration { return timeout + time.Duration(random.Int64N(int64(timeout))) }
		n := 0
		mixed := func() time.Duration {
			if n++; n%100 == 0 {
				return 10 * time.Minute
			}
			return timeout
		}
		for name, patience := range map[string]func() time.Duration{
			"equal": func() time.Duration { return timeout }, "spread": spread, "one in 100 waits long": mixed,
		} {
			got, leftOut := goodput(t, Config{}, takes, patience)
			if got < 0.9 {
				t.Errorf("%v, %s: %.3f of what the workers can do came in time, want at least 0.9", timeout, name, got)
			}
			if leftOut > 0 {
				t.Errorf("%v, %s: %d clients waited ten minutes for nothing", timeout, name, leftOut)
			}
		}
	}
}
