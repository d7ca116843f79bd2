package store

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestTablesAreWrittenInTurns: who writes a table lets others go first after so many rows, and every table of a store is
// written like that.
func TestTablesAreWrittenInTurns(t *testing.T) {
	c, ok := newTimesCollector().(*inTurns)
	if !ok {
		t.Fatalf("a collector is a %T", newTimesCollector())
	}
	turns := 0
	c.yield = func() { turns++ }
	plain := timesCollector()
	for i := range 3*turnRows + 1 {
		if turns != i/turnRows {
			t.Fatalf("%d turns in %d rows", turns, i)
		}
		key := sstable.InternalKey{UserKey: appendVersionKey(nil, []byte("k"), uint64(i+1)), Trailer: pebble.InternalKeyTrailer(pebble.InternalKeyKindSet)}
		must(t, c.AddPointKey(key, nil))
		must(t, plain.AddPointKey(key, nil))
	}
	for _, of := range []pebble.BlockPropertyCollector{c, plain} {
		_, err := of.FinishDataBlock(nil)
		must(t, err)
		of.AddPrevDataBlockToIndexBlock()
		_, err = of.FinishIndexBlock(nil)
		must(t, err)
	}
	got, err := c.FinishTable(nil)
	must(t, err)
	want, err := plain.FinishTable(nil)
	must(t, err)
	if string(got) != string(want) || len(want) == 0 {
		t.Errorf("the property is %x, without turns %x", got, want)
	}
	o := engineOptions(vfs.NewMem(), 1<<20, newEngineLogger(slog.New(slog.DiscardHandler)))
	if _, ok := o.BlockPropertyCollectors[0]().(*inTurns); !ok {
		t.Error("the engine's tables are not written in turns")
	}
}
