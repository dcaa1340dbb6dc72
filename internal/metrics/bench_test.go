package metrics

import (
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

func BenchmarkCall(b *testing.B) {
	for _, c := range []struct {
		name string
		o    gateway.Outcome
	}{
		{"outcome=ok", gateway.Outcome{Service: "echo", Known: true, KnownBefore: true, Sent: true, Timing: gateway.Timing{Broker: time.Millisecond}}},
		{"outcome=ok/exemplar", gateway.Outcome{Service: "echo", Known: true, KnownBefore: true, Sent: true, Timing: gateway.Timing{Broker: time.Millisecond}, RequestID: "r1", TraceID: traceID}},
		{"outcome=timeout", gateway.Outcome{Service: "echo", Known: true, KnownBefore: true, Sent: true, Kind: gateway.Timeout, Stage: "broker"}},
		{"outcome=unknown", gateway.Outcome{Service: "ech0", Kind: gateway.ServiceNotFound}},
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
