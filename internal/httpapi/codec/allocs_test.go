package codec

import "testing"

// TestSmallCallsAllocateLittle holds how many allocations the way of a small
// request and its reply takes. Of a JSON call they are: the Exchange, the body
// without its escapes, the reply, and the values of three headers. One is the
// test's own call.
func TestSmallCallsAllocateLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random; make test runs this without it first")
	}
	for kind, most := range map[string]float64{"json": 7, "base64": 7, "raw": 5} {
		p, w := newPost(kind, 64), newDiscard()
		got := testing.AllocsPerRun(200, func() {
			if err := p.turn(w); err != nil {
				t.Fatal(err)
			}
		})
		if got > most {
			t.Errorf("%s: %v allocations, want at most %v", kind, got, most)
		}
	}
}

// TestAllocationsDoNotGrowWithTheBody holds that no part of the way allocates per
// byte or per line.
func TestAllocationsDoNotGrowWithTheBody(t *testing.T) {
	for _, kind := range []string{"json", "base64", "raw", "form"} {
		p, w := newPost(kind, 1<<20), newDiscard()
		got := testing.AllocsPerRun(5, func() {
			if err := p.turn(w); err != nil {
				t.Fatal(err)
			}
		})
		if got > 40 {
			t.Errorf("%s: %v allocations of 1 MiB, want at most 40", kind, got)
		}
	}
}
