package store

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestTablesAreWrittenInTurns: who writes a table lets others go first after so many rows, unless they have just gone for longer
// than it has worked since, and every table of a store is written like that.
func TestTablesAreWrittenInTurns(t *testing.T) {
	row, now := 0, time.Unix(1, 0)
	o := engineOptions(vfs.NewMem(), 1<<20, func() time.Time { return now }, newEngineLogger(slog.New(slog.DiscardHandler)))
	c, ok := o.BlockPropertyCollectors[0]().(*inTurns)
	if !ok {
		t.Fatalf("the collector of the engine's tables is a %T", o.BlockPropertyCollectors[0]())
	}
	var turns []int // after how many times turnRows rows others went first
	c.yield = func() {
		if turns = append(turns, row/turnRows); len(turns) == 4 {
			now = now.Add(5 * turnRows * time.Microsecond) // in which it could have written five times as many rows
		}
	}
	plain := newTimesCollector()
	for row = 1; row <= 10*turnRows; row++ {
		now = now.Add(time.Microsecond)
		key := sstable.InternalKey{UserKey: appendVersionKey(nil, []byte("k"), uint64(row)), Trailer: pebble.InternalKeyTrailer(pebble.InternalKeyKindSet)}
		must(t, c.AddPointKey(key, nil))
		must(t, plain.AddPointKey(key, nil))
	}
	if want := []int{1, 2, 3, 4, 9, 10}; !slices.Equal(turns, want) {
		t.Errorf("others went first after %d times %d rows, want %d", turns, turnRows, want)
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
}
