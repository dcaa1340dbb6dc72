package mux

import (
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/mdpx"
)

func TestEmptyPartialsThatNobodyTakesAreBounded(t *testing.T) {
	x := &call{req: new(gateway.Request), wake: make(chan struct{}, 1), maxReply: 1024}
	for range 100_000 {
		x.deliver(event{command: mdpx.Partial})
	}
	events := x.events
	if n := len(events); n > 1024/64+1 || !events[n-1].cut {
		t.Errorf("%d wait, the last one cut: %v, want those of 1024 bytes and one that is cut", n, events[n-1].cut)
	}
}
