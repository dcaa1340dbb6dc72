package httpapi

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"mdpgateway/api"
	"mdpgateway/internal/gateway"
)

// livez answers GET /livez: the process is there and serves.
func (a *API) livez(w *response, _ *http.Request) error {
	return sendJSON(w, struct {
		Live bool `json:"live"`
	}{true})
}

// readyz answers GET /readyz: calls may be sent here. By default it stays ready
// until the shutdown once a broker was reached: if a lost broker made all replicas
// unready at once, there would be nobody left to say so.
func (a *API) readyz(w *response, _ *http.Request) error {
	if a.notReady.Load() {
		return gateway.ShuttingDown()
	}
	reached, connected, lost, silent, mute := a.cfg.Health.Brokers()
	unspoken := ""
	if len(mute) > 0 {
		unspoken = strings.Join(mute, ", ") + ": " + gateway.Unspoken
	}
	switch {
	case a.cfg.ReadyBroker == ReadyNever:
	case !reached:
		return &gateway.Error{Kind: gateway.BrokerUnavailable, Detail: cmp.Or(unspoken, "no broker has been reached yet")}
	case a.cfg.ReadyBroker == ReadyAlways && !connected:
		return &gateway.Error{Kind: gateway.BrokerUnavailable, Detail: cmp.Or(unspoken, gateway.NoBroker)}
	}
	detail := unspoken
	if len(silent) > 0 {
		detail = strings.Join(silent, ", ") + " never answered: " + gateway.SilentHint
	}
	services := a.cfg.Health.SilentServices()
	if detail == "" && services > 0 {
		detail = "silent_services have answered no call: " + gateway.UnansweredHint
	}
	return sendJSON(w, struct {
		Ready          bool     `json:"ready"`
		Degraded       []string `json:"degraded,omitempty"`        // brokers that can't be reached now, or never answered
		SilentServices int      `json:"silent_services,omitempty"` // that never answered; anyone may ask, so that their names are told elsewhere
		Detail         string   `json:"detail,omitempty"`          // what to do about brokers that never answered, or else about services
	}{true, slices.Concat(lost, mute, silent), services, detail})
}

// version answers GET /version.
func (a *API) version(w *response, _ *http.Request) error { return sendJSON(w, a.cfg.Version) }

// metrics answers GET /metrics, which shows the ids of all principals and the names of all
// services: only one that is for it may read them.
func (a *API) metrics(w *response, r *http.Request) error {
	if !w.pass.MayReadMetrics() {
		return &gateway.Error{Kind: gateway.Forbidden, Detail: "the caller may not read the metrics"}
	}
	a.cfg.Metrics.ServeHTTP(w, r)
	return nil
}

// openAPI answers GET /openapi.yaml.
func openAPI(w *response, _ *http.Request) error {
	w.send(http.StatusOK, "application/yaml", api.OpenAPI)
	return nil
}

func sendJSON(w *response, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.send(http.StatusOK, "application/json", append(b, '\n'))
	return nil
}
