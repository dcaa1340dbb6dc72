package httpapi

import (
	"net/http"
	"time"

	"mdpgateway/internal/gateway"
)

// A Tracer is told of every request after its answer, but for probes and scrapes.
// It must not block.
type Tracer interface {
	Answered(request gateway.Answered)
}

// trace finds out in which trace the request is. With a Tracer it is always in
// one, so that log and traces can be joined whoever began it.
func (a *API) trace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := rw.(*response)
		if w.trace = traceOf(r.Header); w.trace.ID == "" && a.cfg.Tracer != nil {
			w.trace = gateway.Trace{ID: newID()}
		}
		next.ServeHTTP(rw, r)
	})
}

// traceOf reads the header traceparent. What is not as it should be is passed
// over: a trace is never a reason to refuse a request. That is also said of two
// of them, of which neither can be told to be the right one.
func traceOf(h http.Header) gateway.Trace {
	values := h["Traceparent"]
	if len(values) != 1 {
		return gateway.Trace{}
	}
	return parseTraceparent(values[0])
}

// The lengths of a traceparent's parts.
const (
	versionLen, traceLen, spanLen, flagsLen = 2, 32, 16, 2

	traceparentLen = versionLen + 1 + traceLen + 1 + spanLen + 1 + flagsLen
)

// parseTraceparent reads W3C Trace Context §3.2, and returns the zero Trace if that
// is not what it is given.
//
//	version "-" trace-id "-" parent-id "-" trace-flags
//	00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//
// Versions after 00 may have more behind another dash. ff is none, ids are not all
// zero, digits are in lower case. Of the flags only the first bit has a meaning
// here: the caller records its part.
func parseTraceparent(s string) gateway.Trace {
	if len(s) < traceparentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return gateway.Trace{}
	}
	version, id, span, flags := s[:2], s[3:35], s[36:52], s[53:traceparentLen]
	switch {
	case !isHex(version) || !isHex(id) || !isHex(span) || !isHex(flags),
		isZero(id), isZero(span), version == "ff",
		len(s) > traceparentLen && (version == "00" || s[traceparentLen] != '-'):
		return gateway.Trace{}
	}
	return gateway.Trace{ID: id, Parent: span, Sampled: unhex(flags[1])&1 == 1}
}

func isHex(s string) bool {
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return true
}

func isZero(hex string) bool {
	for i := range len(hex) {
		if hex[i] != '0' {
			return false
		}
	}
	return true
}

// unhex returns the value of a digit that isHex.
func unhex(digit byte) byte {
	if digit >= 'a' {
		return digit - 'a' + 10
	}
	return digit - '0'
}

// returned notes where the time of the request's call went, and with a Tracer
// also when that was and how it ended.
func (a *API) returned(w *response, t gateway.Timing, err error) {
	w.timing = t
	if a.cfg.Tracer == nil {
		return
	}
	w.returned = time.Now()
	if err != nil {
		w.callKind = gateway.AsError(err).Kind
	}
}

// tell tells the Tracer of a request. Without one it costs a comparison.
func (a *API) tell(w *response, r *http.Request, route, method string, start time.Time, took time.Duration) {
	if a.cfg.Tracer == nil || isRoutine(route) {
		return
	}
	told := gateway.Answered{
		Trace: w.trace, RequestID: w.id, Route: route, Method: method, Path: printable(r.URL.EscapedPath(), maxShownPath), Peer: r.RemoteAddr, Principal: w.pass.ID,
		Start: start, End: start.Add(took), Status: w.code(), In: w.in, Out: w.out,
		Service: w.service, Timing: w.timing, Returned: w.returned, CallKind: w.callKind,
	}
	if w.err != nil {
		told.Kind = w.err.Kind
	}
	a.cfg.Tracer.Answered(told)
}

// isRoutine reports whether a route is asked every few seconds and says nothing
// new.
func isRoutine(route string) bool {
	return route == "/livez" || route == "/readyz" || route == "/metrics" || route == "/overview"
}
