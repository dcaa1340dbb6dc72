package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var dialects = []*mdp.Dialect{mdp.V01, mdp.V02, mdp.Loudify, mdp.Majortomo}

// prefix answers with its own name before the request's frames, in two messages
// where the dialect has PARTIALs.
func prefix(name string) worker.Handler {
	return func(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
		if err := partial([][]byte{[]byte("part")}); err != nil {
			return nil, err
		}
		return append([][]byte{[]byte(name)}, body...), nil
	}
}

func echo(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	return body, nil
}

// request sends one request.
func request(t *testing.T, d *mdptest.Dealer, dialect *mdp.Dialect, service string, body ...string) {
	t.Helper()
	var frames [][]byte
	for _, b := range body {
		frames = append(frames, []byte(b))
	}
	message, err := dialect.AppendRequest(nil, []byte(service), frames)
	if err != nil {
		t.Fatal(err)
	}
	d.Send(message)
}

// reply receives one message of a reply, its frames joined by |.
func reply(t *testing.T, d *mdptest.Dealer, dialect *mdp.Dialect, service string) (body string, final bool) {
	t.Helper()
	frames, final, err := dialect.ParseReply(service, d.Receive())
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Join(frames, []byte("|"))), final
}

// eventually waits until the broker's statistics are as wanted.
func eventually(t *testing.T, b *broker.Broker, want string, ok func(broker.Stats) bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for start := time.Now(); !ok(b.Stats()); <-ticker.C {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("got %+v, want %s", b.Stats(), want)
		}
	}
}

func TestAnyClientTalksToAnyWorker(t *testing.T) {
	endpoint := mdptest.Endpoint(mdptest.Broker(t))
	for i, d := range dialects {
		mdptest.WorkerWith(t, worker.Config{
			Endpoint: endpoint, Dialect: d, Services: map[string]worker.Handler{"s" + fmt.Sprint(i): prefix(d.String())},
		})
	}
	for _, client := range dialects {
		for i, server := range dialects {
			t.Run(fmt.Sprintf("client=%s/worker=%s", client, server), func(t *testing.T) {
				d := mdptest.NewDealer(t, endpoint)
				service := "s" + fmt.Sprint(i)
				for i := range 20 {
					data := fmt.Sprint(i, "\x00\xff")
					request(t, d, client, service, data, "", "vars")
					if client.HasPartials() && server.HasPartials() {
						if got, final := reply(t, d, client, service); got != "part" || final {
							t.Fatalf("got %q, final %v, want the PARTIAL", got, final)
						}
					}
					want := server.String() + "|" + data + "||vars"
					if got, final := reply(t, d, client, service); got != want || !final {
						t.Fatalf("got %q, final %v, want %q", got, final, want)
					}
				}
			})
		}
	}
}

func TestRepliesReachTheClientThatAsked(t *testing.T) {
	endpoint := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.WorkerWith(t, worker.Config{Endpoint: endpoint, Concurrency: 4, Services: map[string]worker.Handler{"echo": echo}})
	clients := make([]*mdptest.Dealer, 16)
	for i := range clients {
		clients[i] = mdptest.NewDealer(t, endpoint)
	}
	for round := range 200 {
		for i, d := range clients {
			request(t, d, mdp.V01, "echo", fmt.Sprint(i, round))
		}
		for i, d := range clients {
			if got, _ := reply(t, d, mdp.V01, "echo"); got != fmt.Sprint(i, round) {
				t.Fatalf("client %d in round %d got %q", i, round, got)
			}
		}
	}
}

func TestASilentWorkerIsLostInRealTime(t *testing.T) {
	// Patient enough that its own heartbeat comes first, however busy the machine.
	b := mdptest.BrokerWith(t, broker.Config{Heartbeat: 20 * time.Millisecond, Liveness: 100})
	d := mdptest.NewDealer(t, mdptest.Endpoint(b))
	d.Send(mdp.V01.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("s")}))
	m, err := mdp.V01.ParseWorker(d.Receive())
	if err != nil || m.Command != mdp.Heartbeat {
		t.Fatalf("got %v, %v, want a HEARTBEAT", m, err)
	}
	eventually(t, b, "no service", func(st broker.Stats) bool { return len(st.Services) == 0 })
}

func TestAWorkerWhoseConnectionIsGoneIsLost(t *testing.T) {
	b := mdptest.BrokerWith(t, broker.Config{Heartbeat: 50 * time.Millisecond, Liveness: 10_000})
	d := mdptest.NewDealer(t, mdptest.Endpoint(b))
	d.Send(mdp.V01.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("s")}))
	client := mdptest.NewDealer(t, mdptest.Endpoint(b))
	request(t, client, mdp.V01, "s", "hi")
	eventually(t, b, "a busy worker", func(st broker.Stats) bool { return len(st.Services) == 1 && st.Services[0].Busy == 1 })
	d.Close()
	eventually(t, b, "no service", func(st broker.Stats) bool { return len(st.Services) == 0 && st.Dropped["worker_lost"] == 1 })
}

func TestAPauseOfTheBrokerLosesNoWorker(t *testing.T) {
	// The broker's own heartbeats are the more frequent, so most likely the pause
	// begins when one is due, and not with a message.
	b := mdptest.BrokerWith(t, broker.Config{Heartbeat: 50 * time.Millisecond, Liveness: 10})
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: mdptest.Endpoint(b), Heartbeat: 250 * time.Millisecond, Liveness: 10_000,
		Services: map[string]worker.Handler{"echo": echo},
	})
	b.Stall(func() { <-time.After(700 * time.Millisecond) })
	d := mdptest.NewDealer(t, mdptest.Endpoint(b))
	request(t, d, mdp.V01, "echo", "hi")
	if got, _ := reply(t, d, mdp.V01, "echo"); got != "hi" {
		t.Errorf("got %q, want hi", got)
	}
	if n := b.Stats().Dropped["unregistered"]; n != 0 {
		t.Errorf("the worker was lost: %d of its messages were a stranger's", n)
	}
}

func TestAFrameOverTheBoundEndsItsConnectionAlone(t *testing.T) {
	b := mdptest.BrokerWith(t, broker.Config{QueueBytes: 1000})
	endpoint := mdptest.Endpoint(b)
	mdptest.Worker(t, endpoint, "echo", echo)
	large, other := mdptest.NewDealer(t, endpoint), mdptest.NewDealer(t, endpoint)
	request(t, large, mdp.V01, "echo", strings.Repeat("x", 1001))
	large.Lost()
	request(t, other, mdp.V01, "echo", strings.Repeat("x", 1000))
	if got, _ := reply(t, other, mdp.V01, "echo"); len(got) != 1000 {
		t.Errorf("got %d bytes, want 1000", len(got))
	}
}

func TestTheRequestOfALostWorkerGoesToAnother(t *testing.T) {
	b := mdptest.BrokerWith(t, broker.Config{Heartbeat: 20 * time.Millisecond, Liveness: 10_000, Redispatch: 1})
	endpoint := mdptest.Endpoint(b)
	dying := mdptest.NewDealer(t, endpoint)
	dying.Send(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("s")}))
	mdptest.WaitForService(t, endpoint, "s")
	client := mdptest.NewDealer(t, endpoint)
	request(t, client, mdp.Loudify, "s", "data", "{}")
	for {
		m, err := mdp.V02.ParseWorker(dying.Receive())
		if err != nil {
			t.Fatal(err)
		}
		if m.Command == mdp.Work {
			break
		}
	}
	dying.Close()
	mdptest.Worker(t, endpoint, "s", prefix("second"))
	if got, _ := reply(t, client, mdp.Loudify, "s"); got != "second|data|{}" {
		t.Errorf("got %q, want the second worker's reply", got)
	}
	if st := b.Stats(); st.Redispatched != 1 {
		t.Errorf("redispatched %d, want 1", st.Redispatched)
	}
}

func TestTenThousandNamesLeaveNoMoreThanTheQueueHolds(t *testing.T) {
	b := mdptest.BrokerWith(t, broker.Config{QueueMax: 100, Expiry: time.Second})
	endpoint := mdptest.Endpoint(b)
	mdptest.Worker(t, endpoint, "echo", echo)
	scanner := mdptest.NewDealer(t, endpoint)
	for i := range 10_000 {
		request(t, scanner, mdp.V01, fmt.Sprintf("name-%d", i), "x")
	}
	request(t, scanner, mdp.V01, "echo", "hi")
	if got, _ := reply(t, scanner, mdp.V01, "echo"); got != "hi" {
		t.Fatalf("got %q, want hi", got)
	}
	if st := b.Stats(); len(st.Services) > 51 || st.Queued > 50 || st.Dropped["queue_full"] < 9_950 {
		t.Errorf("got %d services, %d queued, %d dropped, want at most 51, 50 and the rest",
			len(st.Services), st.Queued, st.Dropped["queue_full"])
	}
	eventually(t, b, "echo alone", func(st broker.Stats) bool { return len(st.Services) == 1 && st.Queued == 0 })
}

func TestCloseEndsTheBrokerAndItsConnections(t *testing.T) {
	b := mdptest.Broker(t)
	d := mdptest.NewDealer(t, mdptest.Endpoint(b))
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	select {
	case <-b.Done():
	default:
		t.Error("the broker is closed and not done")
	}
	d.Lost()
	// Its port is free again.
	again := mdptest.BrokerWith(t, broker.Config{Bind: b.Endpoints()})
	mdptest.Worker(t, mdptest.Endpoint(again), "echo", echo)
}

func TestNewListensOnEveryEndpointOrFails(t *testing.T) {
	b := mdptest.BrokerWith(t, broker.Config{Bind: []string{"tcp://127.0.0.1:*", "tcp://127.0.0.1:*"}})
	if len(b.Endpoints()) != 2 || b.Endpoints()[0] == b.Endpoints()[1] {
		t.Fatalf("got %q, want two endpoints", b.Endpoints())
	}
	mdptest.Worker(t, b.Endpoints()[0], "echo", echo)
	d := mdptest.NewDealer(t, b.Endpoints()[1])
	request(t, d, mdp.V01, "echo", "hi")
	if got, _ := reply(t, d, mdp.V01, "echo"); got != "hi" {
		t.Errorf("got %q, want hi", got)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	endpoint := "tcp://" + taken.Addr().String()
	if _, err := broker.New(broker.Config{Bind: []string{"tcp://127.0.0.1:*", endpoint}}); err == nil || !strings.Contains(err.Error(), endpoint) {
		t.Errorf("got %v, want an error that names %s", err, endpoint)
	}
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		cfg  broker.Config
		want string
	}{
		{broker.Config{Liveness: -1}, "broker: liveness is -1, want at least 1"},
		{broker.Config{QueueMax: -1}, "broker: queue-max is -1, want at least 1"},
		{broker.Config{ServiceQueueMax: -2}, "broker: service-queue-max is -2, want at least 1"},
		{broker.Config{QueueBytes: -3}, "broker: queue-bytes is -3, want at least 1"},
		{broker.Config{Redispatch: -1}, "broker: redispatch is -1, want at least 0"},
		{broker.Config{Heartbeat: time.Microsecond}, "broker: heartbeat is 1µs, want at least 1ms"},
		{broker.Config{BusySilence: -time.Second}, "broker: busy-silence is -1s, want at least 1ms"},
		{broker.Config{Expiry: -time.Second}, "broker: expiry is -1s, want at least 1ms"},
	} {
		tt.cfg.Bind = []string{"tcp://127.0.0.1:*"}
		b, err := broker.New(tt.cfg)
		if err == nil {
			_ = b.Close()
		}
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// Workers in C++ cut a client's address at a NUL, others replace what is not UTF-8; and
// whoever can guess an address could answer for another worker.
func TestAClientsAddressIsTextThatCannotBeGuessed(t *testing.T) {
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	server, client := mdptest.NewDealer(t, endpoint), mdptest.NewDealer(t, endpoint)
	server.Send(mdp.V01.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("s")}))
	mdptest.WaitForService(t, endpoint, "s")
	var addresses []string
	first := map[byte]bool{}
	for range 500 {
		request(t, client, mdp.V01, "s", "hi")
		m := work(t, server, mdp.V01)
		if i := bytes.IndexFunc(m.Client, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 || len(m.Client) != 16 {
			t.Fatalf("the client's address is %q, want 16 printable characters", m.Client)
		}
		addresses, first[m.Client[0]] = append(addresses, string(m.Client)), true
		server.Send(mdp.V01.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Final, Client: m.Client, Body: m.Body}))
		reply(t, client, mdp.V01, "s")
	}
	slices.Sort(addresses)
	if n := len(slices.Compact(addresses)); n != 500 || len(first) < 50 {
		t.Errorf("of 500 addresses %d differ, with %d first characters, want 500 and most of 94", n, len(first))
	}
}
