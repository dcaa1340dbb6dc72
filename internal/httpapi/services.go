package httpapi

import (
	"net/http"

	"mdpgateway/internal/gateway"
)

// services answers GET /services: what the caller's key may call.
func (a *API) services(w *response, _ *http.Request) error {
	list := struct {
		Services []gateway.ServiceInfo `json:"services"`
	}{[]gateway.ServiceInfo{}}
	for _, info := range a.cfg.Caller.Services() {
		if w.pass.May(info.Name) {
			list.Services = append(list.Services, info)
		}
	}
	return sendJSON(w, list)
}

// service answers GET /services/{name}. A service that the caller may not call is
// forbidden whether or not it exists.
func (a *API) service(w *response, r *http.Request) error {
	name, err := serviceName(r)
	if err != nil {
		return err
	}
	w.service = name
	if err := w.pass.Check(name); err != nil {
		return err
	}
	info, ok := a.cfg.Caller.Service(name).Info()
	if !ok {
		return &gateway.Error{Kind: gateway.ServiceNotFound, Detail: "the service is not in the catalogue, has not answered, and has no workers at the embedded broker"}
	}
	return sendJSON(w, info)
}
