package main

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"mdpgateway/internal/jobs/natstest"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// A gateway that is killed, and one whose drain ends, leave a job behind that a worker has. Another gateway waits for
// its reply in their place: it comes to the broker under the routing id of the connection that the job was sent over.
func TestAnotherGatewayAdoptsTheJobsOfOneThatIsGone(t *testing.T) {
	t.Parallel()
	servers := natstest.Start(t, 1)
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "rolled": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := mdptest.Broker(t).Endpoints()[0]
			var ran atomic.Int64
			begun, end := make(chan struct{}, 10), make(chan struct{})
			mdptest.WorkerWith(t, worker.Config{Endpoint: broker, Dialect: mdp.V01, Services: map[string]worker.Handler{
				"work": func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
					ran.Add(1)
					begun <- struct{}{}
					select {
					case <-end:
					case <-ctx.Done():
					}
					return body, nil
				},
			}})
			args := []string{
				"--broker", broker, "--dialect", "mdp/0.1", "--jobs", servers.URL(), "--jobs-prefix", name, "--jobs-replicas", "1", "--jobs-max-bytes", "64MiB",
			}
			m := &mortality{t: t, args: append([]string{"serve", "--listen", "127.0.0.1:0", "--drain", "0s"}, args...)}
			first := m.gateway(nowhere)
			_, _, body := first.submit(t, "the job")
			id := jobID(t, body)
			<-begun
			heir := start(t, args...)
			heir.connected()
			if err := first.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the job is adopted", func() bool {
				metrics := string(heir.get("/metrics").body)
				return strings.Contains(metrics, `mdp_gateway_jobs_redelivered_total{verdict="adopted"} 1`)
			})
			missing := regexp.MustCompile(`redelivered_total{verdict="missing"} (.*)`).FindSubmatch(heir.get("/metrics").body)
			if n, err := strconv.Atoi(string(missing[1])); signal == syscall.SIGTERM && (n > 1 || err != nil) {
				t.Errorf("the heir asked for the job as for one of a gateway that was killed: %d times, %v", n, err)
			}
			if a := heir.get("/jobs/" + id); a.json("state") != "running" || a.json("executed") != "maybe" {
				t.Errorf("the adopted job: %s", a.body)
			}
			eventually(t, "its connection is there", func() bool {
				return strings.Contains(string(heir.get("/metrics").body), `mdp_gateway_pool_connections{state="busy"} 1`)
			})
			close(end)
			heir.awaitJob(t, id)
			if a := heir.get("/jobs/" + id + "/reply?reply=raw"); a.status != http.StatusOK || string(a.body) != "the job" || ran.Load() != 1 {
				t.Errorf("its reply: %d %s; it ran %d times", a.status, a.body, ran.Load())
			}
		})
	}
}
