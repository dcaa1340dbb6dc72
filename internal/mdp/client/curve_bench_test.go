package client_test

import (
	"context"
	"fmt"
	"testing"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// BenchmarkCurve is one call at a time through a broker to a worker and back, without CURVE and with it, over a
// connection of the pool and over one of its own.
func BenchmarkCurve(b *testing.B) {
	for _, encrypted := range []bool{false, true} {
		for _, c := range []struct {
			size  int
			reuse gateway.Reuse
		}{{64, gateway.ReuseAlways}, {64, gateway.ReuseNever}, {1 << 20, gateway.ReuseAlways}} {
			b.Run(fmt.Sprintf("curve=%v/size=%d/reuse=%v", encrypted, c.size, c.reuse), func(b *testing.B) {
				server, gatewayPair, workerPair := curve.NewPair(), curve.NewPair(), curve.NewPair()
				var keys *broker.Curve
				var caller, serving *curve.Client
				if encrypted {
					caller, serving = &curve.Client{Server: server.Public, Own: gatewayPair}, &curve.Client{Server: server.Public, Own: workerPair}
					keys = &broker.Curve{Public: server.Public, Secret: server.Secret, Allowed: curve.NewList(
						curve.Peer{ID: "gateway", Key: gatewayPair.Public, Role: curve.RoleClient},
						curve.Peer{ID: "worker", Key: workerPair.Public, Role: curve.RoleWorker, Services: []string{"*"}})}
				}
				endpoint := mdptest.Endpoint(mdptest.BrokerWith(b, broker.Config{Curve: keys}))
				w, err := worker.New(worker.Config{Endpoint: endpoint, Curve: serving, Services: map[string]worker.Handler{
					"echo": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) { return body, nil },
				}})
				if err != nil {
					b.Fatal(err)
				}
				defer w.Close()
				pool, err := client.New(client.Config{Endpoints: []client.Endpoint{{Address: endpoint, Curve: caller}}})
				if err != nil {
					b.Fatal(err)
				}
				defer pool.Close(context.Background())
				req := gateway.Request{Service: "echo", Frames: [][]byte{make([]byte, c.size)}, Reuse: c.reuse}
				b.SetBytes(int64(c.size))
				for b.Loop() {
					if _, err := pool.Call(context.Background(), req); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
