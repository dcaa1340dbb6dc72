package broker

import (
	"fmt"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
)

// open is a connection that never ends.
type open struct{}

func (open) Ended() bool      { return false }
func (open) End()             {}
func (open) Received() uint64 { return 0 }

// BenchmarkState is a request's way through the state and its reply's way back,
// without a socket: with a worker at rest, and with clients that queue.
func BenchmarkState(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d/workers=8", clients), func(b *testing.B) {
			var to, token [16]byte
			pending := 0
			now := time.Unix(0, 0)
			s := newState(Config{}.withDefaults(), now, shell{
				newToken:   func() []byte { return []byte("0123456789abcdef") },
				connection: func() connection { return open{} },
				send: func(frames [][]byte) error {
					if string(frames[3]) == "\x02" { // a request for a worker: id '' header command client …
						copy(to[:], frames[0])
						copy(token[:], frames[4])
						pending++
					}
					return nil
				},
			})
			for i := range 8 {
				ready := mdp.V01.AppendWorker([][]byte{fmt.Appendf(nil, "worker-%d", i)}, mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("echo")})
				s.receive(now, ready)
			}
			body := [][]byte{make([]byte, 64)}
			requests := make([][][]byte, clients)
			for i := range requests {
				requests[i], _ = mdp.V01.AppendRequest([][]byte{fmt.Appendf(nil, "client-%02d-------", i)}, []byte("echo"), body)
				s.receive(now, requests[i])
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				// The worker that was last given a request replies; its client
				// asks again.
				final := mdp.V01.AppendWorker(append(make([][]byte, 0, 8), to[:8]), mdp.WorkerMessage{Command: mdp.Final, Client: token[:], Body: body})
				s.receive(now, final)
				s.receive(now, requests[i%clients])
				i++
			}
			if pending < i {
				b.Fatalf("%d requests were given for %d replies", pending, i)
			}
		})
	}
}
