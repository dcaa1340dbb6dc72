package httpapi

import (
	"fmt"
	"net/http"

	"mdpgateway/internal/gateway"
)

const (
	maxFields   = 200     // header fields of one request
	headerSlack = 4 << 10 // over HTTP/2 each field counts 32 bytes more (RFC 9113, section 6.5.2)
	maxStreams  = 100     // requests at once on a connection of HTTP/2
	maxFrame    = 16 << 10
)

// headersFit refuses requests whose line and headers are over the limit, or too many. The
// server has read them by then; its own limit, which is a little higher, bounds memory.
func (a *API) headersFit(r *http.Request) error {
	size, fields := len(r.Method)+len(r.RequestURI)+len(r.Host), 0
	for name, values := range r.Header {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	switch {
	case fields > maxFields:
		return &gateway.Error{Kind: gateway.HeadersTooLarge, Detail: fmt.Sprintf("there are %d header fields, want at most %d", fields, maxFields)}
	case size <= a.cfg.MaxHeader:
		return nil
	}
	return &gateway.Error{Kind: gateway.HeadersTooLarge, Detail: fmt.Sprintf("the headers have %d bytes, want at most %d", size, a.cfg.MaxHeader)}
}
