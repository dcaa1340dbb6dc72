package mux

import (
	"context"
	"maps"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// Lookup says, from what the broker tells of its own accord, whether a service has workers:
// mdp.StatusFound or mdp.StatusNotFound.
func (c *Client) Lookup(ctx context.Context, broker int, service string) (status string, err error) {
	x := &call{ctx: ctx, req: &gateway.Request{Service: service}, start: time.Now()}
	e := c.endpoints[broker]
	for {
		c.mu.Lock()
		state, changed := e.state, c.changed
		c.mu.Unlock()
		switch state {
		case gateway.Down:
			return "", unavailable(nil)
		case gateway.Up:
			if e.table.has(service) {
				return mdp.StatusFound, nil
			}
			return mdp.StatusNotFound, nil
		}
		if err := c.await(x, false, changed); err != nil {
			return "", err
		}
	}
}

// State says whether a broker, by its index, can be reached, and how often it came back.
func (c *Client) State(broker int) (state gateway.EndpointState, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.endpoints[broker]
	return e.state, e.reconnects
}

// Load returns how many calls are in flight to a broker, by its index.
func (c *Client) Load(broker int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endpoints[broker].inFlight
}

// Repeats is false: a repeated reply has the id of a call that has ended.
func (c *Client) Repeats(string) bool { return false }

// Table returns what a broker, by its index, tells of its services.
func (c *Client) Table(broker int) *Table { return c.endpoints[broker].table }

// Stats returns a snapshot. Busy counts calls, each of which takes one of Max places.
func (c *Client) Stats() gateway.PoolStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := gateway.PoolStats{
		Max: c.cfg.Max, Waiting: len(c.places.waiting), QueueMax: c.cfg.QueueMax,
		Closed: maps.Clone(c.closed), Stray: maps.Clone(c.stray),
	}
	for _, e := range c.endpoints {
		s.Busy += e.inFlight
		s.Endpoints = append(s.Endpoints, e.refusals.In(gateway.EndpointStats{
			Name: e.Name, Endpoint: e.Address, Dialect: e.Dialect, State: e.state, Since: e.upSince, Reconnects: e.reconnects,
			Silent: e.mute, LastReply: e.replied(), InFlight: e.inFlight,
		}))
	}
	return s
}
