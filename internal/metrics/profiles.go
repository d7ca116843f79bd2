package metrics

import (
	"net/http"
	"net/http/pprof"
)

// WithProfiles answers what h answers and, below /debug/pprof/, GET requests for the profiles of package net/http/pprof: where
// the process spends its time, what holds its memory, what its goroutines wait for. They have names of functions and
// counts. The command line, which that package would tell as well, is not among them.
func WithProfiles(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
