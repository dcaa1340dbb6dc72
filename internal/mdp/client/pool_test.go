package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

func echoHandler(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	return body, nil
}

func TestARequestGoesToAWorkerAndBackInEveryDialect(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "echo", echoHandler)
	majortomo := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		return [][][]byte{append(frames("", "MDPC02", "\x04"), m[4:]...)}
	})
	for _, e := range []client.Endpoint{
		{Address: broker, Dialect: mdp.V01},
		{Address: broker, Dialect: mdp.V02},
		{Address: broker, Dialect: mdp.Loudify},
		{Address: majortomo.Endpoint(), Dialect: mdp.Majortomo},
	} {
		t.Run(e.Dialect.String(), func(t *testing.T) {
			p := newPool(t, client.Config{}, e)
			for _, want := range [][][]byte{frames("hello"), frames(""), frames("\x00\xff", "", "{}")} {
				reply, err := p.Call(context.Background(), gateway.Request{Service: "echo", Frames: want})
				if err != nil || !slices.EqualFunc(reply.Frames, want, slices.Equal[[]byte]) {
					t.Errorf("got %q, %v, want %q", reply.Frames, err, want)
				}
				if reply.Timing.Broker <= 0 || reply.Broker != 0 {
					t.Errorf("timing %+v, broker %d, want some time at broker 0", reply.Timing, reply.Broker)
				}
			}
		})
	}
}

func TestAHostIsNamed(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	named := strings.Replace(broker.Endpoint(), "127.0.0.1", "localhost", 1)
	mustCall(t, newPool(t, client.Config{}, at(named)), "hello")
}

func TestPartialsAreKeptOrPassedOn(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "count", echoHandler)
	stream := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		return [][][]byte{
			frames("MDPC02", "\x02", "echo", "1"), frames("MDPC02", "\x02", "echo", "2", "b"), frames("MDPC02", "\x03", "echo", "3"),
		}
	})
	p := newPool(t, client.Config{}, client.Endpoint{Address: stream.Endpoint(), Dialect: mdp.V02})
	reply, err := p.Call(context.Background(), echo("go"))
	if got := fmt.Sprintf("%s %s", reply.Partials, reply.Frames); err != nil || got != "[[1] [2 b]] [3]" {
		t.Errorf("kept: got %s, %v", got, err)
	}
	var passed []string
	req := echo("go")
	req.Partial = func(f [][]byte) error {
		passed = append(passed, fmt.Sprintf("%s", f))
		return nil
	}
	reply, err = p.Call(context.Background(), req)
	if got := fmt.Sprintf("%s %s", passed, reply.Frames); err != nil || got != "[[1] [2 b]] [3]" || reply.Partials != nil {
		t.Errorf("passed on: got %s, %v, partials %q", got, err, reply.Partials)
	}
	req.Partial = func([][]byte) error { return context.Canceled }
	_, err = p.Call(context.Background(), req)
	failure(t, err, gateway.Canceled, "")
	if got := p.Stats().Closed; got["canceled"] != 1 {
		t.Errorf("connections closed: %v, want the one whose call was cut short", got)
	}
}

func TestCollectedPartialsCountAgainstTheLimit(t *testing.T) {
	large, none := frames("MDPC02", "\x02", "echo", strings.Repeat("x", 600)), frames("MDPC02", "\x02", "echo")
	for _, c := range []struct {
		name  string
		parts [][][]byte
	}{
		{"large", [][][]byte{large, large}},
		{"without frames", slices.Repeat([][][]byte{none}, 20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return c.parts })
			p := newPool(t, client.Config{MaxReply: 1000}, client.Endpoint{Address: stream.Endpoint(), Dialect: mdp.V02})
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err := p.Call(ctx, echo("go"))
			failure(t, err, gateway.ReplyTooLarge, "")
		})
	}
}

func TestAReplyOfExactlyTheLimitIsTaken(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	p := newPool(t, client.Config{MaxReply: 1000}, at(broker.Endpoint()))
	mustCall(t, p, strings.Repeat("x", 1000))
	_, err := p.Call(context.Background(), echo(strings.Repeat("x", 1001)))
	failure(t, err, gateway.ReplyTooLarge, "")
}

func TestAConnectionIsUsedAgainUnlessTheCallerForbidsIt(t *testing.T) {
	seen := new(peers)
	broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		seen.note(id, m)
		return [][][]byte{m}
	})
	p := newPool(t, client.Config{Max: 1}, at(broker.Endpoint()))
	for range 5 {
		mustCall(t, p, "hello")
	}
	if got := seen.distinct(); got != 1 {
		t.Errorf("5 calls used %d connections, want 1", got)
	}
	for range 5 {
		req := echo("hello")
		req.Reuse = gateway.ReuseNever
		if _, err := p.Call(context.Background(), req); err != nil {
			t.Fatal(err)
		}
	}
	if got := seen.distinct(); got != 6 {
		t.Errorf("5 more calls that must not share one made it %d connections, want 6", got)
	}
	if got := p.Stats(); got.Idle+got.Busy+got.Connecting != 0 {
		t.Errorf("connections left: %+v, want none", got)
	}
}

func TestIdleConnectionsAreUsedOldestFirst(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	p := newPool(t, client.Config{}, at(broker.Endpoint()))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var ids []string
	var ended []<-chan error
	for range 3 {
		ended = append(ended, inBackground(ctx, p, echo("hello")))
		ids = append(ids, await(t, arrived))
	}
	order := []int{2, 0, 1}
	for _, i := range order {
		broker.Send([]byte(ids[i]), frames("", "MDPC01", "echo", "done"))
		if err := await(t, ended[i]); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(2 * time.Millisecond) // they must rest that long at the least
	for _, i := range order {
		open := inBackground(ctx, p, echo("again"))
		if got := await(t, arrived); got != ids[i] {
			t.Errorf("connection %x is used, want %x, which rested longest", got, ids[i])
		}
		defer func() { cancel(); failure(t, await(t, open), gateway.Canceled, "") }()
	}
}

func TestUnusedConnectionsAreClosed(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	p := newPool(t, client.Config{Idle: 20 * time.Millisecond}, at(broker.Endpoint()))
	mustCall(t, p, "hello")
	eventually(t, "the idle connection is closed", func() bool {
		s := p.Stats()
		return s.Idle == 0 && s.Closed["idle"] == 1
	})
	mustCall(t, p, "hello again")
}

// All connections take turns, so each of them was used a moment ago.
func TestAfterABurstAPoolInUseClosesWhatItDoesNotNeed(t *testing.T) {
	const burst = 8
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	p := newPool(t, client.Config{Idle: 40 * time.Millisecond}, at(broker.Endpoint()))
	call := func(n int) {
		t.Helper()
		var open []<-chan error
		for range n {
			open = append(open, inBackground(context.Background(), p, echo("hello")))
		}
		for range n {
			broker.Send([]byte(await(t, arrived)), frames("", "MDPC01", "echo", "done"))
		}
		for _, ended := range open {
			if err := await(t, ended); err != nil {
				t.Fatal(err)
			}
		}
	}
	call(burst)
	eventually(t, "few connections are left", func() bool {
		call(1)
		s := p.Stats()
		return s.Idle < burst/2 && s.Closed["idle"] > burst/2
	})
}

func TestWhereNothingListensACallFailsAtOnceAndNothingIsSentLater(t *testing.T) {
	gone := mdptest.NewRouter(t, nil)
	endpoint := gone.Endpoint()
	gone.Close()
	p := newPool(t, client.Config{}, at(endpoint))
	for range 3 {
		_, err := p.Call(context.Background(), echo("lost"))
		failure(t, err, gateway.BrokerUnavailable, "")
	}
	seen := new(peers)
	mdptest.NewRouterAt(t, endpoint, func(id []byte, m [][]byte) [][][]byte {
		seen.note(id, m)
		return [][][]byte{m}
	})
	eventually(t, "calls work when the broker is there", func() bool {
		_, err := p.Call(context.Background(), echo("hello"))
		return err == nil
	})
	if slices.Contains(seen.bodies, "lost") {
		t.Error("a call that had failed was sent when the broker came")
	}
}

func TestCallsInFlightEndWhenTheBrokerDies(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	p := newPool(t, client.Config{}, at(broker.Endpoint()))
	const calls = 50
	var ended []<-chan error
	for range calls {
		ended = append(ended, inBackground(context.Background(), p, echo("hello")))
	}
	old := map[string]bool{}
	for range calls {
		old[await(t, arrived)] = true
	}
	broker.Close()
	for _, c := range ended {
		failure(t, await(t, c), gateway.BrokerLost, "")
	}
	_, err := p.Call(context.Background(), echo("hello"))
	failure(t, err, gateway.BrokerUnavailable, "")

	seen := new(peers)
	again := mdptest.NewRouterAt(t, broker.Endpoint(), func(id []byte, m [][]byte) [][][]byte {
		seen.note(id, m)
		return [][][]byte{m}
	})
	for id := range old { // a worker's late replies reach nobody
		again.Send([]byte(id), frames("", "MDPC01", "echo", "late"))
	}
	eventually(t, "calls work again", func() bool {
		reply, err := p.Call(context.Background(), echo("hello"))
		if err == nil && text(reply) != "hello" {
			t.Errorf("got %q, want hello", reply.Frames)
		}
		return err == nil
	})
	for _, id := range seen.ids {
		if old[id] {
			t.Error("a routing id of before was used again")
		}
	}
	if got := p.Stats().Endpoints[0].Reconnects; got != 1 {
		t.Errorf("%d reconnects, want 1", got)
	}
}

func TestACallGoesToTheBrokerWithTheFewestInFlight(t *testing.T) {
	script, arrived := hold()
	a, b := mdptest.NewRouter(t, script), mdptest.NewRouter(t, script)
	p := newPool(t, client.Config{}, at(a.Endpoint()), at(b.Endpoint()))
	eventually(t, "both are up", func() bool {
		s := p.Stats()
		return s.Endpoints[0].State == gateway.Up && s.Endpoints[1].State == gateway.Up
	})
	ctx, cancel := context.WithCancel(context.Background())
	var ended []<-chan error
	for range 10 {
		ended = append(ended, inBackground(ctx, p, echo("hello")))
		await(t, arrived)
	}
	s := p.Stats()
	if s.Endpoints[0].InFlight != 5 || s.Endpoints[1].InFlight != 5 {
		t.Errorf("in flight: %d and %d, want 5 and 5", s.Endpoints[0].InFlight, s.Endpoints[1].InFlight)
	}
	a.Close()
	for i, c := range ended {
		if i%2 == 0 {
			failure(t, await(t, c), gateway.BrokerLost, "")
		}
	}
	only := echo("hello")
	only.Brokers = []int{0}
	_, err := p.Call(ctx, only)
	failure(t, err, gateway.BrokerUnavailable, "")
	cancel()
	for i, c := range ended {
		if i%2 == 1 {
			failure(t, await(t, c), gateway.Canceled, "")
		}
	}
}

func TestCloseLetsCallsEndAndLeavesNothingBehind(t *testing.T) {
	before := descriptors(t)
	script, arrived := hold()
	func() {
		broker := mdptest.NewRouter(t, script)
		defer broker.Close()
		p, err := client.New(client.Config{Endpoints: []client.Endpoint{at(broker.Endpoint())}})
		if err != nil {
			t.Fatal(err)
		}
		answered := inBackground(context.Background(), p, echo("answered"))
		id := await(t, arrived)
		closed := make(chan error, 1)
		go func() { closed <- p.Close(context.Background()) }()
		eventually(t, "new calls are refused", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			_, err := p.Call(ctx, echo("late"))
			return gateway.AsError(err).Kind == gateway.Draining
		})
		impatient, cancel := context.WithCancel(context.Background())
		cancel()
		if err := p.Close(impatient); !errors.Is(err, context.Canceled) {
			t.Errorf("a second close that does not wait: got %v, want context.Canceled", err)
		}
		broker.Send([]byte(id), frames("", "MDPC01", "echo", "done"))
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("a second close: %v", err)
		}
		if err := await(t, answered); err != nil {
			t.Errorf("the open call: %v", err)
		}
		if err := await(t, closed); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, want the %d of before", after, before)
	}
}

func TestCloseInterruptsCallsThatDoNotEnd(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	p, err := client.New(client.Config{Endpoints: []client.Endpoint{at(broker.Endpoint())}})
	if err != nil {
		t.Fatal(err)
	}
	open := inBackground(context.Background(), p, echo("hello"))
	await(t, arrived)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	failure(t, await(t, open), gateway.Interrupted, "")
}

func TestABadConfigIsRefused(t *testing.T) {
	good := []client.Endpoint{at("tcp://127.0.0.1:5555")}
	for want, cfg := range map[string]client.Config{
		"no broker is given, want at least one":                          {},
		`broker is "localhost:5555", want tcp://host:port or ipc://path`: {Endpoints: []client.Endpoint{at("localhost:5555")}},
		`broker is "tcp://host", want tcp://host:port or ipc://path`:     {Endpoints: []client.Endpoint{at("tcp://host")}},
		`broker is "tcp://host:0", want tcp://host:port or ipc://path`:   {Endpoints: []client.Endpoint{at("tcp://host:0")}},
		"pool size is -1, want at least 1":                               {Endpoints: good, Max: -1},
		"reserve is 1, want a share from 0 to less than 1":               {Endpoints: good, Reserve: 1},
		"queue size is -1, want at least 0":                              {Endpoints: good, QueueMax: -1},
		"largest reply is -1 bytes, want at least 1":                     {Endpoints: good, MaxReply: -1},
	} {
		if _, err := client.New(cfg); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestACallThatIsOverIsNotSent(t *testing.T) {
	seen := new(peers)
	broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		seen.note(id, m)
		return [][][]byte{m}
	})
	p := newPool(t, client.Config{Max: 1}, at(broker.Endpoint()))
	mustCall(t, p, "first") // leaves the only connection, which could send at once
	left, leave := context.WithCancel(context.Background())
	leave()
	_, err := p.Call(left, echo("left"))
	failure(t, err, gateway.Canceled, "")
	if gateway.AsError(err).Executed() != gateway.No {
		t.Errorf("got %v, want it not executed", err)
	}
	late, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = p.Call(late, echo("late"))
	failure(t, err, gateway.Busy, gateway.ReasonDeadline)
	mustCall(t, p, "last")
	if got := fmt.Sprint(seen.bodies); got != "[first last]" {
		t.Errorf("the broker got %s, want [first last]", got)
	}
}

// It may wrap what the socket's own wait ends with: the caller's writer timed out.
func TestTheErrorOfACallersPartialIsTheCalls(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		return [][][]byte{{[]byte("MDPC02"), {2}, m[2], []byte("one")}}
	})
	p := newPool(t, client.Config{}, client.Endpoint{Address: broker.Endpoint(), Dialect: mdp.V02})
	for _, c := range []struct {
		err  error
		want gateway.Kind
	}{
		{&gateway.Error{Kind: gateway.Canceled, Sent: true, Err: os.ErrDeadlineExceeded}, gateway.Canceled},
		{os.ErrDeadlineExceeded, gateway.Canceled},
		{&gateway.Error{Kind: gateway.ReplyTooLarge, Reason: gateway.ReasonReader}, gateway.ReplyTooLarge},
	} {
		req := echo("hello")
		req.Partial = func([][]byte) error { return c.err }
		_, err := p.Call(context.Background(), req)
		failure(t, err, c.want, "")
	}
}
