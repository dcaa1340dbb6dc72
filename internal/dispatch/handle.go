package dispatch

import (
	"context"
	"time"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
)

// A handle is one service for the length of one request. It keeps what the catalogue
// said when it was made: a reload during the request changes nothing for it.
type handle struct {
	d    *Dispatcher
	name string
	spec *catalogue.Service // nil if it is not in the catalogue
}

// Service returns the service of that name, whether or not there is one.
func (d *Dispatcher) Service(name string) gateway.Service {
	d.settle()
	spec, _ := d.cfg.Catalogue.Get(name)
	return &handle{d, name, spec}
}

// Info is gateway.Service.
func (h *handle) Info() (gateway.ServiceInfo, bool) { return h.d.info(h.name, h.spec) }

// Form is gateway.Service.
func (h *handle) Form() (contentType string, reply gateway.Encoding) {
	if h.spec == nil {
		return "", ""
	}
	return h.spec.ContentType, h.spec.Reply
}

// Limit is gateway.Service.
func (h *handle) Limit(call gateway.Call) time.Duration {
	limit, _ := h.d.limit(&call, h.spec)
	return limit
}

// Plan is gateway.Service.
func (h *handle) Plan(call gateway.Call) (gateway.Plan, error) {
	call.Service = h.name
	return h.d.plan(&call, h.spec)
}

// Admit is gateway.Service.
func (h *handle) Admit() error {
	if err := h.d.sendable(h.name, h.spec); err != nil {
		return err
	}
	return h.d.services.room(h.name, h.spec)
}

// Call is gateway.Service: it checks a call, completes it, sends it and judges the reply.
func (h *handle) Call(ctx context.Context, call gateway.Call) (reply gateway.Reply, err error) {
	call.Service = h.name
	svc, known := h.d.began(h.name, h.spec)
	reply.Broker, err = -1, errPanicked
	defer func() {
		err = h.d.ended(&call, &reply, known, svc, err)
		if call.Leave != nil { // no orphan holds the places
			call.Leave()
		}
	}()
	err = h.d.call(ctx, &call, h.spec, &reply)
	return reply, err
}

// Refused is gateway.Service.
func (h *handle) Refused(e *gateway.Error) {
	svc, known := h.d.began(h.name, h.spec)
	call := gateway.Call{Request: gateway.Request{Service: h.name}}
	_ = h.d.ended(&call, new(gateway.Reply), known, svc, e)
}
