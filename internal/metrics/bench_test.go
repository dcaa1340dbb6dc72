package metrics

import (
	"testing"
	"time"

	"mdpgateway/internal/mdp"
)

func BenchmarkCall(b *testing.B) {
	for _, c := range []struct {
		name string
		o    mdp.Outcome
	}{
		{"outcome=ok", mdp.Outcome{Service: "echo", Known: true, KnownBefore: true, Sent: true, Timing: mdp.Timing{Broker: time.Millisecond}}},
		{"outcome=ok/exemplar=1s", mdp.Outcome{Service: "echo", Known: true, KnownBefore: true, Sent: true, Timing: mdp.Timing{Broker: time.Millisecond}, RequestID: "r1", TraceID: traceID}},
		{"outcome=timeout", mdp.Outcome{Service: "echo", Known: true, KnownBefore: true, Sent: true, Kind: mdp.Timeout, Stage: "broker"}},
		{"outcome=unknown", mdp.Outcome{Service: "ech0", Kind: mdp.ServiceNotFound}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := New(Config{})
			b.ReportAllocs()
			for b.Loop() {
				call(m, c.o)
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	m := New(Config{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.HTTP().Started("/services/{name}", "POST")
			m.HTTP().Done("/services/{name}", "POST", 200, time.Millisecond)
		}
	})
}
