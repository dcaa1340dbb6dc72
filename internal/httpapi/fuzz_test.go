package httpapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"mdpgateway/internal/mdp"
)

// Whatever a path holds, the service it leads to is its last segment decoded
// once, or refused.
func FuzzServiceName(f *testing.F) {
	for _, seed := range []string{"echo", "%65cho", "a%2Fb", "a%2520b", "%", "%zz", "mmi.service", "%6dmi.x", "..", "a b", "\x00"} {
		f.Add(seed)
	}
	var got string
	var called bool
	mux := chi.NewRouter()
	mux.Post("/services/{name}", func(_ http.ResponseWriter, r *http.Request) {
		var err error
		got, err = serviceName(r)
		called = err == nil
	})
	f.Fuzz(func(t *testing.T, segment string) {
		called = false
		u, err := url.Parse("/services/" + segment)
		if err != nil || strings.ContainsAny(segment, "?#") {
			return
		}
		mux.ServeHTTP(httptest.NewRecorder(), &http.Request{Method: http.MethodPost, URL: u})
		if !called {
			return
		}
		want, err := url.PathUnescape(segment)
		if err != nil || got != want {
			t.Errorf("the segment %q is the service %q, want %q (%v)", segment, got, want, err)
		}
		if err := mdp.CheckService(got); err != nil || mdp.IsMMI(got) {
			t.Errorf("the segment %q is the service %q (%v)", segment, got, err)
		}
	})
}

// A Host is answered if and only if it is a name of the gateway's, with whatever
// port, in whatever case.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"lab.example", "LAB.example:80", "[::1]:8080", "::1", "lab.example.", "lab.example.evil", "a@lab.example", ":", "]["} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		allowed := AnswersTo(host, []string{"lab.example", "::1"})
		lower := strings.ToLower(host)
		if allowed && !strings.HasPrefix(strings.TrimLeft(lower, "["), "lab.example") && !strings.HasPrefix(strings.TrimLeft(lower, "["), "::1") {
			t.Errorf("%q is answered", host)
		}
		if (lower == "lab.example" || lower == "lab.example:80" || lower == "[::1]") && !allowed {
			t.Errorf("%q is not answered", host)
		}
	})
}
