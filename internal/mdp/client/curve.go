package client

import (
	"maps"
	"slices"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/internal/zsock"
)

// refusalOf returns why a handshake came to nothing, if CURVE's keys are the reason.
func refusalOf(event zsock.Event) string {
	switch event {
	case zsock.WatchKeyRefused:
		return gateway.KeyRefused
	case zsock.WatchOtherKey:
		return gateway.OtherKey
	case zsock.WatchWantsCurve:
		return gateway.WantsCurve
	case zsock.WatchNoCurve:
		return gateway.NoCurve
	}
	return ""
}

// Refusals are the handshakes with one broker that came to nothing because of CURVE's keys. They are not safe for
// concurrent use.
type Refusals struct {
	last  string            // why the last handshake did; "" if it did not
	count map[string]uint64 // by reason
}

// NewRefusals returns the counts of a broker at the start. One without keys may want some.
func NewRefusals(curve bool) Refusals {
	if curve {
		return Refusals{count: zeros(gateway.KeyRefused, gateway.OtherKey, gateway.NoCurve)}
	}
	return Refusals{count: zeros(gateway.WantsCurve)}
}

// Note takes what came of a handshake.
func (r *Refusals) Note(event zsock.Event) {
	if r.last = refusalOf(event); r.last != "" {
		r.count[r.last]++
	}
}

// In puts them into what is told of the broker.
func (r *Refusals) In(s gateway.EndpointStats) gateway.EndpointStats {
	s.Refusal, s.Refusals = r.last, maps.Clone(r.count)
	return s
}

// Encrypted reports whether a broker speaks CURVE.
func (c Config) Encrypted() bool {
	return slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return e.Curve != nil })
}
