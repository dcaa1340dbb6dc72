package mux

import (
	"errors"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/mdpx"
)

// refused is the error of a request that the broker says no worker had.
func (x *call) refused(code mdpx.Code) *gateway.Error {
	switch code {
	case mdpx.NoService:
		return &gateway.Error{Kind: gateway.ServiceNotFound, Detail: "the broker has no such service"}
	case mdpx.NoWorkers:
		return &gateway.Error{Kind: gateway.NoWorkers, Detail: "the service has no workers, and too many requests wait for some"}
	case mdpx.QueueFull:
		return gateway.Refused(gateway.ReasonQueue, "too many requests wait at the broker for a worker")
	case mdpx.Expired, mdpx.Canceled:
		if x.unmanned {
			return &gateway.Error{Kind: gateway.NoWorkers, Detail: "the service has no workers at the moment", Was: gateway.WasQueued}
		}
		return &gateway.Error{Kind: gateway.Timeout, Was: gateway.WasQueued}
	case mdpx.Forbidden:
		return &gateway.Error{Kind: gateway.Forbidden, Detail: "the broker does not let the gateway call the service"}
	case mdpx.TooLarge:
		return &gateway.Error{Kind: gateway.BodyTooLarge, Detail: "the request is larger than all that may wait at the broker"}
	case mdpx.Stopping:
		return &gateway.Error{Kind: gateway.BrokerUnavailable, Detail: "the broker is shutting down"}
	}
	return &gateway.Error{Kind: gateway.BrokerUnavailable, Detail: "the broker did not take the request"}
}

// gone is the error of a request that a worker had, and that gets no reply.
func gone(code mdpx.Code) *gateway.Error {
	if code == mdpx.Canceled { // though this call did not cancel it
		return &gateway.Error{Kind: gateway.Timeout, Was: gateway.WasDispatched}
	}
	return &gateway.Error{Kind: gateway.BrokerLost, Reason: gateway.ReasonWorkerLost, Detail: "the worker that had the request was lost"}
}

func unavailable(cause error) error {
	return &gateway.Error{Kind: gateway.BrokerUnavailable, Detail: gateway.NoBroker, Err: cause}
}

func noWorkers() error {
	return &gateway.Error{Kind: gateway.NoWorkers, Detail: "the service has no workers at the moment"}
}

// asTold returns the error that a caller's function returned as one of a call.
func asTold(err error, sent bool) *gateway.Error {
	var told *gateway.Error
	if errors.As(err, &told) {
		return told
	}
	return &gateway.Error{Kind: gateway.Canceled, Sent: sent, Err: err}
}
