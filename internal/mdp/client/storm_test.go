package client_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// Ten thousand calls end before their replies, by deadline or by caller. What
// they leave behind is measured after each half: the second must add nothing.
func TestAStormOfTimeOutsAndCancellationsLeavesNothingBehind(t *testing.T) {
	var connected atomic.Int64
	broker := mdptest.NewRouter(t, func([]byte, [][]byte) [][][]byte { connected.Add(1); return nil })
	const callers, each = 100, 50
	p := newPool(t, client.Config{Max: callers, QueueTimeout: patience}, at(broker.Endpoint()))
	var connecting atomic.Int64
	// Of the files, an idle connection has three, and one at the broker.
	half := func() (files, goroutines int, memory int64) {
		var running sync.WaitGroup
		for caller := range callers {
			running.Go(func() {
				for i := range each {
					ctx, cancel := context.WithCancel(context.Background())
					req := within(20*time.Millisecond, echo("given up"))
					if (caller+i)%2 == 0 {
						req.Deadline = time.Time{}
						time.AfterFunc(20*time.Millisecond, cancel)
					}
					_, err := p.Call(ctx, req)
					cancel()
					if kind := gateway.AsError(err).Kind; kind != gateway.Timeout && kind != gateway.Canceled && kind != gateway.Busy {
						t.Errorf("got %v", err)
					}
					raise(&connecting, int64(p.Stats().Connecting))
				}
			})
		}
		running.Wait()
		if s := p.Stats(); s.Busy+s.Waiting != 0 || s.Endpoints[0].InFlight != 0 {
			t.Errorf("left behind: %+v", s)
		}
		eventually(t, "no connection is being opened", func() bool { return p.Stats().Connecting == 0 })
		return descriptorsAtRest(t) - 4*p.Stats().Idle, runtime.NumGoroutine(), resident(t)
	}
	files, goroutines, memory := half()
	files2, goroutines2, memory2 := half()
	// On a busy machine libzmq and the broker take their time for what was closed.
	for end := time.Now().Add(patience); (files2 > files+8 || goroutines2 > goroutines+8) && time.Now().Before(end); {
		files2, goroutines2 = descriptorsAtRest(t)-4*p.Stats().Idle, runtime.NumGoroutine()
	}
	t.Logf("after 5,000 and 10,000: %d and %d files beside those of idle connections, %d and %d goroutines, %d and %d MiB; %d reached the broker, at most %d places were connecting",
		files, files2, goroutines, goroutines2, memory>>20, memory2>>20, connected.Load(), connecting.Load())
	if files2 > files+8 || goroutines2 > goroutines+8 {
		t.Errorf("the second half left %d files and %d goroutines more", files2-files, goroutines2-goroutines)
	}
	// Sockets left behind would take 200 MiB; what the race detector takes varies.
	if memory2 > memory+96<<20 {
		t.Errorf("the second half left %d MiB more", (memory2-memory)>>20)
	}
}

// raise makes a maximum of what was seen at least v.
func raise(maximum *atomic.Int64, v int64) {
	for {
		seen := maximum.Load()
		if v <= seen || maximum.CompareAndSwap(seen, v) {
			return
		}
	}
}

// descriptorsAtRest waits until libzmq has freed those of closed sockets: until
// their number has been the same for a while.
func descriptorsAtRest(t *testing.T) int {
	t.Helper()
	n, since := descriptors(t), time.Now()
	eventually(t, "the number of open files is steady", func() bool {
		if now := descriptors(t); now != n {
			n, since = now, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
	return n
}

// resident returns the bytes of memory that the process holds.
func resident(t *testing.T) int64 {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// Three times as many callers as places: those that are answered waited no
// longer than the queue lets them, the others are told so.
func TestLoadBeyondThePoolIsRefusedInTimeAndLeavesNothing(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	const places = 8
	for range places {
		mdptest.Worker(t, broker, "echo", func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			<-time.After(20 * time.Millisecond)
			return body, nil
		})
	}
	const limit = 30 * time.Millisecond
	p := newPool(t, client.Config{Max: places, QueueMax: 3 * places, QueueTimeout: limit}, at(broker))
	// On a busy machine a connection takes longer than the limit: they are there before.
	eventually(t, "all connections are open", func() bool {
		atOnce(p, places, patience)
		s := p.Stats()
		return s.Idle == places && s.Connecting == 0
	})
	var answered, refused atomic.Int64
	var slowest, latest atomic.Int64 // nanoseconds
	var running sync.WaitGroup
	for range 3 * places {
		running.Go(func() {
			for range 100 {
				start := time.Now()
				reply, err := p.Call(context.Background(), echo("hello"))
				took := int64(time.Since(start))
				var e *gateway.Error
				switch {
				case err == nil:
					answered.Add(1)
					raise(&slowest, int64(reply.Timing.Queue))
				case errors.As(err, &e) && e.Kind == gateway.Busy && (e.Reason == gateway.ReasonPool || e.Reason == gateway.ReasonQueue):
					refused.Add(1)
					raise(&latest, took)
				default:
					t.Errorf("got %v, want an answer or busy", err)
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d answered after at most %v in the queue, %d refused after at most %v; the limit is %v",
		answered.Load(), time.Duration(slowest.Load()), refused.Load(), time.Duration(latest.Load()), limit)
	if answered.Load() == 0 || refused.Load() == 0 {
		t.Error("want both answers and refusals")
	}
	if s := p.Stats(); s.Busy+s.Waiting != 0 {
		t.Errorf("left behind: %+v", s)
	}
	mustCall(t, p, "afterwards")
}

// The process may open no more files: calls say so, and work again when it may.
func TestWithoutDescriptorsCallsAreBusyAndWorkAgainLater(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	p := newPool(t, client.Config{Max: 8, QueueTimeout: 3 * time.Second}, at(broker.Endpoint()))
	open := inBackground(context.Background(), p, echo("in flight"))
	id := await(t, arrived)

	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	rest := descriptors(t)
	for _, spare := range []uint64{0, 1, 2} {
		// libzmq gives those of the call before back a little later, when they
		// would be free again below the limit.
		eventually(t, "the descriptors of the call before are free", func() bool { return descriptors(t) <= rest })
		// Descriptors are numbered from the lowest free one: the limit is on the
		// number, so what is free below it is filled first.
		low := unix.Rlimit{Cur: uint64(descriptors(t)) + 20, Max: before.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		var filler []int
		for {
			fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
			if err != nil {
				break
			}
			filler = append(filler, fd)
		}
		for range spare {
			_ = unix.Close(filler[len(filler)-1])
			filler = filler[:len(filler)-1]
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := p.Call(ctx, echo("no file left"))
		cancel()
		failure(t, err, gateway.Busy, gateway.ReasonDescriptors)
		for _, fd := range filler {
			_ = unix.Close(fd)
		}
		restore()
	}
	broker.Send([]byte(id), frames("", "MDPC01", "echo", "done"))
	if err := await(t, open); err != nil {
		t.Errorf("the call that was in flight: %v", err)
	}
	again := inBackground(context.Background(), p, echo("afterwards"))
	broker.Send([]byte(await(t, arrived)), frames("", "MDPC01", "echo", "done"))
	if err := await(t, again); err != nil {
		t.Errorf("a call afterwards: %v", err)
	}
}

func TestAPoolLargerThanTheLimitOfOpenFilesIsRefused(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur > 1<<30 {
		t.Skipf("the limit is %d", limit.Cur)
	}
	largest := (int(limit.Cur) - 256) / 4
	_, err := client.New(client.Config{Max: largest + 1, Endpoints: []client.Endpoint{at("tcp://127.0.0.1:5555")}})
	if err == nil || !strings.Contains(err.Error(), "pool-max is "+strconv.Itoa(largest+1)+", want at most "+strconv.Itoa(largest)) {
		t.Errorf("got %v, want it refused with the largest that will do", err)
	}
	newPool(t, client.Config{Max: largest}, at("tcp://127.0.0.1:5555"))
}

// A shutdown that waits no longer ends those that wait for a connection, too:
// they are not sent any more.
func TestCloseEndsCallsThatWaitForAConnection(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	p, err := client.New(client.Config{Max: 1, QueueTimeout: patience, Endpoints: []client.Endpoint{at(broker.Endpoint())}})
	if err != nil {
		t.Fatal(err)
	}
	open := inBackground(context.Background(), p, echo("in flight"))
	await(t, arrived)
	var waiting []<-chan error
	for range 200 {
		waiting = append(waiting, inBackground(context.Background(), p, echo("waits")))
	}
	eventually(t, "200 wait", func() bool { return p.Stats().Waiting == 200 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	failure(t, await(t, open), gateway.Interrupted, "")
	for _, c := range waiting {
		failure(t, await(t, c), gateway.Draining, "")
	}
	select {
	case <-arrived:
		t.Error("a call that waited was sent after the end")
	default:
	}
}
