package client_test

import (
	"context"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// Another pool waits for the reply to what a pool has sent that is gone.
func TestAReplyIsAdopted(t *testing.T) {
	t.Parallel()
	h := newHeld(t, client.Config{Max: 2})
	heir := newPool(t, client.Config{Max: 2}, at(h.broker.Endpoint()))
	var route gateway.Route
	ended := inBackground(h.ctx, h.pool, gateway.Request{Service: "echo", Frames: frames("x"), Route: &route})
	id := await(t, h.arrived)[0]
	if route.ID != id || route.Broker != h.broker.Endpoint() {
		t.Fatalf("the route is %+v, want the id %q at %s", route, id, h.broker.Endpoint())
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.pool.Close(gone)
	failure(t, await(t, ended), gateway.Interrupted, "")
	eventually(t, "the heir reaches the broker", func() bool { can, known := heir.CanAdopt(route); return can && known })
	if can, known := heir.CanAdopt(gateway.Route{Broker: "tcp://elsewhere:1", ID: id}); can || known {
		t.Error("a route to another broker can be adopted")
	}
	adopted := make(chan end, 1)
	go func() {
		reply, err := heir.Adopt(h.ctx, route, gateway.Request{Service: "echo", Deadline: time.Now().Add(patience)})
		adopted <- end{reply, err}
	}()
	var got end
	eventually(t, "the reply is there", func() bool {
		h.answer(id, "echo") // again until the broker knows the new connection
		select {
		case got = <-adopted:
			return true
		default:
			return false
		}
	})
	if got.err != nil || text(got.reply) != "done" || got.reply.Broker != 0 {
		t.Errorf("got %q and %v, want done", text(got.reply), got.err)
	}
	if s := heir.Stats(); s.Idle+s.Busy != 0 || s.Closed["no_reuse"] != 1 {
		t.Errorf("the connection is kept: %+v", s)
	}
}

func TestWhatEndsAnAdoption(t *testing.T) {
	t.Parallel()
	h := newHeld(t, client.Config{Max: 1})
	route := gateway.Route{Broker: h.broker.Endpoint(), ID: "somebody's"}
	eventually(t, "the broker is up", func() bool { can, _ := h.pool.CanAdopt(route); return can })
	_, err := h.pool.Adopt(h.ctx, route, gateway.Request{Service: "echo", Deadline: time.Now().Add(100 * time.Millisecond)})
	failure(t, err, gateway.Timeout, "")
	ctx, cancel := context.WithCancelCause(h.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := h.pool.Adopt(ctx, route, gateway.Request{Service: "echo"})
		ended <- err
	}()
	eventually(t, "it waits", func() bool { return h.pool.Stats().Busy == 1 })
	if can, known := h.pool.CanAdopt(route); can || !known {
		t.Errorf("without a place: can %v, known %v", can, known)
	}
	cancel(&gateway.Error{Kind: gateway.Interrupted})
	failure(t, await(t, ended), gateway.Interrupted, "")
	eventually(t, "its place is free", func() bool { can, _ := h.pool.CanAdopt(route); return can })
}

// A reply in parts could lack those that came before, and a connection that is shared could bring another call's.
func TestARouteCarriesOneRequestWhoseReplyIsOneMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect *mdp.Dialect
		want    bool
	}{{mdp.V01, true}, {mdp.V02, false}} {
		broker := mdptest.Broker(t)
		mdptest.Worker(t, broker.Endpoints()[0], "echo", func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			return body, nil
		})
		p := newPool(t, client.Config{Max: 4}, client.Endpoint{Address: broker.Endpoints()[0], Dialect: c.dialect})
		seen := map[string]bool{}
		for range 5 {
			if _, err := p.Call(context.Background(), echo("shares")); err != nil {
				t.Fatal(err)
			}
			var route gateway.Route
			req := echo("alone")
			req.Route = &route
			if _, err := p.Call(context.Background(), req); err != nil {
				t.Fatal(err)
			}
			if got := route != (gateway.Route{}); got != c.want || c.want && seen[route.ID] {
				t.Errorf("%s: the route is %+v, want one: %v, and another each time", c.dialect, route, c.want)
			}
			seen[route.ID] = true
		}
		if closed := p.Stats().Closed["no_reuse"]; c.want != (closed == 5) {
			t.Errorf("%s: %d connections were closed after their call", c.dialect, closed)
		}
	}
}
