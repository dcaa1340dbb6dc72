package main

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"mdpgateway/internal/httpapi"
)

// maxProfile is the longest time that a profile may be taken for: it slows the whole process.
const maxProfile = 60 * time.Second

// adminServer serves metrics, profiles and probes.
func (d *daemon) adminServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.metrics.Handler())
	mux.Handle("GET /livez", d.api)
	mux.Handle("GET /readyz", d.api)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	contention(mux)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &http.Server{
		Handler: guardAdmin(mux, d.settings.adminHosts), ReadHeaderTimeout: d.settings.HeaderTimeout, IdleTimeout: d.settings.IdleTimeout,
	}
}

// guardAdmin lets no web page in. A page whose name was made to point here (DNS rebinding) could read profiles, and any
// page could have long ones taken. Probes come from anywhere.
func guardAdmin(next http.Handler, hosts []string) http.Handler {
	check := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		changing := *r
		changing.Method = http.MethodPost // GET is not checked, and a profile is started by one
		switch seconds, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64); {
		case r.URL.Path == "/livez" || r.URL.Path == "/readyz":
			next.ServeHTTP(w, r)
		case !httpapi.AnswersTo(r.Host, hosts):
			http.Error(w, "this listener does not answer to that Host", http.StatusForbidden)
		case check.Check(&changing) != nil:
			http.Error(w, "this listener does not answer to other sites' pages", http.StatusForbidden)
		case err == nil && !(seconds <= maxProfile.Seconds()): // NaN, too
			http.Error(w, fmt.Sprintf("seconds is more than %v", maxProfile.Seconds()), http.StatusBadRequest)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
