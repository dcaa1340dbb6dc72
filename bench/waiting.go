package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mux"
	"mdpgateway/internal/mdp/worker"
)

// waitingCalls is how many calls wait at once, unless measureWaiting is told otherwise.
const waitingCalls = 2000

// A footprint is what a process holds.
type footprint struct {
	RSS    float64 `json:"rss"`    // bytes
	Heap   float64 `json:"heap"`   // bytes of Go's heap that are in use
	Stacks float64 `json:"stacks"` // bytes of goroutines' stacks
}

// measureWaiting prints what a call takes that waits for its reply, in bytes, for each of the gateway's two clients.
// Each is in a process of its own, without HTTP; the broker and its worker are in others. The argument is how many
// calls wait.
func measureWaiting(ctx context.Context, args []string) error {
	calls := strconv.Itoa(waitingCalls)
	if len(args) > 0 {
		calls = args[0]
	}
	dir, err := os.MkdirTemp("", "gateway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it has a log
	address, err := freePort()
	if err != nil {
		return err
	}
	endpoint := "tcp://" + address
	program := env("BENCH_GATEWAY", env("BENCH_BIN", "bin")+"/gateway")
	broker, err := start(dir, "broker", nil, program, "broker", "--bind", endpoint, "--queue-max", "100000", "--service-queue-max", "100000")
	if err != nil {
		return err
	}
	defer broker.stop()
	if err := broker.awaitPort(address); err != nil {
		return err
	}
	never := func(ctx context.Context, _ [][]byte, _ func([][]byte) error) ([][]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w, err := worker.New(worker.Config{Endpoint: endpoint, Dialect: mdp.V02, Services: map[string]worker.Handler{"never": never}})
	if err != nil {
		return err
	}
	defer w.Close() //nolint:errcheck // nothing depends on it
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("%-8s %7s %12s %10s %10s\n", "dialect", "calls", "bytes a call", "Go's heap", "stacks")
	for _, dialect := range []*mdp.Dialect{mdp.V02, mdp.X1} {
		child := exec.CommandContext(ctx, self, "wait", dialect.String(), endpoint, calls)
		child.Stderr = os.Stderr
		text, err := child.Output()
		if err != nil {
			return fmt.Errorf("%s: %w", dialect, err)
		}
		var each footprint
		if err := json.Unmarshal(text, &each); err != nil {
			return err
		}
		fmt.Printf("%-8s %7s %12.0f %10.0f %10.0f\n", dialect, calls, each.RSS, each.Heap, each.Stacks)
	}
	return nil
}

// waitForReplies makes calls that nobody answers, and prints what each takes. Its arguments are DIALECT ENDPOINT CALLS.
func waitForReplies(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%d arguments, want DIALECT ENDPOINT CALLS", len(args))
	}
	calls, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	cfg := client.Config{
		Endpoints: []client.Endpoint{{Address: args[1], Dialect: mdp.V02}}, Max: calls, QueueMax: calls,
		ConnectTimeout: 10 * time.Second, QueueTimeout: time.Minute,
	}
	var c interface {
		Call(context.Context, gateway.Request) (gateway.Reply, error)
		Stats() gateway.PoolStats
		Close(context.Context) error
	}
	if args[0] == mdp.X1.String() {
		cfg.Endpoints[0].Dialect = mdp.X1
		c, err = mux.New(mux.Config{Config: cfg})
	} else {
		c, err = client.New(cfg)
	}
	if err != nil {
		return err
	}
	if err := until(ctx, "the broker is up", func() bool { return c.Stats().Endpoints[0].State == gateway.Up }); err != nil {
		return err
	}
	pause(ctx, time.Second) // until the connections that are kept are there
	before := held()
	waiting, leave := context.WithCancel(ctx)
	var running sync.WaitGroup
	for range calls {
		running.Go(func() {
			_, _ = c.Call(waiting, gateway.Request{Service: "never", Frames: [][]byte{[]byte("x")}})
		})
	}
	err = until(ctx, "all calls are in flight", func() bool { return c.Stats().Busy == calls })
	pause(ctx, time.Second) // until all are sent
	after, still := held(), c.Stats().Busy
	leave()
	running.Wait()
	if err == nil && still != calls {
		err = fmt.Errorf("%d of %d calls wait", still, calls)
	}
	if err != nil {
		return err
	}
	n := float64(calls)
	each := footprint{(after.RSS - before.RSS) / n, (after.Heap - before.Heap) / n, (after.Stacks - before.Stacks) / n}
	if err := json.NewEncoder(os.Stdout).Encode(each); err != nil {
		return err
	}
	return c.Close(ctx)
}

// until waits for a condition, for a minute at most.
func until(ctx context.Context, what string, met func() bool) error {
	for end := time.Now().Add(time.Minute); !met(); pause(ctx, 10*time.Millisecond) {
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("not reached within a minute: %s", what)
		}
	}
	return nil
}

// held returns what this process holds, without garbage.
func held() footprint {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{readTable().of[os.Getpid()].rss * (1 << 20), float64(m.HeapAlloc), float64(m.StackInuse)}
}
