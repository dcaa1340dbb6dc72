package httpapi

import (
	"math/rand/v2"
	"net/http"
	"strconv"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// A handler answers a request, or returns why it can't and leaves the answer to
// fail. Headers that belong to the error only it can know, such as Allow, it
// sets before.
type handler func(w *response, r *http.Request) error

// handle makes an http.HandlerFunc of h. It must be behind record.
func (a *API) handle(h handler) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		w := rw.(*response)
		if err := h(w, r); err != nil {
			fail(w, err)
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

// fail is the one place where an error becomes an answer. A caller who left gets
// none; one who already has a part of another answer sees it break off, since
// an end in good order would pass it for the whole.
func fail(w *response, err error) {
	e := gateway.AsError(err)
	if e.Kind == gateway.Canceled || w.status != 0 {
		w.err, w.abort = e, true
		return
	}
	p := w.problem(e)
	h := w.Header()
	switch e.Kind {
	case gateway.Unauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case gateway.UnsupportedMedia:
		h.Set("Accept-Post", codec.AcceptPost)
	case gateway.Draining:
		h.Set("Connection", "close")
	}
	if p.Retryable { // which the status of a service's rule does not make it
		// At random, so that callers refused together do not return together.
		h.Set("Retry-After", strconv.Itoa(1+rand.IntN(3)))
	}
	if err := codec.WriteProblem(w, p.Status, p.encode(), p.Frames); err != nil {
		w.abort = true
	}
}

// problem describes the error that the request ended with. From here on the frames
// of a reply that it carries are held. If they do not fit, the problem leaves them out,
// and nothing keeps them.
func (w *response) problem(e *gateway.Error) problem {
	w.err = e
	p := newProblem(e, w.id, w.service)
	if p.Frames != nil && !w.room.Resize(mdp.Size(p.Frames)) {
		bare := *e
		bare.Frames, p.Frames = nil, nil
		p.Detail += "; its frames are left out: " + gateway.NoMemory
		w.err = &bare
	}
	return p
}
