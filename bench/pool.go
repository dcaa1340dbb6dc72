package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
)

// A result is what one load generator counted in one window.
type result struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	Wrong    int     `json:"wrong"` // replies that were not the right one, and errors
	P50      float64 `json:"p50"`   // milliseconds
	P99      float64 `json:"p99"`
}

// callPool calls ENDPOINT SERVICE with CALLERS at once and bodies of SIZE bytes
// for SECONDS, through the pool that the gateway has, and prints a result.
// Connections are opened before the time starts.
func callPool(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("%d arguments, want ENDPOINT SERVICE CALLERS SIZE SECONDS", len(args))
	}
	callers, err1 := strconv.Atoi(args[2])
	size, err2 := strconv.Atoi(args[3])
	seconds, err3 := strconv.ParseFloat(args[4], 64)
	if err := firstError(err1, err2, err3); err != nil {
		return err
	}
	pool, err := client.New(client.Config{
		Endpoints: []client.Endpoint{{Address: args[0], Dialect: mdp.V01}}, Max: callers, QueueMax: callers,
		ConnectTimeout: 10 * time.Second, QueueTimeout: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	req := mdp.Request{Service: args[1], Frames: [][]byte{bytes.Repeat([]byte("x"), size)}}
	r := callAll(ctx, pool, req, callers, time.Duration(seconds*float64(time.Second)))
	if err := pool.Close(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// callAll runs the callers and adds up what they saw.
func callAll(ctx context.Context, pool *client.Pool, req mdp.Request, n int, d time.Duration) (sum result) {
	var mu sync.Mutex
	var all []time.Duration
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	ready.Add(n)
	for range n {
		done.Go(func() {
			_, err := pool.Call(ctx, req)
			ready.Done()
			<-begin
			var took []time.Duration
			wrong := 0
			for end := time.Now().Add(d); err == nil && time.Now().Before(end); {
				start := time.Now()
				req.Deadline = start.Add(25 * time.Second)
				var reply mdp.Reply
				reply, err = pool.Call(ctx, req)
				took = append(took, time.Since(start))
				if err != nil || len(reply.Frames) != 1 || !bytes.Equal(reply.Frames[0], req.Frames[0]) {
					wrong++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			sum.Wrong += wrong
		})
	}
	ready.Wait()
	start := time.Now()
	close(begin)
	done.Wait()
	sum.Requests, sum.Seconds = len(all), time.Since(start).Seconds()
	slices.Sort(all)
	if len(all) > 0 {
		sum.P50 = millis(all[len(all)/2])
		sum.P99 = millis(all[len(all)*99/100])
	}
	return sum
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
