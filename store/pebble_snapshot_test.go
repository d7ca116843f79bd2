package store

import (
	"bytes"
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A snapshot needs nobody to keep history for it: it has all of its moment, whatever is
// dropped and rewritten before it is read.
func TestSnapshotOutlivesCompaction(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithTinyTables())
	top := fillForCompact(t, s, 50, 10, 100)
	rows := countRows(t, s)
	want := describe(t, s)
	snapshot, err := s.Snapshot()
	must(t, err)
	must(t, s.DeletePrefixAt(ctx, nil, nil, top+1))
	must(t, s.Compact(ctx, top+2))
	must(t, s.db.Flush())
	must(t, s.db.Compact(ctx, []byte{namespaceMeta, keySentinel}, appendDataEnd(nil), false))
	if left := countRows(t, s); left != 0 {
		t.Fatalf("%d rows are left in the store, want none", left)
	}
	var image bytes.Buffer
	_, err = snapshot.WriteTo(&image)
	must(t, err)
	must(t, snapshot.Close())
	other := openMem(t)
	must(t, other.Restore(&image))
	if got := describe(t, other); got != want {
		t.Errorf("restored:\n%s\nwant:\n%s", got, want)
	}
	if n := countRows(t, other); n != rows {
		t.Errorf("%d rows were restored, want %d", n, rows)
	}
	for ts, value := range map[uint64]string{1: "1", 2: "2"} {
		if got, err := other.GetAt(ctx, []byte("k00007"), ts); err != nil || string(got) != value {
			t.Errorf("at %d: %q, %v; want %q", ts, got, err, value)
		}
	}
}
