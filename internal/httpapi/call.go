package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// call answers POST /services/{name}. All that can be refused without the body is
// refused before it is read.
func (a *API) call(w *response, r *http.Request) error {
	if a.draining.Load() {
		return &mdp.Error{Kind: mdp.Draining}
	}
	name, err := serviceName(r)
	if err != nil {
		return err
	}
	w.service = name
	leave, err := w.enter()
	if err != nil {
		return err
	}
	defer leave()
	contentType, encoding := a.cfg.Caller.Form(name)
	x, err := codec.Parse(r, codec.Options{ContentType: contentType, Reply: codec.Encoding(encoding)})
	if err != nil {
		return err
	}
	w.lease = a.cfg.Budget.Lease()
	defer w.lease.Release()
	call := &w.call
	if err := a.decode(w, r, x, call); err != nil {
		return err
	}
	if x.DryRun {
		return a.dryRun(w, *call)
	}
	if x.TimeoutBy == codec.ByPrefer {
		w.Header().Set("Preference-Applied", "wait="+seconds(a.cfg.Caller.Limit(*call)))
	}
	if x.Stream {
		return a.stream(w, r, x)
	}
	reply, err := a.cfg.Caller.Call(r.Context(), *call)
	a.returned(w, reply.Timing, err)
	if err != nil {
		return cutShort(r.Context(), err)
	}
	return writeReply(w, x, reply)
}

// decode reads the body and makes a call of it.
func (a *API) decode(w *response, r *http.Request, x *codec.Exchange, call *mdp.Call) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	*call = mdp.Call{Timeout: x.Timeout, TimeoutBy: x.TimeoutBy, RequestID: w.id, TraceID: w.trace.ID}
	call.Service = w.service
	return x.Decode(body, call)
}

// writeReply writes the reply. From here on its bytes are held, in place of the
// body's.
func writeReply(w *response, x *codec.Exchange, reply mdp.Reply) error {
	if err := hold(&w.lease, replySize(reply)); err != nil {
		return err
	}
	err := x.WriteReply(w, w.service, w.id, reply)
	if err != nil && w.status != 0 {
		// Nobody takes the rest of the answer.
		return &mdp.Error{Kind: mdp.Canceled, Sent: true, Err: err}
	}
	return err
}

// hold makes n bytes of a reply what the lease holds. If they do not fit, that is
// not busy: its 503 would say that nothing was sent.
func hold(lease *budget.Lease, n int64) error {
	if lease.Resize(n) {
		return nil
	}
	return &mdp.Error{Kind: mdp.ReplyTooLarge, Reason: mdp.ReasonMemory, Detail: noMemory}
}

func replySize(reply mdp.Reply) int64 {
	n := framesSize(reply.Frames)
	for _, partial := range reply.Partials {
		n += framesSize(partial)
	}
	return n
}

func framesSize(frames [][]byte) (n int64) {
	for _, frame := range frames {
		n += int64(len(frame))
	}
	return n
}

// serviceName returns the name in the path. The router leaves it encoded exactly
// when the path came in an encoding that is not the usual one, which
// URL.RawPath then holds; to decode it otherwise would decode it twice.
func serviceName(r *http.Request) (string, error) {
	name := r.PathValue("name")
	if r.URL.RawPath != "" {
		var err error
		if name, err = url.PathUnescape(name); err != nil {
			return "", &mdp.Error{Kind: mdp.BadRequest, Detail: "the service name is not percent-encoded as it should be", Err: err}
		}
	}
	if err := mdp.CheckService(name); err != nil {
		return "", &mdp.Error{Kind: mdp.BadRequest, Detail: err.Error()}
	}
	if mdp.IsMMI(name) {
		return "", &mdp.Error{Kind: mdp.Forbidden, Service: name, Detail: "names that begin with mmi. belong to the broker"}
	}
	return name, nil
}

// cutShort tells a call that Interrupt ended from one whose caller left: both had
// their context cancelled.
func cutShort(ctx context.Context, err error) error {
	e := mdp.AsError(err)
	if e.Kind != mdp.Canceled {
		return err
	}
	cause, interrupted := context.Cause(ctx).(*mdp.Error)
	switch {
	case !interrupted:
		return err
	case !e.Sent:
		return &mdp.Error{Kind: mdp.Draining, Err: err}
	}
	return &mdp.Error{Kind: cause.Kind, Err: err}
}

// seconds returns d in whole seconds, rounded up: a caller who waits that long has
// its answer.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
