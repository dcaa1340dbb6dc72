package httpapi

import (
	"context"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"mdpgateway/internal/edge"
)

// An API is the handler of all routes. It starts no goroutine of its own.
type API struct {
	// Set once.
	cfg       Config
	mux       chi.Router
	base      context.Context // of every request that Server serves
	interrupt context.CancelCauseFunc
	page      []byte // GET /problems

	documents documents // GET /openapi.json
	last      callLog   // GET /calls

	origins  atomic.Pointer[origins]
	notReady atomic.Bool
	draining atomic.Bool
	requests requests
	shares   *shares
	refusals refusals

	strangers, probing places // of answers over HTTP/2
}

// New returns an API that takes calls at once.
func New(cfg Config) (*API, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	a := &API{cfg: cfg, page: problemsPage(), shares: newShares(cfg.Budget, cfg.MaxBody)}
	if err := a.Trust(cfg.Origins); err != nil {
		return nil, err
	}
	a.base, a.interrupt = context.WithCancelCause(context.Background())
	a.requests.since = time.Now()
	a.mux = a.routes()
	return a, nil
}

// ServeHTTP answers one request.
//
// From here on its RemoteAddr is that of the caller, for logs, limits and traces: a proxy's is replaced. Its TLS is that
// of its connection, with the chains of the caller's certificate that hold at this moment.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c := edge.Of(r.Context()); c != nil {
		r.TLS, _ = c.TLS() // certificateHolds refuses the request after an error
	}
	r.RemoteAddr = a.cfg.Proxies.Peer(r.RemoteAddr, r.Header)
	a.mux.ServeHTTP(w, r)
}

// Server returns a server of this API, over HTTP/1.1 and, by prior knowledge, HTTP/2. Listeners that are secure give it
// connections in clear text, too (edge.Listener.Secure). It has no ReadTimeout, which would cut a call that runs. Bodies and
// answers have rolling deadlines instead; its WriteTimeout is for the answers that
// net/http gives itself, and judgeConnection lifts it.
//
// Its limit for headers is a little above the configured one, so that what is between
// the two is a request like any other, with an id and a log line of its own. Beyond it, and
// to what is not HTTP, net/http answers itself, in plain text.
func (a *API) Server() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           a,
		Protocols:         &protocols,
		ReadHeaderTimeout: a.cfg.HeaderTimeout,
		IdleTimeout:       a.cfg.IdleTimeout,
		WriteTimeout:      refusalTimeout,
		MaxHeaderBytes:    a.cfg.MaxHeader + headerSlack,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame},
		BaseContext:       func(net.Listener) context.Context { return a.base },
		ConnContext:       a.connected,
		ErrorLog:          serverLog(a.cfg.Log),

		DisableGeneralOptionsHandler: true, // OPTIONS * is no route either
	}
}

// serverLog takes what net/http has to say, such as failing accepts.
func serverLog(to *zap.Logger) *log.Logger {
	l, err := zap.NewStdLogAt(to, zap.WarnLevel)
	if err != nil { // of a level that zap does not know
		return zap.NewStdLog(to)
	}
	return l
}
