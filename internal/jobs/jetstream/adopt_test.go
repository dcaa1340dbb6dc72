package jetstream

import (
	"context"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/natstest"
)

// Adopters are workers whose replies may come to another gateway.
type adopters struct {
	*workers
	adopted chan string        // routing ids
	replies chan gateway.Reply // to whoever has adopted a job; closed: there is none
}

func newAdopters(w *workers) *adopters {
	return &adopters{workers: w, adopted: make(chan string, 100), replies: make(chan gateway.Reply)}
}

func (a *adopters) RunJob(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
	*call.Route = gateway.Route{Broker: "tcp://broker:5555", ID: string(call.Frames[0])}
	return a.workers.RunJob(ctx, call)
}

func (a *adopters) CanAdoptJob(gateway.Route) (can, known bool) { return true, true }

func (a *adopters) AdoptJob(ctx context.Context, route gateway.Route, _ gateway.Request) (gateway.Reply, error) {
	a.adopted <- route.ID
	select {
	case reply, ok := <-a.replies:
		if !ok {
			return reply, gateway.Overdue(true)
		}
		return reply, nil
	case <-ctx.Done():
		return gateway.Reply{}, gateway.Ended(ctx, true)
	}
}

// adopting starts that many gateways, of which the first runs a job.
func adopting(t *testing.T, c *natstest.Cluster, n int) (all []*replica, a *adopters, job jobs.Job, end chan struct{}) {
	w, began, end := hold()
	a = newAdopters(w)
	prefix := newPrefix()
	all = append(all, startWith(t, c, prefix, jobs.Config{Caller: a}))
	job = all[0].submit("x", "")
	<-began
	for range n - 1 {
		all = append(all, startWith(t, c, prefix, jobs.Config{Caller: a}))
	}
	return all, a, job, end
}

// once checks that the job was sent once, and adopted as often as that.
func (a *adopters) once(t *testing.T, adopted int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sent["x"] != 1 || len(a.adopted) != adopted {
		t.Errorf("the job was sent %d times, and adopted %d times more, want 1 and %d", a.sent["x"], len(a.adopted), adopted)
	}
}

// A job of a gateway that is gone is adopted by one other, which gets the reply.
func adoptedOnce(t *testing.T, c *natstest.Cluster) {
	all, a, job, _ := adopting(t, c, 3)
	all[0].die()
	if id := <-a.adopted; id != "x" {
		t.Errorf("the routing id is %q", id)
	}
	if got := all[2].reach(job.ID, jobs.Running); got.Route.ID != "x" {
		t.Errorf("the job's route is %+v", got.Route)
	}
	a.replies <- gateway.Reply{Frames: [][]byte{[]byte("adopted")}}
	if got := all[2].reach(job.ID, jobs.Done); got.Executed() != gateway.Yes || got.Route != (gateway.Route{}) {
		t.Errorf("the job is %+v", got)
	}
	if reply, err := all[1].Reply(context.Background(), job.ID); err != nil || len(reply) != 1 || string(reply[0]) != "adopted" {
		t.Errorf("its reply is %q, %v", reply, err)
	}
	a.once(t, 0)
	n := int64(0)
	for _, r := range all[1:] {
		n += r.store.Stats().Redelivered[jobs.OwnerAdopted]
	}
	if n != 1 {
		t.Errorf("%d adoptions were counted", n)
	}
}

// A gateway that could not be asked, and lives, stores the reply that came to it; whoever has adopted the job waits no
// longer.
func adoptedFromOneThatLives(t *testing.T, c *natstest.Cluster) {
	all, a, job, end := adopting(t, c, 2)
	all[0].store.hold(job.ID, false) // it says that it does not have it
	<-a.adopted
	close(end)
	all[1].reach(job.ID, jobs.Done)
	if err := all[1].AwaitIdle(context.Background()); err != nil {
		t.Error(err)
	}
	a.once(t, 0)
}

// An adopter to whom no reply comes leaves the job so that the reply may still be stored.
func adoptedInVain(t *testing.T, c *natstest.Cluster) {
	all, a, job, end := adopting(t, c, 2)
	all[0].store.hold(job.ID, false)
	close(a.replies)
	if got := all[1].reach(job.ID, jobs.Interrupted); got.Executed() != gateway.Maybe {
		t.Errorf("the job is %+v", got)
	}
	close(end)
	all[1].reach(job.ID, jobs.Done)
}

// A gateway that leaves while it waits hands the job on: its own, and one that it has adopted.
func adoptedAgain(t *testing.T, c *natstest.Cluster) {
	all, a, job, _ := adopting(t, c, 1)
	all[0].close()
	prefix := all[0].store.cfg.Prefix
	second := startWith(t, c, prefix, jobs.Config{Caller: a})
	<-a.adopted
	second.close()
	third := startWith(t, c, prefix, jobs.Config{Caller: a})
	<-a.adopted
	a.replies <- gateway.Reply{Frames: [][]byte{[]byte("at last")}}
	third.reach(job.ID, jobs.Done)
	a.once(t, 0)
}

// A job whose time is up when its gateway is found to be gone is interrupted, as is one without a route.
func adoptedTooLate(t *testing.T, c *natstest.Cluster) {
	w, began, _ := hold()
	a := newAdopters(w)
	prefix := newPrefix()
	first := startWith(t, c, prefix, jobs.Config{Caller: a, Timeout: time.Nanosecond})
	job := first.submit("x", "")
	<-began
	first.die()
	second := startWith(t, c, prefix, jobs.Config{Caller: a})
	second.reach(job.ID, jobs.Interrupted)
	a.once(t, 0)
}

// A gateway that leaves says so. The others need not ask for its job.
func handedOn(t *testing.T, c *natstest.Cluster) {
	w, began, _ := hold()
	a, prefix := newAdopters(w), newPrefix()
	seldom := func(cfg *Config) { cfg.AskEvery = time.Hour }
	first := startThrough(t, start(t, c, prefix, seldom), jobs.Config{Caller: a})
	job := first.submit("x", "")
	<-began
	second := startThrough(t, start(t, c, prefix, seldom), jobs.Config{Caller: a})
	second.sees(jobs.Running, 1)
	first.close()
	<-a.adopted
	a.replies <- gateway.Reply{Frames: [][]byte{[]byte("handed on")}}
	second.reach(job.ID, jobs.Done)
	a.once(t, 0)
}

// A gateway that is told to stop says so. Another takes what it has queued while it still runs a job.
func queueHandedOn(t *testing.T, c *natstest.Cluster) {
	began, end := make(chan struct{}), make(chan struct{})
	w := &workers{sent: map[string]int{}, work: func(_ context.Context, body string) error {
		if body == "running" {
			close(began)
			<-end
		}
		return nil
	}}
	prefix := newPrefix()
	cfg := jobs.Config{Caller: w, InFlight: 1, TakeOverEvery: time.Hour}
	first := startWith(t, c, prefix, cfg)
	running := first.submit("running", "")
	<-began
	var queued []jobs.Job
	for range 20 {
		queued = append(queued, first.submit("queued", ""))
	}
	second := startWith(t, c, prefix, cfg)
	second.sees(jobs.Queued, len(queued))
	if w.sentOf("queued") != 0 {
		t.Error("they were taken over before")
	}
	first.Drain()
	for _, job := range queued {
		second.reach(job.ID, jobs.Done)
	}
	if n := w.sentOf("queued"); n != len(queued) {
		t.Errorf("%d were sent, want %d", n, len(queued))
	}
	close(end)
	second.reach(running.ID, jobs.Done)
}

// sees waits until the gateway's index has that many jobs in a state.
func (r *replica) sees(state jobs.State, n int) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		all, err := r.List(context.Background(), jobs.Filter{Any: true, State: state, Limit: n + 1})
		if err == nil && len(all) == n {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("it sees %d jobs that are %s, %v, want %d", len(all), state, err, n)
		}
	}
}

// sentOf returns how often a body was sent.
func (w *workers) sentOf(body string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[body]
}
