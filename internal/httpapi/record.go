package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mdpgateway/internal/audit"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

// record wraps what is behind it in the request's log line, metrics and trace. It
// also breaks off the answers that can't be given to their end, in the way that
// net/http has for it.
func (a *API) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		start := time.Now()
		w := newResponse(rw, r, a.cfg.BodyIdleTimeout)
		w.expires, w.leaving = a.expiry(r), &a.notReady
		if !isProbe(r) { // which come for as long as there is anybody to answer
			a.requests.begin()
			defer a.requests.end()
		}
		w.room = a.cfg.Budget.Lease()
		route, method := a.routeOf(r), methodLabel(r.Method)
		a.cfg.Observer.Started(route, method)
		w.serve(next, r)
		took := time.Since(start)
		a.cfg.Observer.Done(route, method, w.code(), took)
		a.logRequest(w, r, route, took)
		if route == callRoute && method == http.MethodPost {
			a.note(w, start, took)
		}
		if w.audited {
			a.cfg.Audit.Record(w.auditLine(r, start.Add(took)))
		}
		a.tell(w, r, route, method, start, took)
		if w.abort {
			panic(http.ErrAbortHandler)
		}
	})
}

// serve answers a request by next, and gives back what it held: before it is
// logged, since a log may stand still. A panic that gets here, from above recoverPanic
// or from the answer to one, can't be answered.
func (w *response) serve(next http.Handler, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			w.err, w.abort = bug(v), true
		}
		if w.leave != nil {
			w.leave()
		}
		w.body.free() // of a request that was not dropped
		w.share.release()
		w.room.Release()
	}()
	next.ServeHTTP(w, r)
}

// code is the status that logs and metrics tell, also where the caller saw none.
func (w *response) code() int {
	switch {
	case w.err != nil && (w.err.Kind == gateway.Canceled || w.status == 0):
		return problems[w.err.Kind].status
	case w.status == 0:
		return http.StatusOK
	}
	return w.status
}

// auditLine returns the line of the audit log for a call that ended then.
func (w *response) auditLine(r *http.Request, end time.Time) audit.Line {
	line := audit.Line{
		Time: end, RequestID: w.id, Principal: w.pass.ID, Subject: w.pass.Subject, Peer: r.RemoteAddr, Service: w.service,
		Outcome: "ok", Executed: string(gateway.Yes), In: w.in, Out: w.out,
	}
	if w.queued {
		line.Outcome, line.Executed = string(jobs.Queued), string(gateway.No)
	}
	if w.err != nil {
		line.Outcome, line.Executed = string(w.err.Kind), string(w.err.Executed())
	}
	return line
}

// methodLabel keeps callers from making up metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}

func (a *API) logRequest(w *response, r *http.Request, route string, took time.Duration) {
	if entry := a.cfg.Log.Check(a.logLevel(w, r, route, took), "request"); entry != nil {
		entry.Write(zap.Inline(&logLine{w, r, route, took}))
	}
}

// A logLine is the fields of a request's line. It hands them to the encoder one by
// one: a slice of them would be the largest object of a small request.
type logLine struct {
	w     *response
	r     *http.Request
	route string
	took  time.Duration
}

// Dispensable reports whether the line is one that strangers can cause without end, which a log
// with a slow reader drops first.
func (l *logLine) Dispensable() bool { return l.w.code() == http.StatusUnauthorized }

// MarshalLogObject is zapcore.ObjectMarshaler.
func (l *logLine) MarshalLogObject(to zapcore.ObjectEncoder) error {
	w := l.w
	to.AddString("request_id", w.id)
	to.AddString("route", l.route)
	to.AddString("method", printable(l.r.Method, maxLoggedMethod))
	to.AddInt64("status", int64(w.code()))
	to.AddDuration("took", l.took)
	to.AddInt64("in", w.in)
	to.AddInt64("out", w.out)
	to.AddString("peer", l.r.RemoteAddr)
	if w.trace.ID != "" {
		to.AddString("trace_id", w.trace.ID)
	}
	if w.pass.ID != "" {
		to.AddString("principal", w.pass.ID)
	}
	if w.job != "" {
		to.AddString("job", w.job)
	}
	if w.service != "" {
		to.AddString("service", w.service)
		to.AddDuration("queue", w.timing.Queue)
		to.AddDuration("broker", w.timing.Broker)
	}
	if w.err != nil {
		to.AddString("code", string(w.err.Kind))
		to.AddString("error", printable(w.err.Error(), maxLoggedError))
		if p := (*panicked)(nil); errors.As(w.err, &p) {
			to.AddByteString("stack", p.stack)
		}
	}
	return nil
}

// The most bytes of a line that a caller may choose.
const (
	maxLoggedMethod = 200
	maxLoggedError  = 1000
	maxShownPath    = 300 // of a path, in problems and traces
)

// printable cuts a text that a caller may have sent, and replaces what is no printable character.
func printable(text string, most int) string {
	text = strings.ToValidUTF8(text[:min(len(text), most)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// logLevel says how much a request matters: bugs must be looked at, slow calls
// are worth a look, and what asks every few seconds says nothing new.
func (a *API) logLevel(w *response, r *http.Request, route string, took time.Duration) zapcore.Level {
	switch {
	case w.err != nil && w.err.Kind == gateway.Internal:
		return zapcore.ErrorLevel
	case took > a.cfg.SlowLog:
		return zapcore.WarnLevel
	case isRoutine(route) || isPreflight(r):
		return zapcore.DebugLevel
	}
	return zapcore.InfoLevel
}
