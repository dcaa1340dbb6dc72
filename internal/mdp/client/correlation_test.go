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

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

func TestALateReplyReachesNobody(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	p := newPool(t, client.Config{Max: 1}, at(broker.Endpoint()))
	for _, c := range []struct {
		name  string
		cause error // of the first call's end, once the broker has it
		kind  gateway.Kind
	}{
		{"after a timeout", context.DeadlineExceeded, gateway.Timeout},
		{"after a cancellation", context.Canceled, gateway.Canceled},
		{"with a cause of its own", &gateway.Error{Kind: gateway.Interrupted}, gateway.Interrupted},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, end := context.WithCancelCause(context.Background())
			ended := inBackground(ctx, p, echo("first"))
			first := await(t, arrived)
			end(c.cause)
			failure(t, await(t, ended), c.kind, "")

			second := make(chan gateway.Reply, 1)
			go func() {
				reply, err := p.Call(context.Background(), echo("second"))
				if err != nil {
					t.Error(err)
				}
				second <- reply
			}()
			id := await(t, arrived)
			broker.Send([]byte(first), frames("", "MDPC01", "echo", "late"))
			broker.Send([]byte(id), frames("", "MDPC01", "echo", "second"))
			if got := text(await(t, second)); got != "second" || id == first {
				t.Errorf("got %q, want second; same routing id: %v", got, id == first)
			}
		})
	}
}

// What a hostile broker may send instead of the one reply.
func TestWhatIsNoReplyToThisRequestIsNeverAnAnswer(t *testing.T) {
	many := make([][]byte, 10_000)
	for _, c := range []struct {
		name   string
		reply  [][]byte
		kind   gateway.Kind
		reason string
	}{
		{"wrong header", frames("", "MDPC02", "echo", "hi"), gateway.BadReply, mdp.ReasonHeader},
		{"no delimiter", frames("MDPC01", "echo", "hi"), gateway.BadReply, mdp.ReasonHeader},
		{"missing frames", frames("", "MDPC01"), gateway.BadReply, mdp.ReasonMalformed},
		{"an empty frame", frames(""), gateway.BadReply, mdp.ReasonHeader},
		{"10,000 frames", many, gateway.BadReply, mdp.ReasonHeader},
		{"20,000 frames", make([][]byte, 20_000), gateway.ReplyTooLarge, ""},
		{"a sum over the limit", frames("", "MDPC01", "echo", strings.Repeat("x", 60_000), strings.Repeat("x", 60_000)), gateway.ReplyTooLarge, ""},
		{"a frame over the limit", frames("", "MDPC01", "echo", strings.Repeat("x", 100_001)), gateway.ReplyTooLarge, ""},
		{"a frame far over it", frames("", "MDPC01", "echo", strings.Repeat("x", 2<<20)), gateway.BrokerLost, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile := atomic.Bool{}
			hostile.Store(true)
			seen := new(peers)
			broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
				seen.note(id, m)
				if hostile.Load() {
					return [][][]byte{c.reply}
				}
				return [][][]byte{m}
			})
			p := newPool(t, client.Config{MaxReply: 100_000}, at(broker.Endpoint()))
			_, err := p.Call(context.Background(), echo("hi"))
			failure(t, err, c.kind, c.reason)
			if c.kind == gateway.BadReply && p.Stats().Stray[c.reason] != 1 {
				t.Errorf("stray: got %v, want 1 %s", p.Stats().Stray, c.reason)
			}
			hostile.Store(false)
			mustCall(t, p, "next")
			if seen.distinct() != 2 {
				t.Error("the connection was used again")
			}
		})
	}
}

// Most brokers forward a worker's duplicate replies. They mostly come within a
// millisecond, so a socket that rested that long shows them. One that comes
// later, as some do where the machine is busy, cannot be told from the reply to
// the next call: with a connection that is used again at once it would be one
// in five.
func TestDuplicatedRepliesAreFoundBeforeTheConnectionIsUsedAgain(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m, m} })
	p := newPool(t, client.Config{}, at(broker.Endpoint()))
	const calls = 2000
	crossed := 0
	for i := range calls {
		req := echo(fmt.Sprint(i))
		req.Reuse = gateway.ReuseAlways
		reply, err := p.Call(context.Background(), req)
		if err != nil {
			t.Fatal(err)
		}
		if text(reply) != fmt.Sprint(i) {
			crossed++
		}
	}
	t.Logf("%d of %d calls got the duplicate of another one's reply", crossed, calls)
	if crossed > calls/50 {
		t.Errorf("%d calls of %d got the duplicate of another one's reply, want next to none", crossed, calls)
	}
	if s := p.Stats(); s.Closed["stray"] == 0 || s.Stray["late"] != s.Closed["stray"] {
		t.Errorf("closed %v, stray %v, want some that had a stray reply", s.Closed, s.Stray)
	}
}

func TestEveryAnswerIsTheCallersOwn(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	broker := mdptest.Endpoint(mdptest.Broker(t))
	for i := range 8 {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		var mu sync.Mutex
		mdptest.Worker(t, broker, "echo", func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			mu.Lock()
			delay := time.Duration(random.ExpFloat64() * float64(500*time.Microsecond))
			mu.Unlock()
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
			return body, nil
		})
	}
	p := newPool(t, client.Config{Max: 48, QueueTimeout: patience}, at(broker))
	const callers, calls = 64, 20_000
	var answered, ended atomic.Int64
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(1000+caller)))
			for i := range calls / callers {
				own := fmt.Sprintf("%d-%d", caller, i)
				req := echo(own)
				ctx, cancel := giveUp(random, &req)
				reply, err := p.Call(ctx, req)
				cancel()
				switch {
				case err == nil && text(reply) == own:
					answered.Add(1)
				case err == nil:
					t.Errorf("%s got the answer %q", own, reply.Frames)
				default:
					ended.Add(1)
					if kind := gateway.AsError(err).Kind; kind != gateway.Timeout && kind != gateway.Canceled && kind != gateway.Busy {
						t.Errorf("%s: %v", own, err)
					}
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d answered, %d ended before", answered.Load(), ended.Load())
	if answered.Load() == 0 || ended.Load() == 0 {
		t.Error("want both answers and calls that ended before")
	}
	if s := p.Stats(); s.Busy+s.Waiting != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

// giveUp makes one call in six end by its deadline, one by that of its context and
// one by its caller, at a random time.
func giveUp(random *rand.Rand, req *gateway.Request) (context.Context, context.CancelFunc) {
	after := time.Duration(random.ExpFloat64() * float64(10*time.Millisecond))
	switch random.IntN(6) {
	case 0:
		return context.WithTimeout(context.Background(), after)
	case 1:
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(after, cancel)
		return ctx, cancel
	case 2:
		*req = within(after, *req)
	default:
		*req = within(patience, *req)
	}
	return context.Background(), func() {}
}
