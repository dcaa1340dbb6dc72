package httpapi

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

// A call must not hold much more than what its budget counts, whatever was freed before.
func TestABufferIsAtMostTwiceAsLargeAsWasAskedFor(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(uint64(seed), 0))
	for range 10_000 {
		size := 1 + draw.IntN(1<<draw.IntN(22))
		b := newBuffer(size)
		if len(b.bytes) != 0 || cap(b.bytes) < size || cap(b.bytes) > 2*size {
			t.Fatalf("of %d bytes: got a buffer of %d, with %d in it", size, cap(b.bytes), len(b.bytes))
		}
		b.free()
	}
}

// TestBodiesDoNotMix holds that a buffer serves one call at a time, and gives away
// nothing of what it held before: with bodies of all sizes, many at once, whole or in
// chunks, every service sees the bytes of one caller, and he gets them back.
func TestBodiesDoNotMix(t *testing.T) {
	g := serve(t, Config{Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		frame := call.Frames[0]
		if len(frame) == 0 || bytes.Count(frame, frame[:1]) != len(frame) || cap(frame) != len(frame) {
			t.Errorf("a service sees %d bytes of which not all are of one caller, or %d behind them", len(frame), cap(frame)-len(frame))
		}
		return echo(ctx, call)
	})})
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for n := range 40 {
				sent := strings.Repeat(string(rune('a'+i)), 1+(i*7919+n*104729)%(200<<10))
				var body io.Reader = strings.NewReader(sent)
				if n%2 == 0 {
					body = io.MultiReader(body) // its length can't be told, so it is sent in chunks
				}
				if a := g.do(g.http, http.MethodPost, "/services/echo", body); string(a.body) != sent {
					t.Errorf("got %d with %d bytes, want the %d that were sent", a.StatusCode, len(a.body), len(sent))
				}
			}
		})
	}
	callers.Wait()
}
