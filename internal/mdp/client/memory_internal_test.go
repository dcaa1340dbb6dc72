package client

import (
	"runtime"
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/internal/zsock"
)

// Memory goes back once large messages came and no more do, and not again after that.
func TestTheMemoryOfLargeMessagesIsGivenBackWhenThereAreNoMore(t *testing.T) {
	p := new(Pool) // whose sweep is this test
	request := func(size int) error {
		return p.reserve(&call{req: gateway.Request{Frames: [][]byte{make([]byte, size)}}})
	}
	reply := func(size int) error { return p.received(&call{size: int64(size)}, true) }
	looks := func(want ...bool) {
		t.Helper()
		for i, w := range want {
			if got := p.heap.Trim(); got != w {
				t.Errorf("look %d: memory is given back: %v, want %v", i, got, w)
			}
		}
	}
	for name, pass := range map[string]func(int) error{"request": request, "reply": reply} {
		t.Log(name)
		if err := pass(zsock.LargeMessage); err != nil {
			t.Fatal(err)
		}
		looks(false, false)
		for range 2 { // while they come, the next one needs it
			if err := pass(zsock.LargeMessage + 1); err != nil {
				t.Fatal(err)
			}
			looks(false)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		looks(true, false, false)
		if runtime.ReadMemStats(&after); after.NumForcedGC == before.NumForcedGC {
			t.Error("Go's memory was not given back")
		}
	}
}
