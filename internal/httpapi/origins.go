package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"mdpgateway/internal/gateway"
)

// origins are the foreign pages that may call. They never change: others take
// their place whole.
type origins struct {
	any     bool
	trusted []string
	check   *http.CrossOriginProtection
	cors    *cors.Cors
}

// CheckOrigin says why a text can't be an origin as browsers send it: scheme and
// host in lower case, and a port unless it is the scheme's own.
func CheckOrigin(origin string) error {
	want := fmt.Errorf("origin is %q, want one like https://lab.example or http://localhost:3000, or * for any", origin)
	u, err := url.Parse(origin)
	switch {
	case origin == "*":
		return nil
	case err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin || origin != strings.ToLower(origin):
		return want
	case strings.ContainsAny(origin, "*, ") || u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		return want
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return want
	}
	return nil
}

func newOrigins(trusted []string) (*origins, error) {
	o := &origins{check: http.NewCrossOriginProtection()}
	for _, origin := range trusted {
		if err := CheckOrigin(origin); err != nil {
			return nil, err
		}
		if origin == "*" {
			o.any = true
			continue
		}
		if err := o.check.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("origin is %q: %w", origin, err)
		}
		o.trusted = append(o.trusted, origin)
	}
	o.cors = newCORS(o.any, o.trusts)
	return o, nil
}

// trusts reports whether pages of that origin may call.
func (o *origins) trusts(origin string) bool { return o.any || slices.Contains(o.trusted, origin) }

// Trust puts other foreign origins in force, for the requests that come from now
// on. With an error those before stay.
func (a *API) Trust(trusted []string) error {
	o, err := newOrigins(trusted)
	if err != nil {
		return err
	}
	a.origins.Store(o)
	return nil
}

// originAllowed refuses what a browser sends on behalf of a foreign page. A page
// needs no leave of CORS to post text/plain or a form, only to read the answer,
// and by then the worker would have run. Programs that are no browsers send
// neither Origin nor Sec-Fetch-Site and pass.
func (a *API) originAllowed(r *http.Request) error {
	o := a.origins.Load()
	if o.any {
		return nil
	}
	if err := o.check.Check(r); err != nil {
		a.noteRefused(r)
		return &gateway.Error{Kind: gateway.OriginRefused, Detail: "pages of this origin may not post here; --cors-origin names those that may", Err: err}
	}
	return nil
}

// allowTiming lets the pages that may call read Server-Timing too, which browsers
// hide from foreign ones.
func (a *API) allowTiming(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := a.origins.Load()
		if origin := r.Header.Get("Origin"); o.any {
			w.Header().Set("Timing-Allow-Origin", "*")
		} else if origin != "" && o.trusts(origin) {
			w.Header().Set("Timing-Allow-Origin", origin)
		}
		next.ServeHTTP(w, r)
	})
}
