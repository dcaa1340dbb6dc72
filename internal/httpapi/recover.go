package httpapi

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"mdpgateway/internal/mdp"
)

// A panicked is a panic as the cause of an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// recoverPanic turns a panic into an internal error. Whether the request had been
// sent is unknown then, so it counts as sent.
func (a *API) recoverPanic(next http.Handler) http.Handler {
	return a.handle(func(w *response, r *http.Request) (err error) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				err = &mdp.Error{Kind: mdp.Canceled, Sent: true, Err: http.ErrAbortHandler}
			default:
				err = &mdp.Error{Kind: mdp.Internal, Sent: true, Err: &panicked{v, debug.Stack()}}
			}
		}()
		next.ServeHTTP(w, r)
		return nil
	})
}
