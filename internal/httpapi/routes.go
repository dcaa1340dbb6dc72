package httpapi

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"mdpgateway/internal/gateway"
)

// routes is every route, and the way of every request to its handler: the
// middleware runs from top to bottom, each seeing what those above let pass. It
// is chained behind the router, which is why it knows the route. With principals, only the
// probes, / and the pages /docs and /console with their files are open. Paths without a route need a key,
// too: a stranger learns nothing of this gateway.
func (a *API) routes() chi.Router {
	mux := chi.NewRouter()
	open := mux.With(
		a.record,          // the request's log line and metrics, whatever becomes of it
		identify,          // its id
		a.trace,           // and that of the trace it is in
		a.allowOrigins,    // CORS: what foreign pages may send and read
		secure,            // the headers that every answer has
		a.allowTiming,     // who may read its Server-Timing
		a.recoverPanic,    // a panic is an error like any other
		a.judgeConnection, // what becomes of the connection
		a.guard(
			admitted,         // 503: beyond --max-connections
			certificateHolds, // 401: the caller's certificate does not any more
			a.headersFit,     // 431
			a.hostAllowed,    // 403: DNS rebinding
			a.originAllowed,  // 403: a foreign page's POST
		),
	)
	get(open, "/livez", a.handle(a.livez))
	get(open, "/readyz", a.handle(a.readyz))
	get(open, "/docs", a.handle(docsPage))
	get(open, "/docs/{file}", a.handle(docsFile))
	get(open, "/", a.handle(a.root))
	if !a.cfg.NoConsole {
		get(open, "/console", a.handle(newFront(a.cfg.Login).page))
		get(open, "/console/{file}", a.handle(consoleFile))
	}

	mux.Group(func(r chi.Router) {
		r.Use(open.Middlewares()...)
		r.Use(
			a.authenticate, // 401
			a.uncrowded,    // 503: beyond --max-requests
			vouch,
		)
		r.NotFound(a.handle(notFound))
		r.MethodNotAllowed(a.handle(methodNotAllowed(mux)))

		r.Post(callRoute, a.handle(a.call))
		r.Post(callRoute+"/dry-run", a.handle(a.dryRun))
		get(r, "/services", a.handle(a.services))
		get(r, "/services/{name}", a.handle(a.service))

		if a.cfg.Jobs != nil {
			a.jobRoutes(r)
		}
		get(r, "/overview", a.handle(a.overview))
		get(r, "/calls", a.handle(a.calls))
		get(r, "/version", a.handle(a.version))
		get(r, "/openapi.yaml", a.handle(openAPI))
		get(r, "/openapi.json", a.handle(a.openAPIJSON))
		get(r, "/problems", a.handle(a.problems))
		if a.cfg.Metrics != nil {
			get(r, "/metrics", a.handle(a.metrics))
		}
	})
	return mux
}

func (a *API) jobRoutes(r chi.Router) {
	get(r, "/jobs", a.handle(a.listJobs))
	get(r, "/jobs/{id}", a.handle(a.job))
	r.Delete("/jobs/{id}", a.handle(a.deleteJob))
	r.Post("/jobs/{id}/cancel", a.handle(a.cancelJob))
	get(r, "/jobs/{id}/reply", a.handle(a.jobReply))
	r.Get("/jobs/{id}/events", a.handle(a.jobEvents))
}

// callRoute is the pattern of calls.
const callRoute = "/services/{name}"

// get adds a route for GET and for HEAD, whose body net/http leaves out.
func get(r chi.Router, pattern string, h http.HandlerFunc) {
	r.Get(pattern, h)
	r.Head(pattern, h)
}

func notFound(_ *response, r *http.Request) error {
	return &gateway.Error{Kind: gateway.NotFound, Detail: "there is no route " + printable(r.URL.Path, maxShownPath)}
}

// methodNotAllowed answers with Allow, which chi leaves to whoever replaces its
// own handler. chi also comes here for methods that it does not know, on any
// path.
func methodNotAllowed(routes chi.Routes) handler {
	return func(w *response, r *http.Request) error {
		path := rawPath(r)
		var allowed []string
		for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPost} {
			if routes.Match(chi.NewRouteContext(), method, path) {
				allowed = append(allowed, method)
			}
		}
		if allowed == nil {
			return notFound(w, r)
		}
		allow := strings.Join(allowed, ", ")
		w.Header().Set("Allow", allow)
		return &gateway.Error{Kind: gateway.MethodNotAllowed, Detail: "this route takes " + allow}
	}
}

// rawPath returns the path as the router sees it: encoded if it came in an encoding that is not the usual one.
func rawPath(r *http.Request) string { return cmp.Or(r.URL.RawPath, r.URL.Path) }
