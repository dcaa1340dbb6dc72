package client_test

import (
	"context"
	"fmt"
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/internal/zsock"
)

// echoRouter answers every 0.1 request with its own body, from one goroutine:
// what is left to measure is the pool.
func echoRouter(b *testing.B) (endpoint string) {
	b.Helper()
	ctx, err := zsock.NewContext(8)
	if err != nil {
		b.Fatal(err)
	}
	router, err := ctx.Router(zsock.RouterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if endpoint, err = router.Bind("tcp://127.0.0.1:*"); err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := router.Receive()
			if err != nil {
				return
			}
			_ = router.Send(m)
		}
	}()
	b.Cleanup(func() {
		router.Interrupt()
		<-done
		router.Close()
		ctx.Close()
	})
	return endpoint
}

func BenchmarkCall(b *testing.B) {
	for _, callers := range []int{1, 64} {
		for _, size := range []int{64, 64 << 10} {
			b.Run(fmt.Sprintf("callers=%d/size=%d", callers, size), func(b *testing.B) {
				pool, err := client.New(client.Config{Endpoints: []client.Endpoint{{Address: echoRouter(b)}}})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { pool.Close(context.Background()) })
				req := gateway.Request{Service: "echo", Frames: [][]byte{make([]byte, size)}}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.SetParallelism(callers / 2)
				if callers == 1 {
					for b.Loop() {
						if _, err := pool.Call(context.Background(), req); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					for pb.Next() {
						if _, err := pool.Call(ctx, req); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
