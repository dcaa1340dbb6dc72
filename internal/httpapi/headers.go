package httpapi

import (
	"fmt"
	"net/http"

	"mdpgateway/internal/gateway"
)

// headersFit refuses requests whose line and headers are over the limit. The
// server has read them by then; its own, higher limit is what bounds memory.
func (a *API) headersFit(r *http.Request) error {
	size := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	if size <= a.cfg.MaxHeader {
		return nil
	}
	return &gateway.Error{Kind: gateway.HeadersTooLarge, Detail: fmt.Sprintf("the headers have %d bytes, want at most %d", size, a.cfg.MaxHeader)}
}
