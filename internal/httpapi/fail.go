package httpapi

import (
	"math/rand/v2"
	"strconv"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// fail is the one place where an error becomes an answer, or the last event of a stream
// that has begun. A caller who left gets none; one who already has a part of another
// answer sees it break off, since an end in good order would pass it for the whole.
func fail(w *response, err error) {
	e := gateway.AsError(err)
	events := w.events != nil && w.events.Started()
	if e.Kind == gateway.Canceled || w.status != 0 && !events {
		w.err, w.abort = e, true
		return
	}
	p := w.problem(e)
	if events {
		w.abort = w.events.Problem(p.encode(), p.Frames) != nil
		return
	}
	h := w.Header()
	switch e.Kind {
	case gateway.Unauthorized:
		h.Set("WWW-Authenticate", w.challenge())
	case gateway.UnsupportedMedia:
		h.Set("Accept-Post", codec.AcceptPost)
	}
	if p.Retryable { // which the status of a service's rule does not make it
		h.Set("Retry-After", retryAfter())
	}
	if err := codec.WriteProblem(w, p.Status, p.encode(), p.Frames); err != nil {
		w.abort = true
	}
}

// retryAfter is in how many seconds to come again: at random, so that callers who leave together do not return together.
func retryAfter() string { return strconv.Itoa(1 + rand.IntN(3)) }

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
