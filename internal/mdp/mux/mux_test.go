package mux_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mdpx"
	"mdpgateway/internal/mdp/mux"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds a test that fails and slows none that passes.
const patience = 2 * time.Minute

func fr(s ...string) (f [][]byte) {
	for _, x := range s {
		f = append(f, []byte(x))
	}
	return f
}

// start starts a client of these brokers. Unless the test says otherwise, connections and calls that wait for one have
// the time that they need on a busy machine.
func start(t *testing.T, cfg mux.Config, endpoints ...string) *mux.Client {
	t.Helper()
	for _, address := range endpoints {
		cfg.Endpoints = append(cfg.Endpoints, client.Endpoint{Address: address, Dialect: mdp.X1})
	}
	cfg.Max = cmp.Or(cfg.Max, 20_000)
	cfg.ConnectTimeout, cfg.QueueTimeout = cmp.Or(cfg.ConnectTimeout, patience), cmp.Or(cfg.QueueTimeout, patience)
	c, err := mux.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// up waits until all brokers are up.
func up(t *testing.T, c *mux.Client, n int) {
	t.Helper()
	eventually(t, "the brokers are up", func() bool {
		for i := range n {
			if state, _ := c.State(i); state != gateway.Up {
				return false
			}
		}
		return true
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !is(); <-tick.C {
		if time.Since(start) > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// overBoth runs a test at an address of TCP, where connections are our own, and at one of the file system, where they
// are libzmq's.
func overBoth(t *testing.T, test func(t *testing.T, at string)) {
	dir, err := os.MkdirTemp("", "mux") // short, as paths of sockets must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, at := range map[string]string{"tcp": "tcp://127.0.0.1:*", "ipc": "ipc://" + dir + "/b"} {
		t.Run(name, func(t *testing.T) { test(t, at) })
	}
}

type result struct {
	reply gateway.Reply
	err   error
}

// call calls in the background.
func call(ctx context.Context, c *mux.Client, req gateway.Request) <-chan result {
	done := make(chan result, 1)
	go func() {
		reply, err := c.Call(ctx, req)
		done <- result{reply, err}
	}()
	return done
}

// next returns the next request that a broker has.
func next(t *testing.T, b *mdptest.Muxed) mdptest.Asked {
	t.Helper()
	select {
	case a := <-b.Requests():
		return a
	case <-time.After(patience):
		t.Fatal("no request came")
		panic("unreachable")
	}
}

// wantError checks how a call failed.
func wantError(t *testing.T, err error, kind gateway.Kind, executed gateway.Executed, was gateway.Was) {
	t.Helper()
	var e *gateway.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s", err, kind)
	}
	if e.Kind != kind || e.Executed() != executed || e.Was != was {
		t.Errorf("got %v, executed %s, was %q, want %s, %s, %q", e, e.Executed(), e.Was, kind, executed, was)
	}
}

func TestCallsShareConnectionsAndGetTheirOwnReplies(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		b := mdptest.NewMuxedAt(t, at, "echo")
		c := start(t, mux.Config{}, b.Endpoint())
		up(t, c, 1)
		const calls = 300
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		var running sync.WaitGroup
		for i := range calls {
			running.Go(func() {
				text := fmt.Sprint(i)
				reply, err := c.Call(t.Context(), gateway.Request{Service: "echo", Frames: fr(text)})
				if err != nil || len(reply.Frames) != 1 || string(reply.Frames[0]) != text || len(reply.Partials) != 1 {
					t.Errorf("call %s: got %q after %q, %v", text, reply.Frames, reply.Partials, err)
				}
			})
		}
		peers := map[string]int{}
		held := make([]mdptest.Asked, calls)
		for i := range held {
			held[i] = next(t, b)
			peers[string(held[i].Peer)]++
		}
		random.Shuffle(calls, func(i, j int) { held[i], held[j] = held[j], held[i] })
		for _, a := range held { // each with a part before it, twice, and after another's
			b.Reply(a, fr("part"), false)
			b.Reply(a, a.Request.Body, true)
			b.Reply(a, fr("again"), true)
		}
		running.Wait()
		if most := 2 * mux.DefaultConnections; len(peers) > most { // those of large messages, too, while the others connect
			t.Errorf("%d calls took the connections %v, want at most %d", calls, peers, most)
		}
		eventually(t, "each repetition is counted as a stray", func() bool { return c.Stats().Stray["late"] == calls })
	})
}

func TestMessagesOf64MiBPassBesideSmallOnes(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		b := mdptest.NewMuxedAt(t, at, "echo")
		c := start(t, mux.Config{Config: client.Config{MaxReply: 65 << 20}}, b.Endpoint())
		up(t, c, 1)
		body := make([]byte, 64<<20)
		for i := range body {
			body[i] = byte(i ^ i>>8 ^ i>>16)
		}
		large := call(t.Context(), c, gateway.Request{Service: "echo", Frames: [][]byte{body}})
		const small = 50
		var done [small]<-chan result
		for i := range done {
			done[i] = call(t.Context(), c, gateway.Request{Service: "echo", Frames: fr(fmt.Sprint(i))})
		}
		for range small + 1 {
			a := next(t, b)
			b.Reply(a, a.Request.Body, true)
		}
		for i := range done {
			if r := <-done[i]; r.err != nil || string(r.reply.Frames[0]) != fmt.Sprint(i) {
				t.Errorf("call %d: got %.20q, %v", i, r.reply.Frames, r.err)
			}
		}
		if r := <-large; r.err != nil || !bytes.Equal(r.reply.Frames[0], body) {
			t.Errorf("the large one: got %d frames, %v", len(r.reply.Frames), r.err)
		}
	})
}

func TestALargeCallTakesAnotherConnection(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		b := mdptest.NewMuxedAt(t, at, "echo")
		c := start(t, mux.Config{Connections: 1}, b.Endpoint())
		peer := func(req gateway.Request) string {
			done := call(t.Context(), c, req)
			a := next(t, b)
			b.Reply(a, fr("ok"), true)
			if r := <-done; r.err != nil {
				t.Fatal(r.err)
			}
			return string(a.Peer)
		}
		// Until all connections are there, a call takes another's.
		eventually(t, "large calls and small ones are apart", func() bool {
			small := peer(gateway.Request{Service: "echo", Frames: fr("small")})
			body := peer(gateway.Request{Service: "echo", Frames: [][]byte{make([]byte, 257<<10)}})
			reply := peer(gateway.Request{Service: "echo", Expect: 257 << 10})
			return small != body && body == reply
		})
	})
}

func TestACallThatIsGivenUpSaysWhetherAWorkerHadTheRequest(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		b := mdptest.NewMuxedAt(t, at, "echo")
		c := start(t, mux.Config{}, b.Endpoint())
		up(t, c, 1)
		for _, dispatched := range []bool{false, true} {
			for tries := 1; ; tries++ {
				ctx, cancel := context.WithCancelCause(t.Context())
				done := call(ctx, c, gateway.Request{Service: "echo", Frames: fr("x")})
				a := next(t, b)
				executed, was := gateway.No, gateway.WasQueued
				if dispatched {
					b.Dispatch(a)
					executed, was = gateway.Maybe, gateway.WasDispatched
				}
				cancel(&gateway.Error{Kind: gateway.Timeout})
				r := <-done
				if gateway.AsError(r.err).Was == "" && tries < 50 {
					continue // the word took longer than it may, on a busy machine
				}
				wantError(t, r.err, gateway.Timeout, executed, was)
				break
			}
		}
	})
}

func TestACallPastItsDeadlineIsCanceled(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	done := call(t.Context(), c, gateway.Request{Service: "echo", Within: 300 * time.Millisecond})
	a := next(t, b)
	if ttl := a.Request.TTL.Duration(); ttl <= 0 || ttl > 300*time.Millisecond {
		t.Errorf("the request has a TTL of %s, want what is left of 300ms", ttl)
	}
	r := <-done
	if e := gateway.AsError(r.err); e.Kind != gateway.Timeout {
		t.Errorf("got %v, want a timeout", r.err)
	}
	eventually(t, "it was canceled", func() bool { return b.Canceled() == 1 })
}

func TestALeavingCallerCancels(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		b := mdptest.NewMuxedAt(t, at, "echo")
		c := start(t, mux.Config{}, b.Endpoint())
		up(t, c, 1)
		ctx, leave := context.WithCancel(t.Context())
		done := call(ctx, c, gateway.Request{Service: "echo"})
		next(t, b)
		leave()
		r := <-done
		if e := gateway.AsError(r.err); e.Kind != gateway.Canceled || !e.Sent {
			t.Errorf("got %v, want canceled, sent", r.err)
		}
		eventually(t, "it was canceled", func() bool { return b.Canceled() == 1 })
	})
}

func TestAReplyThatWasOnItsWayWhenTheCallWasCanceledIsGiven(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	for tries := 1; ; tries++ {
		ctx, leave := context.WithCancel(t.Context())
		done := call(ctx, c, gateway.Request{Service: "echo"})
		a := next(t, b)
		b.Deafen() // it says nothing of the cancellation
		leave()
		b.Reply(a, fr("late"), true)
		r := <-done
		if r.err == nil && string(r.reply.Frames[0]) == "late" {
			return
		}
		t.Logf("try %d: %v", tries, r.err) // a busy machine
		if tries == 20 {
			t.Fatal("the reply was never given")
		}
		b = mdptest.NewMuxed(t, "echo")
		c = start(t, mux.Config{}, b.Endpoint())
		up(t, c, 1)
	}
}

func TestAReplyThatLostAPartWhenTheCallWasCanceledIsNotGiven(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	ctx, leave := context.WithCancel(t.Context())
	done := call(ctx, c, gateway.Request{Service: "echo"})
	a := next(t, b)
	b.Deafen() // it says nothing of the cancellation
	leave()
	b.Reply(a, fr("first"), false)
	b.Reply(a, fr("last"), true)
	if r := <-done; r.err == nil && len(r.reply.Partials) != 1 {
		t.Errorf("got the reply %q after %q, want the part before it or an error", r.reply.Frames, r.reply.Partials)
	}
}

func TestWhatTheBrokerSaysOfARequestIsTheCallsError(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	for _, x := range []struct {
		command  mdpx.Command
		code     mdpx.Code
		kind     gateway.Kind
		executed gateway.Executed
		was      gateway.Was
	}{
		{mdpx.Refused, mdpx.NoService, gateway.ServiceNotFound, gateway.No, ""},
		{mdpx.Refused, mdpx.NoWorkers, gateway.NoWorkers, gateway.No, ""},
		{mdpx.Refused, mdpx.QueueFull, gateway.Busy, gateway.No, ""},
		{mdpx.Refused, mdpx.Expired, gateway.Timeout, gateway.No, gateway.WasQueued},
		{mdpx.Refused, mdpx.Forbidden, gateway.Forbidden, gateway.No, ""},
		{mdpx.Refused, mdpx.TooLarge, gateway.BodyTooLarge, gateway.No, ""},
		{mdpx.Refused, mdpx.Stopping, gateway.BrokerUnavailable, gateway.No, ""},
		{mdpx.Refused, "of a later broker", gateway.BrokerUnavailable, gateway.No, ""},
		{mdpx.Gone, mdpx.WorkerLost, gateway.BrokerLost, gateway.Maybe, ""},
		{mdpx.Gone, mdpx.Canceled, gateway.Timeout, gateway.Maybe, gateway.WasDispatched},
	} {
		done := call(t.Context(), c, gateway.Request{Service: "echo"})
		if a := next(t, b); x.command == mdpx.Refused {
			b.Refuse(a, x.code)
		} else {
			b.Lose(a, x.code)
		}
		r := <-done
		wantError(t, r.err, x.kind, x.executed, x.was)
		if t.Failed() {
			t.Fatalf("of the code %s", x.code)
		}
	}
}

func TestALostConnectionEndsItsCallsAndIsReplaced(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		b := mdptest.NewMuxedAt(t, at, "echo")
		c := start(t, mux.Config{}, b.Endpoint())
		up(t, c, 1)
		var all []<-chan result
		ids := map[string]bool{}
		for range 20 {
			all = append(all, call(t.Context(), c, gateway.Request{Service: "echo"}))
			ids[string(next(t, b).Peer)] = true
		}
		b.Close()
		for _, done := range all {
			wantError(t, (<-done).err, gateway.BrokerLost, gateway.Maybe, "")
		}
		again := mdptest.NewMuxedAt(t, b.Endpoint(), "echo")
		eventually(t, "the broker is back", func() bool {
			state, epoch := c.State(0)
			return state == gateway.Up && epoch == 1
		})
		done := call(t.Context(), c, gateway.Request{Service: "echo", Frames: fr("hi")})
		a := next(t, again)
		if ids[string(a.Peer)] {
			t.Error("a connection's routing id is used again")
		}
		again.Reply(a, a.Request.Body, true)
		if r := <-done; r.err != nil {
			t.Error(r.err)
		}
	})
}

func TestAServiceWithoutWorkersIsWaitedForAtTheBroker(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t)
	c := start(t, mux.Config{NoWorkersWait: time.Minute}, b.Endpoint())
	up(t, c, 1)

	done := call(t.Context(), c, gateway.Request{Service: "echo"})
	a := next(t, b)
	if ttl := a.Request.TTL.Duration(); ttl != time.Minute {
		t.Errorf("the request has a TTL of %s, want 1m", ttl)
	}
	b.Refuse(a, mdpx.Expired)
	wantError(t, (<-done).err, gateway.NoWorkers, gateway.No, gateway.WasQueued)

	// Workers that came meanwhile were busy: it is sent again, for as long as its caller waits.
	done = call(t.Context(), c, gateway.Request{Service: "echo", Frames: fr("hi"), Deadline: time.Now().Add(time.Hour)})
	a = next(t, b)
	b.Tell(mdpx.Service{Name: "echo", Workers: 1})
	eventually(t, "the worker is known", func() bool { return c.Table(0).Service("echo").Workers == 1 })
	b.Refuse(a, mdpx.Expired)
	a = next(t, b)
	if ttl := a.Request.TTL.Duration(); ttl <= time.Minute {
		t.Errorf("the second request has a TTL of %s, want about 1h", ttl)
	}
	b.Reply(a, a.Request.Body, true)
	if r := <-done; r.err != nil {
		t.Error(r.err)
	}

	// A job waits in its own queue.
	b.Tell(mdpx.Service{Name: "echo"})
	eventually(t, "the worker is gone", func() bool { return c.Table(0).Service("echo").Workers == 0 })
	asked := false
	_, err := c.Call(t.Context(), gateway.Request{Service: "echo", Within: time.Hour, Sending: func() error { asked = true; return nil }})
	wantError(t, err, gateway.NoWorkers, gateway.No, "")
	if asked {
		t.Error("the job was about to be sent")
	}
}

func TestTheBrokersWordIsTheAnswerToLookups(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	for name, want := range map[string]string{"echo": mdp.StatusFound, "other": mdp.StatusNotFound} {
		if status, err := c.Lookup(t.Context(), 0, name); err != nil || status != want {
			t.Errorf("%s: got %q, %v, want %s", name, status, err, want)
		}
	}
	b.Tell(mdpx.Service{Name: "other", Workers: 2, Busy: 1, Queued: 3})
	eventually(t, "a new service is known", func() bool {
		return c.Table(0).Service("other") == gateway.LiveService{Name: "other", Workers: 2, Busy: 1, Queued: 3}
	})
	b.Tell(mdpx.Service{Name: "echo"})
	eventually(t, "a service is forgotten", func() bool { return len(c.Table(0).Services()) == 1 })
}

func TestABrokerThatDoesNotSpeakIsTold(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	mute := mdptest.NewRouter(t, nil)
	c := start(t, mux.Config{Config: client.Config{Log: zap.New(core)}}, mute.Endpoint())
	eventually(t, "the broker is told to be mute", func() bool { return c.Stats().Endpoints[0].Silent })
	eventually(t, "it is logged", func() bool { return logs.FilterMessage(gateway.Unspoken).Len() > 0 })
	_, err := c.Call(t.Context(), gateway.Request{Service: "echo"})
	wantError(t, err, gateway.BrokerUnavailable, gateway.No, "")
	if n := logs.FilterMessage(gateway.Unspoken).Len(); n != 1 {
		t.Errorf("it is logged %d times, want once: %v", n, logs.All())
	}
}

func TestABrokerThatSaysNothingMoreIsLost(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	done := call(t.Context(), c, gateway.Request{Service: "echo"})
	next(t, b)
	b.Deafen()
	wantError(t, (<-done).err, gateway.BrokerLost, gateway.Maybe, "")
}

func TestALinkThatGoesDarkEndsItsCalls(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	link := mdptest.NewProxy(t, b.Endpoint())
	c := start(t, mux.Config{}, link.Endpoint())
	up(t, c, 1)
	done := call(t.Context(), c, gateway.Request{Service: "echo"})
	next(t, b)
	link.Stall()
	wantError(t, (<-done).err, gateway.BrokerLost, gateway.Maybe, "")
	link.Resume()
	up(t, c, 1)
	again := call(t.Context(), c, gateway.Request{Service: "echo"})
	a := next(t, b)
	b.Reply(a, fr("ok"), true)
	if r := <-again; r.err != nil {
		t.Errorf("after it: %v", r.err)
	}
}

func TestAReplyOverItsLimitEndsItsCallAlone(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		b := mdptest.NewMuxedAt(t, at, "echo")
		c := start(t, mux.Config{Config: client.Config{MaxReply: 1000}, Connections: 1}, b.Endpoint())
		up(t, c, 1)
		other := call(t.Context(), c, gateway.Request{Service: "echo"})
		a := next(t, b)
		for _, size := range []int{1001, 1 << 20} {
			for _, final := range []bool{true, false} {
				done := call(t.Context(), c, gateway.Request{Service: "echo"})
				b.Reply(next(t, b), [][]byte{make([]byte, size)}, final)
				if e := gateway.AsError((<-done).err); e.Kind != gateway.ReplyTooLarge || e.Executed() != gateway.Maybe && final {
					t.Errorf("%d bytes, final %v: got %v", size, final, e)
				}
			}
		}
		b.Reply(a, fr("ok"), true)
		if r := <-other; r.err != nil {
			t.Errorf("the call beside them: %v", r.err)
		}
	})
}

func TestPlacesBoundTheCallsInFlight(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c := start(t, mux.Config{Config: client.Config{Max: 1, QueueMax: 1, QueueTimeout: time.Hour}}, b.Endpoint())
	up(t, c, 1)
	first := call(t.Context(), c, gateway.Request{Service: "echo"})
	a := next(t, b)
	second := call(t.Context(), c, gateway.Request{Service: "echo"})
	eventually(t, "the second waits", func() bool { return c.Stats().Waiting == 1 })
	_, err := c.Call(t.Context(), gateway.Request{Service: "echo"})
	if e := gateway.AsError(err); e.Reason != gateway.ReasonQueue {
		t.Errorf("the third: got %v, want that the queue is full", err)
	}
	b.Reply(a, fr("1"), true)
	<-first
	b.Reply(next(t, b), fr("2"), true)
	if r := <-second; r.err != nil {
		t.Error(r.err)
	}
}

func TestCloseInterruptsAndCancelsWhatIsInFlight(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		b := mdptest.NewMuxedAt(t, at, "echo")
		c := start(t, mux.Config{}, b.Endpoint())
		up(t, c, 1)
		done := call(t.Context(), c, gateway.Request{Service: "echo"})
		next(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
		if e := gateway.AsError((<-done).err); e.Kind != gateway.Interrupted {
			t.Errorf("got %v, want interrupted", e)
		}
		eventually(t, "it was canceled", func() bool { return b.Canceled() == 1 })
		_, err := c.Call(t.Context(), gateway.Request{Service: "echo"})
		wantError(t, err, gateway.Draining, gateway.No, "")
	})
}

// descriptors returns how many files this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this test needs /proc/self/fd, which Linux has: ", err)
	}
	return len(all)
}

func TestTenThousandCallsInFlightTakeNoMoreDescriptorsThanOne(t *testing.T) {
	b := mdptest.NewMuxed(t, "echo")
	before := descriptors(t)
	c := start(t, mux.Config{}, b.Endpoint())
	up(t, c, 1)
	const calls = 10_000
	var running sync.WaitGroup
	for range calls {
		running.Go(func() {
			if _, err := c.Call(t.Context(), gateway.Request{Service: "echo", Frames: fr("x")}); err != nil {
				t.Error(err)
			}
		})
	}
	held := make([]mdptest.Asked, calls)
	for i := range held {
		held[i] = next(t, b)
	}
	// The broker, in this process, has one for each connection.
	if n := descriptors(t) - before; n > 30+10 {
		t.Errorf("%d calls in flight take %d descriptors, want at most 30 beside the broker's", calls, n)
	}
	for _, a := range held {
		b.Reply(a, a.Request.Body, true)
	}
	running.Wait()
}
