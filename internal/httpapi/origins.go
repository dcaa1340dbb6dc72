package httpapi

import (
	"fmt"
	"net/http"
	"slices"

	"mdpgateway/internal/mdp"
)

// origins are the foreign pages that may post.
type origins struct {
	any     bool
	trusted []string
	check   *http.CrossOriginProtection
}

func newOrigins(trusted []string) (origins, error) {
	o := origins{check: http.NewCrossOriginProtection()}
	for _, origin := range trusted {
		if origin == "*" {
			o.any = true
			continue
		}
		if err := o.check.AddTrustedOrigin(origin); err != nil {
			return origins{}, fmt.Errorf("origin is %q, want one like https://lab.example: %w", origin, err)
		}
		o.trusted = append(o.trusted, origin)
	}
	return o, nil
}

// originAllowed refuses what a browser sends on behalf of a foreign page. A page
// needs no leave of CORS to post text/plain or a form, only to read the answer,
// and by then the worker would have run. Programs that are no browsers send
// neither Origin nor Sec-Fetch-Site and pass.
func (a *API) originAllowed(r *http.Request) error {
	if a.origins.any {
		return nil
	}
	if err := a.origins.check.Check(r); err != nil {
		return &mdp.Error{Kind: mdp.OriginRefused, Detail: "pages of this origin may not post here", Err: err}
	}
	return nil
}

// allowTiming lets the pages that may post read Server-Timing too, which
// browsers hide from foreign ones.
func (a *API) allowTiming(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); a.origins.any {
			w.Header().Set("Timing-Allow-Origin", "*")
		} else if origin != "" && slices.Contains(a.origins.trusted, origin) {
			w.Header().Set("Timing-Allow-Origin", origin)
		}
		next.ServeHTTP(w, r)
	})
}
