package httpapi

import (
	"net/http"
	"time"

	"mdpgateway/internal/access"
	"mdpgateway/internal/gateway"
)

// authenticate refuses requests without a valid key, if there are keys. It comes
// before all that reads the request: the body, the name of a service, whether
// there is such a route at all.
func (a *API) authenticate(next http.Handler) http.Handler {
	return a.handle(func(w *response, r *http.Request) error {
		err := w.authenticate(a.cfg.Keys, r)
		defer a.tellKey(w)
		if err == nil && !isCall(r) {
			err = w.pass.Count(time.Now()) // admit counts a call
		}
		if err == nil {
			next.ServeHTTP(w, r)
		}
		return err
	})
}

// isCall reports whether a request is on the route of calls.
func isCall(r *http.Request) bool {
	return r.Method == http.MethodPost && r.Pattern == callPath
}

func (w *response) authenticate(keys *access.Store, r *http.Request) (err error) {
	w.pass, err = keys.Authenticate(r.Header["Authorization"], time.Now())
	return err
}

// tellKey tells the Observer of a request's key, if it needed one.
func (a *API) tellKey(w *response) {
	if w.pass.ID != "" {
		a.cfg.Observer.Authenticated(w.pass.ID, authResult(w))
	}
}

// authResult is what came of the request's key: that of Authenticate or, for a
// valid one, that it could not do what was asked for.
func authResult(w *response) string {
	if w.pass.Result == access.OK && w.err != nil && (w.err.Kind == gateway.Forbidden || w.err.Kind == gateway.RateLimited) {
		return string(w.err.Kind)
	}
	return w.pass.Result
}
