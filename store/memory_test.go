package store_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/store"
	"github.com/elastickv/elastickv/store/storetest"
)

func openMemory(t *testing.T) store.Engine {
	e := store.NewMVCCStore().(store.Engine)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestMemory(t *testing.T) { storetest.Run(t, openMemory) }

func TestMemoryModel(t *testing.T) { storetest.RunModel(t, openMemory) }

func TestMemoryLogger(t *testing.T) {
	var out bytes.Buffer
	s := store.NewMVCCStore(store.WithLogger(slog.New(slog.NewTextHandler(&out, nil))), store.WithLogger(nil))
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if _, err := snapshot.WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(&image); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "restored") {
		t.Errorf("the logger got %q, want a line that says the store was restored", out.String())
	}
}

// A snapshot must stay good after its store has gone.
func TestMemorySnapshotOutlivesStore(t *testing.T) {
	s := store.NewMVCCStore()
	if err := s.PutAt(context.Background(), []byte("k"), []byte("v"), 10, 0); err != nil {
		t.Fatal(err)
	}
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if _, err := snapshot.WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	other := store.NewMVCCStore()
	if err := other.Restore(&image); err != nil {
		t.Fatal(err)
	}
	if v, err := other.GetAt(context.Background(), []byte("k"), 10); err != nil || string(v) != "v" {
		t.Errorf("GetAt = %q, %v; want v", v, err)
	}
}
