package chaos

import (
	"flag"
	"testing"
	"time"
)

var soakFor = flag.Duration("soak", 0, "how long TestSoak runs; 0: not at all")

// A steady load for a long time: what the gateway holds is shown at the start,
// in the middle and at the end.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("make soak runs it")
	}
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2")
	g.works("echo")
	half := func() usage {
		l := startLoad(t, g, 4, "sleep") // 20 ms each: 200 calls a second
		for range 10 {
			<-time.After(*soakFor / 20)
			t.Logf("%v; %v", l, g.usage())
		}
		l.stop()
		if codes := l.codes(); len(codes) > 0 {
			t.Errorf("failed: %v, want none", l)
		}
		return g.atRest()
	}
	start := g.atRest()
	middle := half()
	end := half()
	t.Logf("start:  %v", start)
	t.Logf("middle: %v", middle)
	t.Logf("end:    %v", end)
	if end.files > middle.files+8 || end.goroutines > middle.goroutines+8 || end.memory > middle.memory+middle.memory/4+8<<20 {
		t.Errorf("middle: %v, end: %v, want no growth", middle, end)
	}
}
