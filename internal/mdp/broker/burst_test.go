package broker_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// burst answers with as many PARTIALs as the body says, numbered from 0, as fast
// as it can, and a FINAL. The body's second frame is in all of them.
func burst(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
	n, err := strconv.Atoi(string(body[0]))
	for i := 0; i < n && err == nil; i++ {
		err = partial([][]byte{strconv.AppendInt(nil, int64(i), 10), body[1]})
	}
	return body, err
}

// burster starts a worker with that service.
func burster(t *testing.T, endpoint string) {
	t.Helper()
	mdptest.WorkerWith(t, worker.Config{Endpoint: endpoint, Dialect: mdp.V02, Services: map[string]worker.Handler{"burst": burst}})
}

// wantPart fails the test if the next message is not that PARTIAL of burst.
func wantPart(t *testing.T, d *mdptest.Dealer, n int, second string) {
	t.Helper()
	if got, final := reply(t, d, mdp.V02, "burst"); got != fmt.Sprintf("%d|%s", n, second) || final {
		t.Fatalf("got %q, final %v, want part %d of %s", got, final, n, second)
	}
}

// wantFinal fails the test if the next message is not the FINAL.
func wantFinal(t *testing.T, d *mdptest.Dealer, n int, second string) {
	t.Helper()
	if got, final := reply(t, d, mdp.V02, "burst"); got != fmt.Sprintf("%d|%s", n, second) || !final {
		t.Fatalf("got %q, final %v, want the FINAL of %s", got, final, second)
	}
}

func TestABurstReachesAClientThatReadsWhole(t *testing.T) {
	// Far more than ZeroMQ holds for a connection.
	const parts, rounds = 20_000, 2
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	defer func() { t.Logf("at the end: %+v", b.Stats()) }()
	burster(t, endpoint)
	client := mdptest.NewDealer(t, endpoint)
	for range rounds {
		request(t, client, mdp.V02, "burst", strconv.Itoa(parts), "alone")
		for n := range parts {
			wantPart(t, client, n, "alone")
		}
		wantFinal(t, client, parts, "alone")
	}
	if st := b.Stats(); st.Replies != rounds || st.Unread != 0 || st.UnreadBytes != 0 {
		t.Errorf("got %d replies, %d messages unread, want %d and none", st.Replies, st.Unread, rounds)
	}
}

func TestBurstsToManyClientsDoNotMix(t *testing.T) {
	const parts, clients = 2_500, 8
	endpoint := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: endpoint, Dialect: mdp.V02, Concurrency: clients, Services: map[string]worker.Handler{"burst": burst},
	})
	dealers := make([]*mdptest.Dealer, clients)
	for i := range dealers {
		dealers[i] = mdptest.NewDealer(t, endpoint)
		request(t, dealers[i], mdp.V02, "burst", strconv.Itoa(parts), fmt.Sprint("client ", i))
	}
	for n := range parts {
		for i, d := range dealers {
			wantPart(t, d, n, fmt.Sprint("client ", i))
		}
	}
	for i, d := range dealers {
		wantFinal(t, d, parts, fmt.Sprint("client ", i))
	}
}

func TestWhatWaitsForAClientThatNeverReadsIsBounded(t *testing.T) {
	const share = 1 << 20
	b := mdptest.BrokerWith(t, broker.Config{OutboxBytes: 4 * share})
	endpoint := mdptest.Endpoint(b)
	burster(t, endpoint)
	mdptest.Worker(t, endpoint, "echo", echo)
	deaf, other := newPeer(t, endpoint), mdptest.NewDealer(t, endpoint)
	deaf.send(false, mdp.V02.Header, []byte{1}, []byte("burst"), []byte("50000"), make([]byte, 255))
	eventually(t, b, "a message too many dropped", func(st broker.Stats) bool {
		if st.UnreadBytes > share || st.Unread > share/256 {
			t.Fatalf("%d messages of %d bytes wait, want at most %d bytes", st.Unread, st.UnreadBytes, share)
		}
		return st.Dropped["client_slow"] > 0
	})
	for range 100 {
		request(t, other, mdp.V01, "echo", "hi")
		if got, _ := reply(t, other, mdp.V01, "echo"); got != "hi" {
			t.Fatalf("the other client got %q, want hi", got)
		}
	}
	request(t, other, mdp.V02, "burst", "5000", "other")
	for n := range 5000 {
		wantPart(t, other, n, "other")
	}
	wantFinal(t, other, 5000, "other")
}

func TestAClientThatNeverReadsLosesItsConnection(t *testing.T) {
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	burster(t, endpoint)
	deaf, other := newPeer(t, endpoint), mdptest.NewDealer(t, endpoint)
	deaf.send(false, mdp.V02.Header, []byte{1}, []byte("burst"), []byte("100000"), make([]byte, 255))
	eventually(t, b, "messages that wait", func(st broker.Stats) bool { return st.Unread > 0 })
	// The kernel ends a connection on which nothing could be sent for 4 s.
	eventually(t, b, "nothing that waits", func(st broker.Stats) bool { return st.Unread == 0 && st.Dropped["client_gone"] > 0 })
	request(t, other, mdp.V02, "burst", "0", "other")
	wantFinal(t, other, 0, "other")
}
