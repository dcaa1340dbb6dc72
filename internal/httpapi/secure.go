package httpapi

import (
	"maps"
	"net/http"
)

// answerHeaders are the headers of every answer: it is what its type says, is
// kept by nobody, and does nothing if a browser shows it as a page, whatever
// bytes a worker sent. Answers share the values, so nobody may write to them in
// place.
var answerHeaders = http.Header{
	"X-Content-Type-Options":  {"nosniff"},
	"Cache-Control":           {"no-store"},
	"Content-Security-Policy": {"sandbox; default-src 'none'"},
	"Vary":                    {"Accept, Prefer, Origin"},
}

// secure sets the headers that every answer has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), answerHeaders)
		next.ServeHTTP(w, r)
	})
}
