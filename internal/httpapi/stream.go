package httpapi

import (
	"net/http"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// pingEvery keeps a stream from looking idle to the proxies on its way.
const pingEvery = 15 * time.Second

// stream answers with the reply as events, as its parts come. An error before the
// first of them is an ordinary problem; later the status is gone, and the problem
// is the last event.
func (a *API) stream(w *response, r *http.Request, x *codec.Exchange, call mdp.Call, lease *budget.Lease) error {
	s := x.NewStream(w)
	call.Partial = func(frames [][]byte) error {
		if err := hold(lease, framesSize(frames)); err != nil {
			return err
		}
		return s.Partial(frames)
	}
	stop := keepAlive(s)
	reply, err := a.cfg.Caller.Call(r.Context(), call)
	stop()
	if err == nil {
		err = hold(lease, framesSize(reply.Frames))
	}
	a.returned(w, reply.Timing)
	if err == nil {
		return s.Final(reply.Frames)
	}
	err = cutShort(r.Context(), err)
	if e := mdp.AsError(err); s.Started() && e.Kind != mdp.Canceled {
		w.err = e
		return s.Problem(newProblem(e, w.id, w.service).encode())
	}
	return err
}

// keepAlive pings until it is stopped. After stop has returned it writes no more.
func keepAlive(s *codec.Stream) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(pingEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if s.Ping() != nil {
					return // the call's own next write meets the same error
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
