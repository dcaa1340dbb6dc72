package httpapi

import (
	"crypto/x509"
	"net/http"
	"time"

	"mdpgateway/internal/access"
	"mdpgateway/internal/gateway"
)

// authenticate refuses requests that don't prove who calls, if they must. It comes
// before all that reads the request: the body, the name of a service, whether
// there is such a route at all. From here on the response's pass says what the caller
// may do, and whose its jobs are.
func (a *API) authenticate(next http.Handler) http.Handler {
	return a.handle(func(w *response, r *http.Request) error {
		err := w.authenticate(a.cfg.Access, r)
		defer a.tellPrincipal(w)
		if err == nil && !isCall(r) {
			err = w.pass.Count(time.Now()) // admit counts a call
		}
		if err == nil {
			next.ServeHTTP(w, r)
		}
		return err
	})
}

// isCall reports whether a request is on the route of calls.
func isCall(r *http.Request) bool {
	return r.Method == http.MethodPost && r.Pattern == callPath
}

func (w *response) authenticate(who *access.Store, r *http.Request) (err error) {
	shown := access.Shown{Authorization: r.Header["Authorization"], Certificate: clientCertificate(r)}
	w.pass, err = who.Authenticate(r.Context(), shown, time.Now())
	return err
}

// clientCertificate returns the certificate of a request's connection, or nil if there is none or TLS did not verify it.
func clientCertificate(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0][0]
}

// The challenges of a 401 (RFC 6750 section 3): an expired proof is told from one that is wrong, and no more.
const (
	challengeMissing = `Bearer realm="mdp-gateway"`
	challengeInvalid = challengeMissing + `, error="invalid_token"`
	challengeExpired = challengeInvalid + `, error_description="expired"`
)

// challenge returns the WWW-Authenticate of a 401.
func (w *response) challenge() string {
	switch w.pass.Result {
	case access.Invalid:
		return challengeInvalid
	case access.Expired:
		return challengeExpired
	}
	return challengeMissing
}

// tellPrincipal tells the Observer who called, if it had to be proven.
func (a *API) tellPrincipal(w *response) {
	if w.pass.ID != "" {
		a.cfg.Observer.Authenticated(w.pass.ID, authResult(w))
	}
}

// authResult is what came of the request's proof: that of Authenticate or, for a
// valid one, that its principal may not do what was asked for.
func authResult(w *response) string {
	if w.pass.Result == access.OK && w.err != nil && (w.err.Kind == gateway.Forbidden || w.err.Kind == gateway.RateLimited) {
		return string(w.err.Kind)
	}
	return w.pass.Result
}
