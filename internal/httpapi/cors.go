package httpapi

import (
	"cmp"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"
)

// preflightAge is how many seconds a browser may remember a preflight's answer.
// One that remembers an origin that is no longer trusted still finds its posts
// refused.
const preflightAge = 600

// newCORS says to browsers what the pages of trusted origins may send and read.
// Credentials are not in it: a page that has a key sends it as a header, and
// there are no cookies. It is rs/cors because it reads a preflight's headers
// without splitting and copying them, however long a stranger makes them.
func newCORS(any bool, trusts func(origin string) bool) *cors.Cors {
	options := cors.Options{
		AllowOriginFunc: trusts,
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"Content-Type", "Authorization", "Prefer", "Flowgraph-Vars", "X-Request-Id", "traceparent",
			"Idempotency-Key", "If-None-Match", "Last-Event-ID"},
		ExposedHeaders: []string{
			"X-Request-Id", "Server-Timing", "Preference-Applied", "Retry-After", "WWW-Authenticate", "Allow", "Accept-Post",
			"Timeout-Applied", "Location", "Content-Location", "ETag", "Idempotent-Replayed",
		},
		MaxAge: preflightAge,
	}
	if any {
		options.AllowOriginFunc, options.AllowedOrigins = nil, []string{"*"}
	}
	return cors.New(options)
}

// allowOrigins tells browsers which pages may call, and answers their preflights.
// It runs before authentication and every other refusal: a preflight has no key,
// and a page may read the problems that it is answered with.
func (a *API) allowOrigins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := a.origins.Load()
		o.cors.HandlerFunc(w, r)
		preflight := isPreflight(r)
		if (preflight || isForeignRead(r)) && !o.trusts(r.Header.Get("Origin")) {
			a.noteRefused(r)
		}
		if !preflight {
			next.ServeHTTP(w, r)
		}
	})
}

// isPreflight reports whether a browser asks whether a page may send a request (Fetch, "CORS-preflight request").
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// isForeignRead reports whether a page of another origin wants to read an answer that its browser asks no leave for (Fetch
// Metadata): it is given, and the browser keeps it from the page unless the origin is trusted.
func isForeignRead(r *http.Request) bool {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	site := r.Header.Get("Sec-Fetch-Site")
	return read && r.Header.Get("Origin") != "" && r.Header.Get("Sec-Fetch-Mode") == "cors" && (site == "cross-site" || site == "same-site")
}

// routeOf returns the pattern of the route that a request takes, for a preflight that of the request which it is about,
// and "unmatched" if there is none.
func (a *API) routeOf(r *http.Request) string {
	pattern := r.Pattern
	if pattern == "" && isPreflight(r) {
		pattern = a.mux.Find(chi.NewRouteContext(), r.Header.Get("Access-Control-Request-Method"), rawPath(r))
	}
	return cmp.Or(pattern, "unmatched")
}
