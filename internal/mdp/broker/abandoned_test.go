package broker_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// A storm of calls that time out leaves the workers what they had begun, and those who
// still wait get all that they asked for, also over descriptors that others had before.
func TestRequestsOfClientsThatHaveGoneAreNotRun(t *testing.T) {
	const workers, calls, later = 8, 600, 200
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	var ran atomic.Int64
	release := make(chan struct{})
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: endpoint, Concurrency: workers,
		Services: map[string]worker.Handler{"slow": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			ran.Add(1)
			<-release
			return body, nil
		}},
	})
	before := descriptors(t)
	storm := make([]*peer, calls)
	for i := range storm {
		storm[i] = newPeer(t, endpoint)
		storm[i].send(false, nil, []byte("MDPC01"), []byte("slow"), []byte("given up"))
	}
	eventually(t, b, "the storm queued and the workers busy", func(st broker.Stats) bool {
		return st.Queued == calls-workers && ran.Load() == workers
	})
	for _, p := range storm {
		_ = p.conn.Close()
	}
	eventually(t, b, "the broker's ends of them closed", func(broker.Stats) bool { return descriptors(t) <= before })
	patient := make([]*peer, later)
	for i := range patient {
		patient[i] = newPeer(t, endpoint)
		patient[i].send(false, nil, []byte("MDPC01"), []byte("slow"), fmt.Append(nil, i))
	}
	eventually(t, b, "those who wait queued", func(st broker.Stats) bool { return st.Queued == calls-workers+later })
	close(release)
	for i, p := range patient {
		frames := p.receive()
		if _, final, err := mdp.V01.ParseReply("slow", frames); err != nil || !final || string(frames[3]) != fmt.Sprint(i) {
			t.Fatalf("client %d got %q, %v", i, frames, err)
		}
	}
	st := b.Stats()
	if got, want := ran.Load(), int64(workers+later); got != want || st.Dropped["client_gone_queued"] != calls-workers {
		t.Errorf("the workers ran %d requests, %d were dropped, want %d and %d", got, st.Dropped["client_gone_queued"], want, calls-workers)
	}
}

// descriptors returns how many this process has.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("whether a client has gone is known on Linux alone: ", err)
	}
	return len(entries)
}

// Clients that come and go at random over descriptors that are used again and again: of
// those that stay none loses a request.
func TestNoRequestOfAClientThatStaysIsTakenForOneOfWhoWent(t *testing.T) {
	const rounds, peers = 40, 50
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	gate := make(chan struct{})
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: endpoint,
		Services: map[string]worker.Handler{"s": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			if string(body[0]) == "gate" {
				<-gate
			}
			return body, nil
		}},
	})
	for range rounds {
		first := newPeer(t, endpoint)
		first.send(false, nil, []byte("MDPC01"), []byte("s"), []byte("gate"))
		var stay []*peer
		for i := range peers {
			p := newPeer(t, endpoint)
			p.send(false, nil, []byte("MDPC01"), []byte("s"), []byte("stays or goes"))
			if i%2 == 0 {
				_ = p.conn.Close()
				continue
			}
			stay = append(stay, p)
		}
		select {
		case gate <- struct{}{}:
		case <-time.After(20 * time.Second):
			t.Fatalf("no worker has the first request: %+v", b.Stats())
		}
		for _, p := range append(stay, first) {
			p.receive()
			_ = p.conn.Close()
		}
	}
	if st := b.Stats(); st.Dropped["client_gone_queued"] > rounds*peers/2 {
		t.Errorf("%d requests were dropped, want at most %d", st.Dropped["client_gone_queued"], rounds*peers/2)
	}
}
