package httpapi

import (
	"net/http"
	"time"

	"mdpgateway/internal/edge"
	"mdpgateway/internal/gateway"
)

// refusalTimeout is how long a refusal may take to be written. It is short since a request is held until then with all
// its headers, and over HTTP/2 a caller can ask with windows of 0 and take nothing.
const refusalTimeout = 2 * time.Second

// patience is how long the next part of the answer may take to be written.
func (w *response) patience() time.Duration {
	if refused(w.status) || w.crowded || w.status == http.StatusRequestHeaderFieldsTooLarge {
		return min(w.timeout, refusalTimeout)
	}
	return w.timeout
}

// judgeConnection tells a request's connection what was refused, and ends one beyond the bounds after its answer. Until
// the request is let in, it bounds the answers that are not taken.
func (a *API) judgeConnection(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w, c := rw.(*response), edge.Of(r.Context())
		_ = w.control.SetWriteDeadline(time.Time{}) // the server's WriteTimeout is for net/http's own answers
		if c.Spare() || certificateHolds(r) != nil {
			w.Header().Set("Connection", "close")
		}
		if c.Spare() {
			w.timeout = min(w.timeout, refusalTimeout)
			if isProbe(r) {
				c.Probed()
			}
		}
		if isProbe(r) {
			w.timeout = min(w.timeout, refusalTimeout)
		}
		w.seat = a.seatFor(r)
		defer w.seat.leave()
		next.ServeHTTP(w, r)
		if refused(w.status) {
			c.Refused()
		}
		if w.seat.taken { // else net/http would wait for the caller when the seat is free again
			w.arm()
			_ = w.control.Flush()
		}
	})
}

// vouch tells the connection that its caller is no stranger. It comes after authenticate.
func vouch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w, c := rw.(*response), edge.Of(r.Context())
		c.Admitted()
		w.seat = seat{}
		next.ServeHTTP(rw, r)
		if w.status != 0 && !refused(w.status) {
			c.Known()
		}
	})
}

// refused reports whether an answer is one that shows no right to be here.
func refused(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound
}

// admitted refuses all but probes on a connection beyond --max-connections.
func admitted(r *http.Request) error {
	if !edge.Of(r.Context()).Spare() || isProbe(r) {
		return nil
	}
	return gateway.Refused(gateway.ReasonConnections, "there are as many connections as there may be")
}

// certificateHolds refuses a request whose caller's certificate held at the handshake of its connection and does not any
// more: it has expired, was revoked, or its authority is trusted no longer.
func certificateHolds(r *http.Request) error {
	if _, err := edge.Of(r.Context()).TLS(); err != nil {
		return &gateway.Error{Kind: gateway.Unauthorized, Detail: "the certificate of this connection is not valid any more", Err: err}
	}
	return nil
}

// uncrowded refuses a request that finds no place among MaxRequests. It comes after
// authenticate: a caller without a key takes no place.
func (a *API) uncrowded(next http.Handler) http.Handler {
	return a.handle(func(w *response, r *http.Request) error {
		if w.crowded = !a.requests.place(a.cfg.MaxRequests); w.crowded {
			a.cfg.Observer.Rejected(gateway.ReasonRequests)
			return gateway.Refused(gateway.ReasonRequests, "there are as many requests in flight as there may be")
		}
		defer a.requests.places.Add(-1)
		next.ServeHTTP(w, r)
		return nil
	})
}

// isProbe reports whether a request asks for the gateway's own state.
func isProbe(r *http.Request) bool { return r.URL.Path == "/livez" || r.URL.Path == "/readyz" }
