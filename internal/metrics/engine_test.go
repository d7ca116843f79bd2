package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/elastickv/elastickv/store"
)

// TestRealStore has a real store conflict, and then lose its disk.
func TestRealStore(t *testing.T) {
	var broken atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".log") {
			return errorfs.ErrInjected
		}
		return nil
	}))
	s, err := store.NewPebbleStore("db", store.WithFS(disk), store.WithNow(time.Now))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := filled()
	src := f.source()
	src.Store = s.(Store)
	ctx := context.Background()
	put := []*store.KVPairMutation{{Key: []byte("!hs|meta|x"), Value: []byte("v")}}
	if err := s.ApplyMutations(ctx, put, nil, 0, 10); err != nil {
		t.Fatal(err)
	}
	if err := s.ApplyMutations(ctx, put, nil, 9, 11); !errors.Is(err, store.ErrWriteConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	text := exposition(t, src)
	for _, want := range []string{
		`elastickv_store_write_conflict_total{key_prefix="hash",kind="write"} 1`,
		`elastickv_store_level_tables{level="6"} 0`,
		`elastickv_store_wal_sync_duration_seconds_bucket{le="10"} `,
		`elastickv_store_writable 1`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	h := Handler(src, slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil)); w.Code != 200 {
		t.Errorf("before: %d %s", w.Code, w.Body)
	}
	broken.Store(true)
	if err := s.PutAt(ctx, []byte("k"), nil, 12, 0); !errors.Is(err, store.ErrLogFailed) {
		t.Fatalf("got %v, want %v", err, store.ErrLogFailed)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if body := w.Body.String(); w.Code != 503 || !strings.Contains(body, "restart after checking the disk") || strings.Count(body, "\n") != 1 {
		t.Errorf("after the disk has failed: %d %q", w.Code, body)
	}
	if !strings.Contains(exposition(t, src), "\nelastickv_store_writable 0\n") {
		t.Error("the store still seems writable")
	}
}
