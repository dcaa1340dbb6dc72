package httpapi

import (
	"context"
	"net/http"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// pingEvery keeps a stream from looking idle to the proxies on its way.
const pingEvery = 15 * time.Second

// stream answers with the reply as events, as its parts come. An error before the
// first of them is an ordinary problem; later the status is gone, and the problem
// is the last event.
func (a *API) stream(w *response, r *http.Request, x *codec.Exchange, svc gateway.Service) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	s := x.NewStream(w)
	q := newStreamQueue(ctx, cancel, s, a.cfg.Budget)
	defer q.stop(true) // also if the call panics
	w.call.Partial = q.put
	w.handOver()
	reply, err := svc.Call(ctx, w.call)
	w.dropRequest(x)
	if fits := hold(&w.room, mdp.Size(reply.Frames)); err == nil {
		err = fits
	}
	left := err != nil && gateway.AsError(err).Kind == gateway.Canceled
	unwritten := q.stop(left)
	a.returned(w, reply.Timing, err)
	switch {
	case unwritten != nil:
		return unwritten
	case err != nil:
		w.events = s // which may end with the problem
		return err
	}
	return s.Final(reply.Frames)
}
