package httpapi

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"mdpgateway/internal/gateway"
)

// A panicked is a panic as the cause of an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// bug returns the error of a panic, while it is recovered. Whether the request had been
// sent is unknown then, so it counts as sent.
func bug(value any) *gateway.Error {
	return &gateway.Error{Kind: gateway.Internal, Sent: true, Err: &panicked{value, debug.Stack()}}
}

// recoverPanic turns a panic into an internal error.
func (a *API) recoverPanic(next http.Handler) http.Handler {
	return a.handle(func(w *response, r *http.Request) (err error) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				err = &gateway.Error{Kind: gateway.Canceled, Sent: true, Err: http.ErrAbortHandler}
			default:
				err = bug(v)
			}
		}()
		next.ServeHTTP(w, r)
		return nil
	})
}
