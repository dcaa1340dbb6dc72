//go:build linux

package broker_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

func TestAWorkerIsThereWhileItsLargeReplyComes(t *testing.T) {
	t.Parallel()
	b := mdptest.BrokerWith(t, broker.Config{Heartbeat: time.Second, Liveness: 4, BusySilence: 4 * time.Second})
	link := mdptest.NewProxy(t, mdptest.Endpoint(b))
	large := bytes.Repeat([]byte("x"), 7<<20)
	mdptest.WorkerWith(t, worker.Config{
		Endpoint: link.Endpoint(), Heartbeat: time.Second, Liveness: 10_000,
		Services: map[string]worker.Handler{
			"large": func(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) { return [][]byte{large}, nil },
		},
	})
	link.Throttle(1 << 20)
	client := mdptest.NewDealer(t, mdptest.Endpoint(b))
	request(t, client, mdp.V01, "large", "hi")
	if got, _ := reply(t, client, mdp.V01, "large"); got != string(large) {
		t.Errorf("got %d bytes, want %d", len(got), len(large))
	}
}
