package broker_test

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mdpx"
	"mdpgateway/internal/mdp/worker"
)

// ask sends a REQUEST with 25 s to live.
func ask(t *testing.T, d *mdptest.Dealer, n uint64, service string, body ...string) {
	t.Helper()
	id, ttl := mdpx.NumberID(n), mdpx.TTL{0, 0, 0x61, 0xa8}
	request, err := mdpx.AppendRequest(nil, &id, &ttl, []byte(service), frames(body...))
	if err != nil {
		t.Fatal(err)
	}
	d.Send(request)
}

func cancel(d *mdptest.Dealer, n uint64) {
	id := mdpx.NumberID(n)
	d.Send(mdpx.AppendCancel(nil, &id))
}

// told returns the next message but SERVICES.
func told(t *testing.T, d *mdptest.Dealer) mdpx.FromBroker {
	t.Helper()
	for {
		message := d.Receive()
		m, err := mdpx.ParseFromBroker(message)
		if err != nil {
			t.Fatalf("%q: %v", message, err)
		}
		if m.Command != mdpx.Services {
			return m
		}
	}
}

// wantTold fails the test if the next message but SERVICES is another one. The rest is a
// reply's body, or a code.
func wantTold(t *testing.T, d *mdptest.Dealer, command mdpx.Command, n uint64, rest string) {
	t.Helper()
	m := told(t, d)
	got := string(m.Code)
	for _, frame := range m.Body {
		got += string(frame)
	}
	if m.Command != command || m.ID != mdpx.NumberID(n) || got != rest {
		t.Fatalf("got %+v, want command %02x of %d with %q", m, command, n, rest)
	}
}

// What waits is refused when the broker stops, though its gateway still sends.
func TestABrokerThatStopsRefusesWhatWaits(t *testing.T) {
	t.Parallel()
	const waiting = 500
	for range 5 {
		b, err := broker.New(broker.WithFarewell(broker.Config{Bind: []string{"tcp://127.0.0.1:*"}}, time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		d := mdptest.NewDealer(t, b.Endpoints()[0])
		for n := range uint64(waiting) {
			ask(t, d, n, "nobody", "x")
		}
		d.Send(mdpx.AppendHeartbeat(nil))
		wantTold(t, d, mdpx.HeartbeatReply, 0, "")
		closed := make(chan error)
		go func() { closed <- b.Close() }()
		for range waiting {
			d.Send(mdpx.AppendHeartbeat(nil))
		}
		for n := 0; n < waiting; {
			switch m := told(t, d); {
			case m.Command == mdpx.HeartbeatReply:
			case m.Command == mdpx.Refused && m.Code == mdpx.Stopping:
				n++
			default:
				t.Fatalf("got %+v, want that the broker is stopping", m)
			}
		}
		d.Close()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
}

func TestAPlainDealerSpeaksMDPX(t *testing.T) {
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	gate, begun := make(chan struct{}), make(chan string, 10)
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: endpoint, Dialect: mdp.V02,
		Services: map[string]worker.Handler{"slow": func(ctx context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
			begun <- string(body[0])
			select {
			case <-gate:
				return body, partial(frames("part"))
			case <-ctx.Done(): // the test has failed
				return nil, ctx.Err()
			}
		}},
	})
	d := mdptest.NewDealer(t, endpoint)
	d.Send(mdpx.AppendHeartbeat(nil))
	wantTold(t, d, mdpx.HeartbeatReply, 0, "")
	d.Send(mdpx.AppendWatch(nil))
	if m, err := mdpx.ParseFromBroker(d.Receive()); err != nil || len(m.Services) != 1 || m.Services[0] != (mdpx.Service{Name: "slow", Workers: 1}) {
		t.Fatalf("got %+v, %v, want the service slow with a worker", m, err)
	}

	ask(t, d, 1, "slow", "one")
	<-begun
	ask(t, d, 2, "slow", "two")
	ask(t, d, 3, "slow", "three")
	cancel(d, 2)
	wantTold(t, d, mdpx.Refused, 2, "canceled")
	cancel(d, 1)
	wantTold(t, d, mdpx.Gone, 1, "canceled")
	gate <- struct{}{}
	if got := <-begun; got != "three" {
		t.Fatalf("the worker got %q after the first, want three", got)
	}
	gate <- struct{}{}
	wantTold(t, d, mdpx.Partial, 3, "part")
	wantTold(t, d, mdpx.Final, 3, "three")

	// What no worker has when the connection ends is dropped.
	other := mdptest.NewDealer(t, endpoint)
	ask(t, other, 1, "slow", "four")
	<-begun
	ask(t, d, 5, "slow", "five")
	ask(t, d, 6, "slow", "six")
	eventually(t, b, "two queued requests", func(st broker.Stats) bool { return st.Queued == 2 })
	d.Close()
	eventually(t, b, "none", func(st broker.Stats) bool { return st.Queued == 0 && st.Dropped["client_gone_queued"] == 2 })
	gate <- struct{}{}
	wantTold(t, other, mdpx.Partial, 1, "part")
	wantTold(t, other, mdpx.Final, 1, "four")
	ask(t, other, 2, "slow", "seven")
	if got := <-begun; got != "seven" {
		t.Fatalf("the worker got %q, want seven", got)
	}
	ask(t, other, 3, "slow", "eight")
	eventually(t, b, "a queued request", func(st broker.Stats) bool { return st.Queued == 1 })
	close(gate)
	wantTold(t, other, mdpx.Partial, 2, "part")
	wantTold(t, other, mdpx.Final, 2, "seven")
}

// A broker that goes says so to those who wait.
func TestABrokerThatClosesRefusesWhatIsQueued(t *testing.T) {
	b := mdptest.Broker(t)
	p := newPeer(t, mdptest.Endpoint(b)) // a DEALER may lose what it did not read when its connection ends
	p.send(false, frames("MDPX01", "\x01", "00000001", "none", "\x00\x00\x61\xa8", "x")...)
	eventually(t, b, "a queued request", func(st broker.Stats) bool { return st.Queued == 1 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := p.receive(), frames("MDPX01", "\x13", "00000001", "stopping"); mdp.Show(got) != mdp.Show(want) {
		t.Errorf("got %s, want %s", mdp.Show(got), mdp.Show(want))
	}
}

// A connection that does not read and lost a message is ended, since a request of it would
// never be answered; others notice nothing.
func TestAMuxThatDoesNotReadIsEnded(t *testing.T) {
	b := mdptest.BrokerWith(t, broker.Config{OutboxBytes: 4 << 20})
	endpoint := mdptest.Endpoint(b)
	burster(t, endpoint)
	deaf, other := newPeer(t, endpoint), mdptest.NewDealer(t, endpoint)
	deaf.send(false, frames("MDPX01", "\x01", "00000001", "burst", "\x00\x00\x61\xa8", "50000", strings.Repeat("x", 255))...)
	eventually(t, b, "a message too many dropped", func(st broker.Stats) bool { return st.Dropped["client_slow"] > 0 })
	if _, err := io.Copy(io.Discard, deaf.conn); os.IsTimeout(err) {
		t.Fatal("the connection is still open when all that came over it is read")
	}
	ask(t, other, 1, "burst", "0", "other")
	wantTold(t, other, mdpx.Final, 1, "0other")
}
