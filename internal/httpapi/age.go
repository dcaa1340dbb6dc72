package httpapi

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// connectionKey is that of a connection's end in the context of its requests.
type connectionKey struct{}

// connected gives a new connection the time after which it is to be closed. It
// goes by the connection, since callers that keep theirs open for good would
// never be routed to a replica that was added later.
func (a *API) connected(ctx context.Context, _ net.Conn) context.Context {
	if a.cfg.MaxConnectionAge == 0 {
		return ctx
	}
	return context.WithValue(ctx, connectionKey{}, time.Now().Add(jittered(a.cfg.MaxConnectionAge)))
}

// jittered returns d with a random jitter of a tenth: connections that were opened together,
// as after a restart, must not all be closed together.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// expiry returns when the connection of a request is to be closed; zero is never.
func (a *API) expiry(r *http.Request) time.Time {
	if a.cfg.MaxConnectionAge == 0 {
		return time.Time{}
	}
	at, _ := r.Context().Value(connectionKey{}).(time.Time)
	return at
}

// retire closes the connection after this answer if it is too old, or if the gateway is about
// to shut down. Over HTTP/2, net/http sends GOAWAY in place of the header: open requests end
// on this connection, and the caller opens another for the next.
func (w *response) retire() {
	if w.leaving.Load() || !w.expires.IsZero() && time.Now().After(w.expires) {
		w.Header().Set("Connection", "close")
	}
}
