package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// filled returns a large frame that says which one it is.
func filled(n int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("%06d|", n)), mdp.LentFrom/7+1) }

// The socket lends large frames for as long as the broker looks at one message. What the broker keeps for longer is its
// own: a request that waits for a worker, also for a second one.
func TestLargeRequestsThatWaitStayAsTheyWere(t *testing.T) {
	const requests = 40
	b := mdptest.BrokerWith(t, broker.Config{Redispatch: 1})
	endpoint := mdptest.Endpoint(b)
	client := mdptest.NewDealer(t, endpoint)
	for n := range requests {
		request(t, client, mdp.V01, "later", string(filled(n)))
	}
	eventually(t, b, "all requests wait", func(s broker.Stats) bool { return s.Queued == requests })
	dying := mdptest.NewDealer(t, endpoint)
	dying.Send(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("later")}))
	m, err := mdp.V02.ParseWorker(dying.Receive())
	if err != nil || m.Command != mdp.Work || !bytes.Equal(m.Body[0], filled(0)) {
		t.Fatalf("the first worker got command %v, %v, want the first request", m.Command, err)
	}
	request(t, client, mdp.V01, "later", string(filled(requests))) // the first one's memory would be this one's
	dying.Send(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Disconnect}))
	dying.Close()
	mdptest.Worker(t, endpoint, "later", echo)
	for n := range requests + 1 {
		if got, _ := reply(t, client, mdp.V01, "later"); got != string(filled(n)) {
			t.Fatalf("reply %d begins with %.20q", n, got)
		}
	}
}

// A request that a worker is given at once is kept, too, where another worker may get it.
func TestALargeRequestOfALostWorkerStaysAsItWas(t *testing.T) {
	b := mdptest.BrokerWith(t, broker.Config{Redispatch: 1})
	endpoint := mdptest.Endpoint(b)
	client, other := mdptest.NewDealer(t, endpoint), mdptest.NewDealer(t, endpoint)
	dying := mdptest.NewDealer(t, endpoint)
	dying.Send(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("s")}))
	mdptest.WaitForService(t, endpoint, "s")
	request(t, client, mdp.V01, "s", string(filled(0)))
	for m := (mdp.WorkerMessage{}); m.Command != mdp.Work; {
		var err error
		if m, err = mdp.V02.ParseWorker(dying.Receive()); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 {
		request(t, other, mdp.V01, "nobody", string(filled(n+1)))
	}
	eventually(t, b, "the others wait", func(s broker.Stats) bool { return s.Queued == 10 })
	dying.Send(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Disconnect}))
	mdptest.Worker(t, endpoint, "s", echo)
	if got, _ := reply(t, client, mdp.V01, "s"); got != string(filled(0)) {
		t.Errorf("the reply begins with %.20q", got)
	}
}

// Replies that wait for their client to read are the broker's own.
func TestLargeRepliesThatWaitStayAsTheyWere(t *testing.T) {
	const parts = 1000 // of 64 KiB: more than the kernel and ZeroMQ hold for a client
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	mdptest.WorkerWith(t, worker.Config{Endpoint: endpoint, Dialect: mdp.V02, Services: map[string]worker.Handler{
		"parts": func(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
			for n := range parts {
				if err := partial([][]byte{filled(n)}); err != nil {
					return nil, err
				}
			}
			return body, nil
		},
	}})
	client := newPeer(t, endpoint)
	client.send(false, mdp.V02.Header, []byte{1}, []byte("parts"), []byte("end"))
	eventually(t, b, "replies that wait", func(s broker.Stats) bool { return s.Unread > 100 })
	for n := range parts {
		if got := client.receive(); len(got) != 4 || !bytes.Equal(got[3], filled(n)) {
			t.Fatalf("part %d: %d frames, the last begins with %.20q", n, len(got), got[len(got)-1])
		}
	}
	if got := client.receive(); string(got[len(got)-1]) != "end" {
		t.Errorf("got %.20q at the end", got[len(got)-1])
	}
}
