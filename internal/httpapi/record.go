package httpapi

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mdpgateway/internal/mdp"
)

// record wraps what is behind it in the request's log line, metrics and trace. It
// also breaks off the answers that can't be given to their end, in the way that
// net/http has for it.
func (a *API) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		start := time.Now()
		w := newResponse(rw, r, a.cfg.BodyIdleTimeout)
		w.expires = a.expiry(r)
		route, method := r.Pattern, methodLabel(r.Method)
		if route == "" {
			route = "unmatched"
		}
		a.cfg.Observer.Started(route, method)
		next.ServeHTTP(w, r)
		took := time.Since(start)
		a.cfg.Observer.Done(route, method, w.code(), took)
		a.logRequest(w, r, route, took)
		a.tell(w, r, route, method, start, took)
		if w.abort {
			panic(http.ErrAbortHandler)
		}
	})
}

// code is the status that logs and metrics tell, also where the caller was gone
// and saw none.
func (w *response) code() int {
	switch {
	case w.err != nil && w.err.Kind == mdp.Canceled:
		return problems[mdp.Canceled].status
	case w.status == 0:
		return http.StatusOK
	}
	return w.status
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
	entry := a.cfg.Log.Check(a.logLevel(w, route, took), "request")
	if entry == nil {
		return
	}
	fields := make([]zapcore.Field, 0, 16)
	fields = append(fields,
		zap.String("request_id", w.id), zap.String("route", route), zap.String("method", r.Method),
		zap.Int("status", w.code()), zap.Duration("took", took), zap.Int64("in", w.in), zap.Int64("out", w.out),
		zap.String("peer", r.RemoteAddr))
	if w.trace.ID != "" {
		fields = append(fields, zap.String("trace_id", w.trace.ID))
	}
	if w.pass.ID != "" {
		fields = append(fields, zap.String("key_id", w.pass.ID))
	}
	if w.service != "" {
		fields = append(fields, zap.String("service", w.service), zap.Duration("queue", w.timing.Queue), zap.Duration("broker", w.timing.Broker))
	}
	if w.err != nil {
		fields = append(fields, zap.String("code", string(w.err.Kind)), zap.NamedError("error", w.err))
		if p := (*panicked)(nil); errors.As(w.err, &p) {
			fields = append(fields, zap.ByteString("stack", p.stack))
		}
	}
	entry.Write(fields...)
}

// logLevel says how much a request matters: bugs must be looked at, slow calls
// are worth a look, and what asks every few seconds says nothing new.
func (a *API) logLevel(w *response, route string, took time.Duration) zapcore.Level {
	switch {
	case w.err != nil && w.err.Kind == mdp.Internal:
		return zapcore.ErrorLevel
	case took > a.cfg.SlowLog:
		return zapcore.WarnLevel
	case isRoutine(route):
		return zapcore.DebugLevel
	}
	return zapcore.InfoLevel
}
