package httpapi

import (
	"net/http"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
)

// dryRun answers POST /services/{name}/dry-run with the message that the same request to
// the service's own path would send, for whoever writes a worker. No broker is asked
// anything.
func (a *API) dryRun(w *response, r *http.Request) error {
	svc, err := a.admit(w, r)
	if err != nil {
		return err
	}
	if _, err := a.decode(w, r, svc, toShow); err != nil {
		return err
	}
	plan, err := svc.Plan(w.call)
	if err != nil {
		return err
	}
	if err := codec.WritePlan(w, w.service, plan); err != nil {
		return &gateway.Error{Kind: gateway.Canceled, Err: err} // nobody takes the rest of it
	}
	return nil
}
