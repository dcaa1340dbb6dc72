package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"mdpgateway/internal/gateway"
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

// A load is the task of a load generator of this program, from the arguments ENDPOINT
// SERVICE CALLERS SIZE SECONDS.
type load struct {
	endpoint, service string
	callers           int
	body              []byte
	time              time.Duration
}

func parseLoad(args []string) (l load, err error) {
	if len(args) != 5 {
		return l, fmt.Errorf("%d arguments, want ENDPOINT SERVICE CALLERS SIZE SECONDS", len(args))
	}
	callers, err1 := strconv.Atoi(args[2])
	size, err2 := strconv.Atoi(args[3])
	seconds, err3 := strconv.ParseFloat(args[4], 64)
	return load{
		endpoint: args[0], service: args[1], callers: callers,
		body: bytes.Repeat([]byte("x"), max(size, 0)), time: time.Duration(seconds * float64(time.Second)),
	}, errors.Join(err1, err2, err3)
}

// callPool calls through the gateway's pool and prints a result.
func callPool(ctx context.Context, args []string) error {
	l, err := parseLoad(args)
	if err != nil {
		return err
	}
	pool, err := client.New(client.Config{
		Endpoints: []client.Endpoint{{Address: l.endpoint, Dialect: mdp.V01}}, Max: l.callers, QueueMax: l.callers,
		ConnectTimeout: 10 * time.Second, QueueTimeout: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	req := gateway.Request{Service: l.service, Frames: [][]byte{l.body}}
	r := callAll(l, func() func() bool {
		return func() bool {
			ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
			defer cancel()
			reply, err := pool.Call(ctx, req)
			return err == nil && len(reply.Frames) == 1 && bytes.Equal(reply.Frames[0], l.body)
		}
	})
	if err := pool.Close(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// callAll runs the callers and adds up their results. Each caller has a function of its
// own that calls once and reports whether the reply was right; a wrong reply ends it. The
// first call of each caller opens its connection and does not count.
func callAll(l load, caller func() func() bool) (sum result) {
	var mu sync.Mutex
	var all []time.Duration
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	ready.Add(l.callers)
	for range l.callers {
		done.Go(func() {
			call := caller()
			ok := call()
			ready.Done()
			<-begin
			var took []time.Duration
			for end := time.Now().Add(l.time); ok && time.Now().Before(end); {
				start := time.Now()
				ok = call()
				took = append(took, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if !ok {
				sum.Wrong++
			}
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
