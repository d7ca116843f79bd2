package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// TestOptions compares what the engine records of our store's options and of those made from them.
func TestOptions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	const cacheSize = 5 << 20
	ours, err := record(dir, cacheSize)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Options(dir, cacheSize)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there (%v)", err)
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	alone, err := recorded(dir)
	if err != nil {
		t.Fatal(err)
	}
	own, base := strings.Split(ours, "\n"), strings.Split(alone, "\n")
	if len(own) != len(base) {
		t.Fatalf("%d lines, want %d", len(base), len(own))
	}
	for i := range own {
		name, _, _ := strings.Cut(strings.TrimSpace(own[i]), "=")
		if own[i] != base[i] && !slices.Contains([]string{"comparer", "key_schema", "disable_wal", "wal_bytes_per_sync"}, name) {
			t.Errorf("line %d: got %q, want %q", i, base[i], own[i])
		}
	}
	if !strings.Contains(ours, "cache_size=5242880") {
		t.Errorf("the size of the cache is not in\n%s", ours)
	}
}
