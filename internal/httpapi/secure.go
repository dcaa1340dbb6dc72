package httpapi

import "net/http"

// answerHeaders are the headers of every answer: it is what its type says, is
// kept by nobody, and does nothing if a browser shows it as a page, whatever
// bytes a worker sent. Answers share the values, so nobody may write to them in
// place.
var answerHeaders = [...]struct {
	name  string
	value []string
}{
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"Cache-Control", []string{"no-store"}},
	{"Content-Security-Policy", []string{"sandbox; default-src 'none'"}},
	{"Vary", []string{"Accept, Prefer, Origin"}},
}

// secure gives every answer the usual headers.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setUsual(w.Header())
		next.ServeHTTP(w, r)
	})
}

// setUsual sets the headers that every answer has.
func setUsual(h http.Header) {
	for i := range answerHeaders {
		h[answerHeaders[i].name] = answerHeaders[i].value
	}
}
