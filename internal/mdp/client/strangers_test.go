package client_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

func bothUp(t *testing.T, p *client.Pool) {
	t.Helper()
	eventually(t, "both brokers are up", func() bool {
		s := p.Stats()
		return s.Endpoints[0].State == gateway.Up && s.Endpoints[1].State == gateway.Up
	})
}

func TestTwoBrokersGetAsManyCallsEachWhenCallsAreFew(t *testing.T) {
	var got [2]atomic.Int64
	var endpoints []client.Endpoint
	for i := range got {
		endpoints = append(endpoints, at(mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
			got[i].Add(1)
			return [][][]byte{m}
		}).Endpoint()))
	}
	p := newPool(t, client.Config{}, endpoints...)
	bothUp(t, p)
	const calls = 50
	for range calls {
		mustCall(t, p, "hello")
		<-time.After(2 * time.Millisecond) // the connections rest
	}
	if a, b := got[0].Load(), got[1].Load(); a < calls/2-2 || b < calls/2-2 {
		t.Errorf("%d and %d calls, want %d each", a, b, calls/2)
	}
}

// One of two brokers takes requests and never answers: it gets one call, not all.
func TestABrokerThatDoesNotAnswerComesAfterTheOthers(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprint("answered once: ", first), func(t *testing.T) {
			var hangs atomic.Bool
			hangs.Store(!first)
			var unanswered, answered atomic.Int64
			hung := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
				if hangs.Load() {
					unanswered.Add(1)
					return nil
				}
				return [][][]byte{m}
			})
			good := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { answered.Add(1); return [][][]byte{m} })
			p := newPool(t, client.Config{}, at(hung.Endpoint()), at(good.Endpoint()))
			bothUp(t, p)
			if first {
				for range 4 {
					mustCall(t, p, "hello")
				}
				hangs.Store(true)
			}
			start := time.Now()
			for range 30 {
				_, err := p.Call(context.Background(), within(300*time.Millisecond, echo("hello")))
				if err != nil {
					failure(t, err, gateway.Timeout, "")
				}
			}
			// One at first, and one in each 5 s.
			if answered.Load() == 0 {
				t.Error("no call went to the broker that answers")
			}
			if most := 2 + int64(time.Since(start)/(5*time.Second)); unanswered.Load() == 0 || unanswered.Load() > most {
				t.Errorf("%d calls went to the broker that does not answer, want 1 to %d", unanswered.Load(), most)
			}
		})
	}
}

// The late reply of another service, which most brokers forward, costs nobody a call.
func TestAStrayReplyOfAnotherServiceIsPassedOver(t *testing.T) {
	seen := new(peers)
	broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		seen.note(id, m)
		if string(m[3]) == "stray first" {
			return [][][]byte{frames("", "MDPC01", "other", "late"), m}
		}
		return [][][]byte{m}
	})
	p := newPool(t, client.Config{Max: 1}, at(broker.Endpoint()))
	mustCall(t, p, "stray first")
	mustCall(t, p, "next")
	if s := p.Stats(); seen.distinct() != 2 || s.Closed["stray"] != 1 || s.Stray[mdp.ReasonAsked] != 1 || s.Stray["late"] != 0 {
		t.Errorf("%d connections, closed %v, stray %v, want the first closed for its one stray", seen.distinct(), s.Closed, s.Stray)
	}
}

func TestACallThatGetsOnlyStrayRepliesEnds(t *testing.T) {
	for strays, want := range map[int]gateway.Kind{1: gateway.Timeout, 100: gateway.BadReply} {
		broker := mdptest.NewRouter(t, func([]byte, [][]byte) (replies [][][]byte) {
			for range strays {
				replies = append(replies, frames("", "MDPC01", "other", "late"))
			}
			return replies
		})
		p := newPool(t, client.Config{}, at(broker.Endpoint()))
		wait := 300 * time.Millisecond
		if want == gateway.BadReply {
			wait = patience
		}
		_, err := p.Call(context.Background(), within(wait, echo("hello")))
		failure(t, err, want, "")
	}
}

// Where replies do not name their service, a connection is only used again for the service
// that it had.
func TestAConnectionWhoseRepliesNameNoServiceStaysWithItsService(t *testing.T) {
	var mu sync.Mutex
	services := map[string]map[string]bool{} // by routing id
	broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		mu.Lock()
		defer mu.Unlock()
		if services[string(id)] == nil {
			services[string(id)] = map[string]bool{}
		}
		services[string(id)][string(m[3])] = true
		return [][][]byte{append(frames("", "MDPC02", "\x04"), m[4:]...)}
	})
	p := newPool(t, client.Config{}, client.Endpoint{Address: broker.Endpoint(), Dialect: mdp.Majortomo})
	for i := range 60 {
		req := gateway.Request{Service: fmt.Sprint("service", i%3), Frames: frames("hello")}
		if _, err := p.Call(context.Background(), req); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Millisecond) // the connection rests
	}
	for id, had := range services {
		if len(had) != 1 {
			t.Errorf("connection %s carried %d services, want one", id, len(had))
		}
	}
	if n := len(services); n > 30 {
		t.Errorf("%d connections for 60 calls, want them used again", n)
	}
}

// Handshakes that no answer comes to are no reason to wait longer than in the queue.
func TestCallsWaitForHandshakesNoLongerThanInTheQueue(t *testing.T) {
	link := mdptest.NewProxy(t, mdptest.NewRouter(t, nil).Endpoint())
	p := newPool(t, client.Config{ConnectTimeout: time.Hour, QueueTimeout: 200 * time.Millisecond}, at(link.Endpoint()))
	eventually(t, "the broker is up", func() bool { return p.Stats().Endpoints[0].State == gateway.Up })
	link.Stall()
	var ended []<-chan error
	for range 300 {
		ended = append(ended, inBackground(context.Background(), p, echo("hello")))
	}
	for _, c := range ended {
		failure(t, await(t, c), gateway.BrokerUnavailable, "")
	}
}

// Calls that come at once, before there are connections, are spread like those in flight.
func TestABurstIsSpreadOverAllBrokers(t *testing.T) {
	script, arrived := hold()
	p := newPool(t, client.Config{}, at(mdptest.NewRouter(t, script).Endpoint()), at(mdptest.NewRouter(t, script).Endpoint()))
	bothUp(t, p)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const calls = 30
	var ended []<-chan error
	for range calls {
		ended = append(ended, inBackground(ctx, p, echo("hello")))
	}
	for range calls {
		await(t, arrived)
	}
	if s := p.Stats(); s.Endpoints[0].InFlight < calls/3 || s.Endpoints[1].InFlight < calls/3 {
		t.Errorf("in flight: %d and %d, want about half each", s.Endpoints[0].InFlight, s.Endpoints[1].InFlight)
	}
	cancel()
	for _, c := range ended {
		failure(t, await(t, c), gateway.Canceled, "")
	}
}
