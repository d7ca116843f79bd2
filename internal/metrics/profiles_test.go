package metrics

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	plain := Handler(filled().source(), slog.New(slog.DiscardHandler))
	with := WithProfiles(plain)
	for _, tc := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"GET", "/debug/pprof/", 200, "goroutine"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "TestProfiles"},
		{"GET", "/debug/pprof/heap?debug=1", 200, "heap profile"},
		{"GET", "/debug/pprof/trace?seconds=0.1", 200, ""},
		{"GET", "/debug/pprof/cmdline", 404, "Unknown profile"},
		{"POST", "/debug/pprof/profile", 404, ""},
		{"GET", "/metrics", 200, "elastickv_connected_clients 1"},
		{"POST", "/metrics", 405, ""},
		{"GET", "/nosuch", 404, ""},
	} {
		w := httptest.NewRecorder()
		with.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s: got %d %.300q, want %d and %q", tc.method, tc.path, w.Code, w.Body, tc.code, tc.want)
		}
		if !strings.HasPrefix(tc.path, "/debug/") {
			continue
		}
		w = httptest.NewRecorder()
		if plain.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil)); w.Code != 404 {
			t.Errorf("%s %s without profiles: got %d, want 404", tc.method, tc.path, w.Code)
		}
	}
}
