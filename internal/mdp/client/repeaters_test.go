package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// forward is a broker that forwards what workers repeat, as most do: workers of echo repeat
// each reply, late, and those of steady none.
func forward(t *testing.T, seen *peers) *mdptest.Router {
	var r *mdptest.Router
	var ready sync.WaitGroup
	ready.Add(1)
	defer ready.Done()
	r = mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		ready.Wait()
		seen.note(id, m)
		if string(m[2]) == "echo" {
			time.AfterFunc(2*time.Millisecond, func() { r.Send(id, m) })
		}
		return [][][]byte{m}
	})
	return r
}

// A service that was seen to repeat a reply shares no connections, which is told once; one
// that was not still does, and so does one that is to do so come what may.
func TestAServiceThatRepeatsRepliesGetsConnectionsOfItsOwn(t *testing.T) {
	seen := new(peers)
	core, logs := observer.New(zap.WarnLevel)
	p := newPool(t, client.Config{Log: zap.New(core)}, at(forward(t, seen).Endpoint()))
	eventually(t, "a repetition is seen", func() bool {
		if _, err := p.Call(t.Context(), echo("x")); err != nil { // whose reply may be the one before
			t.Fatal(err)
		}
		return p.Stats().Repeating == 1
	})
	if !p.Repeats("echo") || p.Repeats("steady") {
		t.Errorf("echo repeats: %v, steady does: %v, want echo alone", p.Repeats("echo"), p.Repeats("steady"))
	}
	for _, c := range []struct {
		service string
		reuse   gateway.Reuse
		shared  bool
	}{
		{"echo", gateway.ReuseAuto, false}, {"steady", gateway.ReuseAuto, true}, {"echo", gateway.ReuseAlways, true}, {"steady", gateway.ReuseNever, false},
	} {
		t.Run(fmt.Sprintf("%s with reuse %v", c.service, c.reuse), func(t *testing.T) {
			before := seen.distinct()
			const calls = 100
			for i := range calls {
				req := gateway.Request{Service: c.service, Frames: frames(fmt.Sprint(i)), Reuse: c.reuse}
				reply, err := p.Call(t.Context(), req)
				if err != nil || text(reply) != fmt.Sprint(i) && c.reuse != gateway.ReuseAlways {
					t.Fatalf("call %d: got %q, %v", i, reply.Frames, err)
				}
			}
			if opened := seen.distinct() - before; (opened < calls) != c.shared {
				t.Errorf("%d calls had %d connections, want them shared: %v", calls, opened, c.shared)
			}
		})
	}
	if told := logs.FilterMessageSnippet("repeats replies").FilterField(zap.String("service", "echo")).Len(); told != 1 {
		t.Errorf("the log tells of echo %d times, want once", told)
	}
}

// A reply that comes to a call of another service is a sighting, too; what names no service
// that can be is none.
func TestAServiceWhoseReplyComesToACallOfAnotherRepeatsReplies(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		return [][][]byte{frames("", "MDPC01", string(m[3]), "late"), m}
	})
	p := newPool(t, client.Config{}, at(broker.Endpoint()))
	for _, name := range []string{"", "a\x00b", string(make([]byte, 1<<20))} {
		mustCall(t, p, name)
	}
	if n := p.Stats().Repeating; n != 0 {
		t.Errorf("%d services repeat, want none", n)
	}
	mustCall(t, p, "other")
	if !p.Repeats("other") || p.Repeats("echo") {
		t.Errorf("other repeats: %v, echo does: %v, want other alone", p.Repeats("other"), p.Repeats("echo"))
	}
}

// The ledger of many callers of a service whose workers repeat one reply in a hundred, up to
// 20 ms late: once one was seen, no call that begins gets another one's.
func TestNoDuplicateCrossesAfterTheFirstSighting(t *testing.T) {
	for _, dialect := range []*mdp.Dialect{mdp.V01, mdp.Majortomo} {
		t.Run(strings.ReplaceAll(dialect.String(), "/", "-"), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			p := newPool(t, client.Config{Max: 16, QueueTimeout: patience}, client.Endpoint{Address: repeater(t, dialect, seed).Endpoint(), Dialect: dialect})
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			const callers, after = 8, 1000
			var begun, crossedBefore, crossed atomic.Int64
			var running sync.WaitGroup
			for caller := range callers {
				running.Go(func() {
					for i := 0; begun.Load() < after && ctx.Err() == nil; i++ {
						own := fmt.Sprintf("%d-%d", caller, i)
						sighted := p.Repeats("echo")
						if sighted {
							begun.Add(1)
						}
						reply, err := p.Call(ctx, echo(own))
						switch {
						case err != nil:
							t.Errorf("%s: %v", own, err)
						case text(reply) == own:
						case sighted:
							crossed.Add(1)
						default:
							crossedBefore.Add(1)
						}
					}
				})
			}
			running.Wait()
			t.Logf("crossed before the first sighting: %d, of the %d calls after it: %d", crossedBefore.Load(), begun.Load(), crossed.Load())
			if crossed.Load() != 0 {
				t.Errorf("%d of %d calls that began after the first sighting got another call's reply", crossed.Load(), begun.Load())
			}
		})
	}
}

// repeater is a broker that answers by itself and sends one reply in a hundred again.
func repeater(t *testing.T, dialect *mdp.Dialect, seed uint64) *mdptest.Router {
	var r *mdptest.Router
	var ready sync.WaitGroup
	ready.Add(1)
	defer ready.Done()
	random := rand.New(rand.NewPCG(seed, 0))
	r = mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		ready.Wait()
		service, body, err := dialect.ParseRequest(m)
		if err != nil {
			t.Errorf("got %q: %v", m, err)
			return nil
		}
		reply := dialect.AppendReply(nil, service, body, true)
		if random.IntN(100) == 0 {
			time.AfterFunc(time.Duration(random.Int64N(int64(20*time.Millisecond))), func() { r.Send(id, reply) })
		}
		return [][][]byte{reply}
	})
	return r
}
