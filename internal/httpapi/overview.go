package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"mdpgateway/internal/gateway"
)

// Insight is what an operator is told of the parts behind the API.
type Insight interface {
	Stats() gateway.PoolStats
	Orphans() map[string]int // calls given up whose workers may still be at work, by service
}

// An overview is what GET /overview tells.
type overview struct {
	Services []serviceOverview `json:"services"`
	Gateway  *gatewayOverview  `json:"gateway,omitempty"` // only for who may read the metrics
}

// A serviceOverview is a service and its calls of the last minutes. Its schema and example are at /services/{name}.
type serviceOverview struct {
	Service gateway.ServiceInfo `json:"service"`
	Recent  recentCalls         `json:"recent"`
	Advice  string              `json:"advice,omitempty"` // what to do about it
}

type gatewayOverview struct {
	Version        string           `json:"version"`
	Brokers        []brokerOverview `json:"brokers"`
	Connections    bound            `json:"connections"`
	Queue          bound            `json:"queue"`
	Memory         bound            `json:"memory"` // bytes of bodies and replies
	Orphans        int              `json:"orphans"`
	RefusedOrigins []string         `json:"refused_origins"` // lately
	Jobs           bool             `json:"jobs"`
}

// A bound is how much of something is in use, and at most.
type bound struct {
	Used int64 `json:"used"`
	Max  int64 `json:"max"`
}

// A brokerOverview is a broker and what to do about it.
type brokerOverview struct {
	Name       string `json:"name"`
	Dialect    string `json:"dialect"`
	State      string `json:"state"` // pending, up, down
	Silent     bool   `json:"silent"`
	InFlight   int    `json:"in_flight"`
	Reconnects uint64 `json:"reconnects"`
	LastReply  *int64 `json:"last_reply_ms,omitempty"` // since then
	Advice     string `json:"advice,omitempty"`
}

// overview answers GET /overview: the services that the caller may call, and how the gateway is if it may read the metrics.
func (a *API) overview(w *response, _ *http.Request) error {
	now := time.Now()
	seen := overview{Services: []serviceOverview{}}
	for _, info := range a.cfg.Caller.Services() {
		if w.pass.May(info.Name) {
			info.VarsSchema, info.Example = nil, nil
			one := serviceOverview{Service: info, Recent: a.last.recent(info.Name, now)}
			if info.Silent {
				one.Advice = "It has answered no call: " + gateway.UnansweredHint + "."
			}
			seen.Services = append(seen.Services, one)
		}
	}
	if w.pass.MayReadMetrics() && a.cfg.Insight != nil {
		seen.Gateway = a.lookInside(now)
	}
	return sendJSON(w, seen)
}

func (a *API) lookInside(now time.Time) *gatewayOverview {
	s := a.cfg.Insight.Stats()
	g := &gatewayOverview{
		Version: a.cfg.Version.Version, Brokers: []brokerOverview{}, Connections: bound{int64(s.Busy), int64(s.Max)}, Queue: bound{int64(s.Waiting), int64(s.QueueMax)},
		Memory: bound{a.cfg.Budget.Bytes(), a.cfg.Budget.Max()}, RefusedOrigins: a.refusals.lately(now), Jobs: a.cfg.Jobs != nil,
	}
	for _, n := range a.cfg.Insight.Orphans() {
		g.Orphans += n
	}
	for i := range s.Endpoints {
		g.Brokers = append(g.Brokers, viewBroker(&s.Endpoints[i], now))
	}
	return g
}

// refusalAdvice is what to do about the reasons of gateway.EndpointStats. It never changes.
var refusalAdvice = map[string]string{
	gateway.KeyRefused: "It refuses the gateway's key: add the key to the broker's list, with the role client, and have it read the list (SIGHUP).",
	gateway.OtherKey:   "Its key is another than server_key says, or it has none: compare the keys.",
	gateway.WantsCurve: "It seems to want CURVE: give it keys (curve) in the list of brokers.",
	gateway.NoCurve:    "It does not speak CURVE: take curve out of its entry, or give the broker its keys.",
}

func viewBroker(e *gateway.EndpointStats, now time.Time) brokerOverview {
	b := brokerOverview{Name: e.Name, Silent: e.Silent, InFlight: e.InFlight, Reconnects: e.Reconnects, State: [...]string{"pending", "up", "down"}[e.State]}
	if e.Dialect != nil {
		b.Dialect = e.Dialect.String()
	}
	if !e.LastReply.IsZero() {
		ago := now.Sub(e.LastReply).Milliseconds()
		b.LastReply = &ago
	}
	switch {
	case e.Silent:
		b.Advice = "It has never answered: wrong dialect, or a broker without MMI. Set --dialect, or list the services."
	case e.State == gateway.Down && e.Refusal != "":
		b.Advice = refusalAdvice[e.Refusal]
	case e.State == gateway.Down:
		b.Advice = "It can't be reached: see its address, its port and its keys; gateway doctor looks for what is wrong."
	}
	return b
}

// lately returns the origins that were refused within the last minute.
func (s *refusals) lately(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	origins := []string{}
	for origin, last := range s.last {
		if now.Sub(last) < refusedEvery {
			origins = append(origins, strings.TrimSpace(origin))
		}
	}
	slices.Sort(origins)
	return origins
}
