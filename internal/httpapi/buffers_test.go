package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mdpgateway/internal/gateway"
)

func TestBuffersAreRoundedUpByAFourthAtMost(t *testing.T) {
	seen := map[int]int{}
	for size := leastKept; size <= mostKept; size++ {
		class, rounded := classOf(size)
		if rounded < size || rounded > size+size/steps {
			t.Fatalf("%d bytes: got a buffer of %d, want %d to %d", size, rounded, size, size+size/steps)
		}
		if other, ok := seen[class]; ok && other != rounded {
			t.Fatalf("%d bytes: the class %d is that of %d bytes and of %d", size, class, other, rounded)
		}
		seen[class] = rounded
	}
	if class, rounded := classOf(mostKept); rounded != mostKept || class >= len(buffers) {
		t.Errorf("of %d bytes: got the class %d of %d, of %d bytes", mostKept, class, len(buffers), rounded)
	}
}

func TestWhatIsTooSmallOrTooLargeIsNotKept(t *testing.T) {
	for _, size := range []int{1, leastKept - 1, mostKept + 1} {
		if b := newBuffer(size); b.class >= 0 || cap(b.bytes) != size {
			t.Errorf("of %d bytes: got the class %d and %d bytes, want none and as many", size, b.class, cap(b.bytes))
		}
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
