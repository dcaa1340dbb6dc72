package mux

import (
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdpx"
)

// A broker whose connections are all being opened has the fewest calls in flight: they wait for it only if no other one
// has workers for them.
func TestACallDoesNotWaitForConnectionsWhileAnotherBrokerHasSome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		opening, other   bool // whether the broker without connections, and the other one, have workers
		goes, mayNotWait bool // to the other one at once; for workers
	}{
		{name: "both have workers", opening: true, other: true, goes: true},
		{name: "the other one has", other: true, goes: true},
		{name: "neither has", goes: true},
		{name: "the other one has none", opening: true},
		{name: "the other one has none, which is not waited for", opening: true, mayNotWait: true},
	} {
		x := &call{req: &gateway.Request{Service: "echo"}, waited: c.mayNotWait}
		gw := &Client{cfg: Config{Config: client.Config{}.WithDefaults(), Connections: 1, NoWorkersWait: 1}}
		for i, workers := range []bool{c.opening, c.other} {
			e := newEndpoint(gw, i, client.Endpoint{})
			e.state, e.present = gateway.Up, true
			if workers {
				e.table.update([]mdpx.Service{{Name: "echo", Workers: 1}}, true)
			}
			gw.endpoints = append(gw.endpoints, e)
		}
		other := gw.endpoints[1]
		other.links[0] = &link{endpoint: other}
		other.inFlight = 1
		if l, up, err := gw.choose(x); err != nil || !up || (l == other.links[0]) != c.goes {
			t.Errorf("%s: sent to the other broker: %t, with one that is up: %t, %v, want %t", c.name, l != nil, up, err, c.goes)
		}
	}
}
