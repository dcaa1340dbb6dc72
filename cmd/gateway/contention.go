package main

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"
)

// contention serves the profiles block and mutex, GET /debug/pprof/block?seconds=5
// and the like. They hold what happens while somebody waits for them: the runtime
// samples nothing else, since to sample costs every lock a little. Two at once may
// end each other's sampling.
func contention(mux *http.ServeMux) {
	for name, sample := range map[string]func(on bool){
		"block": func(on bool) {
			rate := 0
			if on {
				rate = int(10 * time.Microsecond) // on average one of those that wait that long together
			}
			runtime.SetBlockProfileRate(rate)
		},
		"mutex": func(on bool) {
			fraction := 0
			if on {
				fraction = 10
			}
			runtime.SetMutexProfileFraction(fraction)
		},
	} {
		profile := pprof.Handler(name)
		mux.HandleFunc("GET /debug/pprof/"+name, func(w http.ResponseWriter, r *http.Request) {
			sample(true)
			defer sample(false)
			profile.ServeHTTP(w, r)
		})
	}
}
