package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// call answers POST /services/{name}. What the name, the caller and the brokers' state
// decide is decided before the body is read. What is not needed while the call waits is in functions
// of its own: the stacks of all calls that wait are most of what they hold.
func (a *API) call(w *response, r *http.Request) error {
	recordable := a.cfg.Audit == nil || a.cfg.Audit.Ready()
	w.audited = a.cfg.Audit != nil && recordable // what is refused meanwhile must not pile up
	svc, err := a.admit(w, r)
	if err != nil {
		return err
	}
	if !recordable {
		e := &gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonAudit, Detail: "the audit log can't be written"}
		svc.Refused(e)
		return e
	}
	x, err := a.decode(w, r, svc, toCall)
	switch {
	case err != nil:
		return err
	case x.Async:
		return a.submit(w, r, x)
	case x.Stream:
		return a.stream(w, r, x, svc)
	}
	w.handOver()
	a.late(w, x)
	reply, err := svc.Call(r.Context(), w.call)
	w.dropRequest(x)
	a.returned(w, reply.Timing, err)
	if err != nil {
		a.locate(w, r)
		return err
	}
	return writeReply(w, x, &reply)
}

// handOver makes the places that the request holds those of its call.
func (w *response) handOver() { w.call.Leave, w.leave = w.leave, nil }

// admit checks what a request says in its path, and that its caller is for it. It takes a
// place among the caller's calls.
func (a *API) admit(w *response, r *http.Request) (svc gateway.Service, err error) {
	if a.draining.Load() {
		return nil, gateway.ShuttingDown()
	}
	if w.service, err = serviceName(r); err != nil {
		return nil, err
	}
	if err := w.pass.Check(w.service); err != nil {
		return nil, err
	}
	svc = a.cfg.Caller.Service(w.service) // before Enter: it frees places of calls that were given up
	w.leave, err = w.pass.Enter(time.Now())
	return svc, err
}

// An aim is what a request is read for.
type aim bool

const (
	toCall aim = true
	toShow aim = false // what would be sent
)

// decode reads the headers and the body and makes the response's call of them.
func (a *API) decode(w *response, r *http.Request, svc gateway.Service, to aim) (*codec.Exchange, error) {
	if err := a.spelled(r); err != nil {
		return nil, err
	}
	async, err := a.async(w, r)
	if err != nil {
		return nil, err
	}
	contentType, reply := svc.Form()
	x, err := codec.Parse(r, codec.Options{ContentType: contentType, Reply: reply, Async: async})
	if err != nil {
		return nil, err
	}
	if to == toCall && !x.Async { // a job may wait for what is not there now
		if err := svc.Admit(); err != nil {
			svc.Refused(gateway.AsError(err))
			return nil, err
		}
	}
	body, err := a.readBody(w, r)
	if err != nil {
		refuseBusy(svc, to, err)
		return nil, err
	}
	call := &w.call
	call.RequestID, call.TraceID, call.Room = w.id, w.trace.ID, &w.room
	call.Caller = w.share.caller
	call.Timeout, call.TimeoutBy = x.Timeout, x.TimeoutBy
	x.Room = &w.share
	if err := x.Decode(body, call); err != nil {
		refuseBusy(svc, to, err)
		return nil, err
	}
	if x.TimeoutBy != "" && to == toCall && !x.Async {
		applied(w.Header(), x.TimeoutBy, svc.Limit(*call))
	}
	return x, nil
}

// applied tells a caller who asked for a timeout which one the call has.
func applied(h http.Header, by string, limit time.Duration) {
	h.Set("Timeout-Applied", exactSeconds(limit))
	if by == codec.ByPrefer {
		h.Set("Preference-Applied", "wait="+seconds(limit))
	}
}

// refuseBusy counts a call that found no room, which a dry run is not.
func refuseBusy(svc gateway.Service, to aim, err error) {
	if e := gateway.AsError(err); e.Kind == gateway.Busy && to == toCall {
		svc.Refused(e)
	}
}

// dropRequest lets go of the request, which nobody reads once the call has returned:
// what is held from then on is the reply.
func (w *response) dropRequest(x *codec.Exchange) {
	w.body.free()
	w.share.release()
	w.body, w.call = nil, gateway.Call{}
	x.DropBody()
}

// writeReply writes the reply. Its bytes are held since before the call was sent.
func writeReply(w *response, x *codec.Exchange, reply *gateway.Reply) error {
	if err := hold(&w.room, replySize(reply)); err != nil {
		return err
	}
	err := x.WriteReply(w, w.service, w.id, *reply)
	if err != nil && w.status != 0 {
		// Nobody takes the rest of the answer.
		return &gateway.Error{Kind: gateway.Canceled, Sent: true, Err: err}
	}
	return err
}

// hold makes n bytes of a reply what the lease holds. If they do not fit, that is
// not busy: its 503 would say that nothing was sent.
func hold(lease *budget.Lease, n int64) error {
	if lease.Resize(n) {
		return nil
	}
	return replyTooLarge(gateway.ReasonMemory, gateway.NoMemory)
}

func replyTooLarge(reason, detail string) error {
	return &gateway.Error{Kind: gateway.ReplyTooLarge, Reason: reason, Detail: detail}
}

func replySize(reply *gateway.Reply) int64 {
	n := mdp.Size(reply.Frames)
	for _, partial := range reply.Partials {
		n += mdp.Size(partial) + mdp.FrameOverhead
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
			return "", &gateway.Error{Kind: gateway.BadRequest, Detail: "the service name is not percent-encoded as it should be", Err: err}
		}
	}
	if err := mdp.CheckService(name); err != nil {
		return "", &gateway.Error{Kind: gateway.BadRequest, Detail: err.Error()}
	}
	if mdp.IsMMI(name) {
		return "", gateway.ReservedName(name)
	}
	return name, nil
}

// seconds returns d in whole seconds, rounded up: a caller who waits that long has
// its answer.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
