package dispatch_test

import (
	"context"
	"testing"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
)

// expected makes calls of a service whose replies have these sizes, and returns what each
// was expected to have.
func expected(t *testing.T, services, name string, replies ...reply) (expect, most []int64) {
	t.Helper()
	var next reply
	p := &pool{call: func(context.Context, gateway.Request) (gateway.Reply, error) {
		return gateway.Reply{Frames: [][]byte{nil}, Bytes: next.bytes}, next.err
	}}
	d := newDispatcher(t, p, dispatch.Config{}, services)
	for _, next = range replies {
		_, _ = send(context.Background(), d, call(name, "data"))
	}
	for _, req := range p.called {
		expect, most = append(expect, req.Expect), append(most, req.MaxReply)
	}
	return expect, most
}

type reply struct {
	bytes int64
	err   error
}

func TestACallExpectsTheLargestReplyOfItsServiceLately(t *testing.T) {
	small := reply{bytes: 1000}
	got, most := expected(t, "", "echo", small, reply{bytes: 161_000}, small, small)
	if want := []int64{0, 1000, 161_000, 151_000}; got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] || most[3] != 0 {
		t.Errorf("got %d, at most %d, want %d and no bound", got, most, want)
	}
	// It was received and there was no room: the next must not be sent in vain.
	tooLarge := reply{5 << 20, &gateway.Error{Kind: gateway.ReplyTooLarge, Reason: gateway.ReasonMemory}}
	if got, _ := expected(t, "", "echo", tooLarge, small); got[1] != 5<<20 {
		t.Errorf("got %d after a reply without room, want its size", got)
	}
	if got, _ := expected(t, "", "echo", reply{5 << 20, &gateway.Error{Kind: gateway.Timeout}}, small); got[1] != 0 {
		t.Errorf("got %d after a timeout, want nothing", got)
	}
}

func TestTheCatalogueSaysHowLargeAReplyMayBe(t *testing.T) {
	got, most := expected(t, "echo: {max_reply: 2MiB}", "echo", reply{bytes: 100}, reply{bytes: 100})
	if got[0] != 2<<20 || most[0] != 2<<20 || got[1] != 2<<20 {
		t.Errorf("got %d, at most %d, want 2 MiB for both", got, most)
	}
}
