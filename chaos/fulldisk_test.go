package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mdpgateway/internal/jobs/jobstest"
	"mdpgateway/internal/jobs/natstest"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// The disk of the jobs fills up while one runs and others wait. Submissions are refused, what was accepted is kept, and
// a reply that finds no room waits in memory. Once there is room all goes on.
func TestAFullDiskLosesNoJob(t *testing.T) {
	t.Parallel()
	disk := jobstest.SmallDisk(t, 24)
	fullDisk(t, disk, func(*gateway) {}, filepath.Join(disk, "jobs"))
}

// The same of a NATS server. Version 2.15 answers to no write after one that has failed, until it is started again. The
// gateway is not.
func TestAFullDiskOfANATSServerLosesNoJob(t *testing.T) {
	t.Parallel()
	disk := jobstest.SmallDisk(t, 24)
	servers := natstest.StartIn(t, []string{disk})
	again := func(g *gateway) {
		servers.Nodes[0].Kill()
		servers.Nodes[0].Start()
		eventually(t, "the store is shown as up", g.storeUp)
	}
	fullDisk(t, disk, again, servers.URL(), "--jobs-replicas", "1", "--jobs-max-bytes", "1GiB")
}

func (g *gateway) storeUp() bool { return g.metric("mdp_gateway_jobs_store_up") == 1 }

// fullDisk tries it. Again is called once there is room.
func fullDisk(t *testing.T, disk string, again func(*gateway), store string, args ...string) {
	t.Helper()
	broker := mdptest.Broker(t).Endpoints()[0]
	var mu sync.Mutex
	ran := map[string]int{}
	begun, end := make(chan struct{}, 100), make(chan struct{})
	reply := strings.Repeat("a large reply ", 100_000)
	mdptest.WorkerWith(t, worker.Config{Endpoint: broker, Dialect: mdp.V02, Services: map[string]worker.Handler{
		"work": func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			name, _, _ := strings.Cut(string(body[0]), " ")
			mu.Lock()
			ran[name]++
			mu.Unlock()
			begun <- struct{}{}
			select {
			case <-end:
			case <-ctx.Done():
			}
			return [][]byte{[]byte(name + reply)}, nil
		},
	}})
	g := startGateway(t, append(args, "--broker", broker, "--dialect", "mdp/0.2", "--jobs", store, "--jobs-in-flight", "1")...)
	caller := &jobCaller{new(atomic.Value), newClient(t, false)}
	caller.url.Store(g.url)
	submit := func(name string, size int) (int, map[string]any) {
		status, text, err := caller.do(http.MethodPost, "/services/work", strings.NewReader(name+strings.Repeat(" ", size)))
		var answer map[string]any
		if err == nil {
			err = json.Unmarshal(text, &answer)
		}
		if err != nil {
			t.Fatalf("%s: %d %.200s, %v", name, status, text, err)
		}
		return status, answer
	}
	accepted := map[string]string{} // id by name
	for _, name := range []string{"runs", "waits", "waits-too"} {
		eventually(t, "the service is known", func() bool {
			status, answer := submit(name, 1<<20)
			accepted[name], _ = answer["id"].(string)
			return status == http.StatusAccepted
		})
	}
	<-begun
	empty, refused := jobstest.Fill(t, disk), map[string]bool{}
	for i := 0; ; i++ { // the file may have some room in itself
		name := fmt.Sprintf("refused-%d", i)
		status, answer := submit(name, 100<<10)
		if status == http.StatusAccepted {
			accepted[name], _ = answer["id"].(string)
			continue
		}
		checkRefused(t, status, answer)
		refused[name] = true
		break
	}
	attempts := func() float64 { return g.metric(`mdp_gateway_jobs_store_seconds_count{op="stage"}`) }
	before := attempts()
	close(end)
	if status, answer := submit("small", 1); status == http.StatusAccepted { // all of it is one write to NATS
		accepted["small"], _ = answer["id"].(string)
	} else {
		refused["small"] = true
		checkRefused(t, status, answer)
	}
	eventually(t, "the gateway tries to store the reply", func() bool { return attempts() > before+1 })
	for name, id := range accepted {
		if status, text, err := caller.do(http.MethodGet, "/jobs/"+id, nil); err != nil || status != http.StatusOK {
			t.Errorf("%s can't be read while the disk is full: %d %s, %v", name, status, text, err)
		}
	}
	eventually(t, "the store is shown as down", func() bool { return !g.storeUp() })
	empty()
	again(g)
	if status, answer := submit("next", 1); status != http.StatusAccepted {
		t.Errorf("the first submission after there is room: %d %v", status, answer)
	}
	eventually(t, "the store is shown as up", g.storeUp)
	for name, id := range accepted {
		eventually(t, name+" is done", func() bool {
			status, text, err := caller.do(http.MethodGet, "/jobs/"+id+"/reply?wait=20s&reply=raw", nil)
			if status == http.StatusOK && string(text) != name+reply {
				t.Fatalf("the reply of %s is %d bytes, want %d", name, len(text), len(name+reply))
			}
			return err == nil && status == http.StatusOK
		})
	}
	mu.Lock()
	defer mu.Unlock()
	for name, n := range ran {
		if n != 1 || refused[name] {
			t.Errorf("%s ran %d times", name, n)
		}
	}
}

// checkRefused checks the answer to a submission while the disk is full.
func checkRefused(t *testing.T, status int, answer map[string]any) {
	t.Helper()
	code := fmt.Sprint(answer["code"])
	if status != http.StatusServiceUnavailable || code != "busy" && code != "store_unavailable" || answer["executed"] != "no" {
		t.Errorf("a submission to a full disk: %d %v, want 503 and that nothing was accepted", status, answer)
	}
}
