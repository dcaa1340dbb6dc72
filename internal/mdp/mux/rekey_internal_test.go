package mux

import (
	"context"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mdpx"
)

// What a broker told over the connection of other keys, before those were in force, is known when they are.
func TestTheBrokersWordIsThatOfTheSessionWhoseKeysAreInForce(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	c, err := New(Config{Config: client.Config{Endpoints: []client.Endpoint{{Address: b.Endpoint(), Dialect: mdp.X1}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	e := c.endpoints[0]
	for address, changed := e.reachable(); address == ""; address, changed = e.reachable() {
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("the broker is not up")
		}
	}
	s, event, err := e.open(ctx, b.Endpoint(), nil, new(Table))
	if s == nil {
		t.Fatalf("no second session: %s, %v", event, err)
	}
	<-s.greeted
	s.told([]mdpx.Service{{Name: "later", Workers: 1}})
	if e.table.has("later") {
		t.Error("the word of a session whose keys are not in force is taken")
	}
	e.handOver(ctx, s)
	for !e.table.has("later") || !e.table.has("echo") {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the services are %v", e.table.Services())
		}
	}
}
