package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/jobs/natstest"
)

// adoptionEnds is the time of jobs: one whose reply came while no gateway waited is interrupted then.
const adoptionEnds = "20s"

// Three gateways have their jobs in three NATS servers. One of the gateways, the server that leads, any server, or all
// of them are killed again and again. Nothing is lost and nothing is sent twice. Jobs of a gateway that was killed are adopted by another.
func TestJobsInNATSSurviveKills(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	servers := natstest.Start(t, 3)
	broker := startBroker(t, "")
	ledgers := t.TempDir()
	startWorker(t, broker.endpoint, ledgers)
	startWorker(t, broker.endpoint, ledgers)
	start := func() *gateway {
		return startGateway(t, "--broker", broker.endpoint, "--dialect", "mdp/0.1", "--jobs-timeout", adoptionEnds, "--jobs", servers.URL(), "--jobs-max", "100000", "--jobs-max-bytes", "2GiB")
	}
	gateways, callers := make([]*gateway, 3), make([]*jobCaller, 3)
	for i := range gateways {
		gateways[i] = start()
		gateways[i].works("fast")
		gateways[i].works("slow")
		callers[i] = &jobCaller{new(atomic.Value), newClient(t, false)}
		callers[i].url.Store(gateways[i].url)
	}
	l := &jobLedger{accepted: map[string]string{}, long: *jobsFor > time.Minute}
	stop := make(chan struct{})
	var submitters sync.WaitGroup
	for i := range 6 {
		random := rand.New(rand.NewPCG(seed, uint64(i+1)))
		submitters.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
				}
				callers[random.IntN(3)].submit(t, l, random, fmt.Sprintf("%d-%d", i, n))
			}
		})
	}
	kills := map[string]int{}
	for end, n := time.Now().Add(*jobsFor), 0; n < 4 || time.Now().Before(end); n++ {
		what := []string{"gateway", "leader", "server", "all"}[min(n, 3)]
		if n > 3 {
			what = []string{"gateway", "leader", "server", "all"}[random.IntN(4)]
		}
		kills[what]++
		// How long a server stays away is a part of what is tried; nothing is expected after it.
		pause := func(most int) { time.Sleep(time.Duration(random.IntN(most)) * time.Millisecond) }
		switch what {
		case "gateway":
			i := random.IntN(3)
			gateways[i].kill()
			gateways[i] = start()
			callers[i].url.Store(gateways[i].url)
		case "all":
			for _, node := range servers.Nodes {
				node.Kill()
			}
			pause(1000)
			for _, node := range servers.Nodes {
				node.Start()
			}
		default:
			node := servers.Nodes[random.IntN(3)]
			if what == "leader" {
				node = leader(t, servers)
			}
			node.Kill()
			pause(2000)
			node.Start()
		}
		l.accepts(t)
	}
	close(stop)
	submitters.Wait()
	adopted := 0.0
	for _, g := range gateways {
		adopted += g.metric(`mdp_gateway_jobs_redelivered_total{verdict="adopted"}`)
	}
	states := l.check(t, callers[0], func() map[string]int { return executed(t, ledgers) })
	t.Logf("kills %v; %d accepted = %v; %d refused, %d without an answer; the gateways at the end had adopted %v", kills, len(l.accepted),
		states, len(l.refused), l.unknown, adopted)
	if states["done"] == 0 {
		t.Error("no job that was done proves nothing")
	}
}

// accepts waits until more jobs are accepted.
func (l *jobLedger) accepts(t *testing.T) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.accepted)
	}
	before := count()
	eventually(t, "jobs are accepted again", func() bool { return count() > before+20 })
}

// leader returns the server that leads the stream of jobs.
func leader(t *testing.T, servers *natstest.Cluster) (found *natstest.Node) {
	t.Helper()
	eventually(t, "the stream has a leader", func() bool {
		for _, node := range servers.Nodes {
			response, err := http.Get("http://" + node.Monitor + "/jsz?accounts=true&streams=true")
			if err != nil {
				continue
			}
			var page struct {
				Name     string `json:"server_name"`
				Accounts []struct {
					Streams []struct {
						Cluster struct{ Leader string }
					} `json:"stream_detail"`
				} `json:"account_details"`
			}
			err = json.NewDecoder(response.Body).Decode(&page)
			_ = response.Body.Close()
			if err != nil || len(page.Accounts) == 0 || len(page.Accounts[0].Streams) == 0 {
				continue
			}
			for i, node := range servers.Nodes {
				if fmt.Sprintf("n%d", i) == page.Accounts[0].Streams[0].Cluster.Leader {
					found = node
				}
			}
		}
		return found != nil
	})
	return found
}
