package httpapi

import "net/http"

// A handler answers a request, or returns why it can't and leaves the answer to
// fail. Headers that belong to the error only it can know, such as Allow, it
// sets before.
type handler func(w *response, r *http.Request) error

// handle makes an http.HandlerFunc of h. It must be behind record.
func (a *API) handle(h handler) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		w := rw.(*response)
		if err := h(w, r); err != nil {
			fail(w, a.advise(w, err))
		}
	}
}

// guard makes one middleware of checks: a request goes no further than the first
// that it fails.
func (a *API) guard(checks ...func(r *http.Request) error) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return a.handle(func(w *response, r *http.Request) error {
			for _, check := range checks {
				if err := check(r); err != nil {
					return err
				}
			}
			next.ServeHTTP(w, r)
			return nil
		})
	}
}
