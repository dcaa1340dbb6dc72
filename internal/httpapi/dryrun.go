package httpapi

import (
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
)

// dryRun answers ?dry_run=true with the message that would be sent, for whoever
// writes a worker. No broker is asked anything.
func dryRun(w *response, svc gateway.Service) error {
	plan, err := svc.Plan(w.call)
	if err != nil {
		return err
	}
	if err := codec.WritePlan(w, w.service, plan); err != nil {
		return &gateway.Error{Kind: gateway.Canceled, Err: err} // nobody takes the rest of it
	}
	return nil
}
