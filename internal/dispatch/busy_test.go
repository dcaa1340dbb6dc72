package dispatch_test

import (
	"testing"
	"testing/synctest"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
)

// A question that could not be put says nothing about the name: a caller may try
// again, and a service that the catalogue has is sent to.
func TestALookupThatCouldNotBeMadeIsNoDenial(t *testing.T) {
	for _, c := range []struct {
		name, services, service string
		kind                    gateway.Kind
		reason                  string
	}{
		{"a name that nobody knows", "", "new", gateway.BrokerUnavailable, ""},
		{"a catalogued one", `{svc: {}}`, "svc", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{lookup: func(int, string) (string, error) {
					return "", &gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonDeadline}
				}}
				_, err := send(t.Context(), newDispatcher(t, p, dispatch.Config{}, c.services), call(c.service, "x"))
				if c.kind == "" {
					if err != nil {
						t.Errorf("got %v, want a reply", err)
					}
					return
				}
				failure(t, err, c.kind, c.reason)
			})
		})
	}
}
