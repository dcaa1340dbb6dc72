package httpapi

import (
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
)

// dryRun answers ?dry_run=true with the message that would be sent, for whoever
// writes a worker. No broker is asked anything.
func (a *API) dryRun(w *response) error {
	plan, err := a.cfg.Caller.Plan(w.call)
	if err != nil {
		return err
	}
	if err := codec.WritePlan(w, w.service, plan); err != nil {
		return &gateway.Error{Kind: gateway.Canceled, Err: err} // nobody takes the rest of it
	}
	return nil
}
