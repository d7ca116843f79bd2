package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lookedAt returns how many rows a pass to floor looks at. It deletes nothing.
func lookedAt(t *testing.T, s *pebbleStore, since, floor uint64) int {
	t.Helper()
	w := s.newWrite(idlePath)
	defer func() { must(t, w.batch.Close()) }()
	looked := 0
	for p := (&compactionPass{floor: floor, since: since, begin: []byte{}, next: []byte{}}); !p.finished(); {
		g := garbage{s: s, w: w, floor: floor, since: since}
		must(t, g.collect(p))
		looked += g.looked
	}
	return looked
}

// A pass reads what was committed since the last one and leaves the rest alone.
func TestCompactSkipsWhatIsClean(t *testing.T) {
	skipUnderRace(t)
	const keys = 20_000
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithTinyTables())
	fillFlat(t, s, "k", keys, 10)
	must(t, s.Compact(ctx, 15))
	for i := range 5 {
		must(t, s.PutAt(ctx, fmt.Appendf(nil, "k%06d", i*4000), []byte("new"), 20, 0))
	}
	must(t, s.db.Flush())
	if looked := lookedAt(t, s, s.apply.clean, 25); looked > keys/20 {
		t.Errorf("looked at %d rows of %d, 5 of them new", looked, keys+5)
	}
	if looked := lookedAt(t, s, 0, 25); looked < keys {
		t.Errorf("a pass from the beginning has looked at %d rows of %d", looked, keys+5)
	}
	must(t, s.Compact(ctx, 25))
	if got := countRows(t, s); got != keys {
		t.Errorf("%d rows are left, want %d", got, keys)
	}
}

// A value that expires is found when its time comes, although nothing is written then and
// the pass leaves everything else alone.
func TestCompactFindsWhatExpires(t *testing.T) {
	const keys = 5000
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithTinyTables())
	fillFlat(t, s, "k", keys, 10)
	must(t, s.PutAt(ctx, []byte("k002500"), []byte("v"), 11, 100))
	must(t, s.PutAt(ctx, []byte("k002501"), []byte("v"), 11, 200))
	must(t, s.PutAt(ctx, []byte("k002502"), []byte("v"), 11, 100))
	must(t, s.Compact(ctx, 20))
	must(t, s.PutAt(ctx, []byte("k002502"), []byte("again"), 50, 0)) // it does not expire any more
	for _, c := range []struct {
		floor uint64
		rows  int
	}{{60, keys}, {99, keys}, {100, keys - 1}, {199, keys - 1}, {200, keys - 2}} {
		must(t, s.Compact(ctx, c.floor))
		if got := countRows(t, s); got != c.rows {
			t.Errorf("at %d %d rows are left, want %d", c.floor, got, c.rows)
		}
	}
	options := expiryRows(maxTS)
	iter, err := s.db.NewIter(&options)
	must(t, err)
	if iter.First() {
		t.Errorf("a note of what expires is left behind: %x", iter.Key())
	}
	must(t, iter.Close())
}

// Late writes make a pass look again below what it had found clean.
func TestCompactAfterLateWrites(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	s := openTest(t, "db", WithFS(mem))
	fillFlat(t, s, "k", 500, 10)
	must(t, s.Compact(ctx, 50))
	must(t, s.PutAt(ctx, []byte("k000007"), []byte("older"), 5, 0))
	must(t, s.Close())
	s = openTest(t, "db", WithFS(mem))
	must(t, s.Compact(ctx, 60))
	if got := countRows(t, s); got != 500 {
		t.Errorf("%d rows are left, want 500", got)
	}
}

// Garbage that stands in a row goes by one deletion, and what stands beside it stays.
func TestCompactDeletesRanges(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	fillFlat(t, s, "a", 10, 10)
	fillFlat(t, s, "p", 3000, 10)
	fillFlat(t, s, "z", 10, 10)
	var m []*KVPairMutation
	for i := range 3000 {
		if i != 1500 {
			m = append(m, &KVPairMutation{Op: OpTypeDelete, Key: fmt.Appendf(nil, "p%06d", i)})
		}
	}
	must(t, s.ApplyMutations(ctx, m, nil, maxTS, 20))
	must(t, s.PutAt(ctx, []byte("p002000"), []byte("new"), 40, 0))
	w := s.newWrite(idlePath)
	g := garbage{s: s, w: w, floor: 30}
	must(t, g.collect(&compactionPass{floor: 30, begin: []byte{}, next: []byte{}}))
	if g.deletes > 10 {
		t.Errorf("%d deletions", g.deletes)
	}
	must(t, w.batch.Close())
	must(t, s.Compact(ctx, 30))
	pairs, err := s.ScanAt(ctx, nil, nil, 1<<20, 40)
	must(t, err)
	if rows := countRows(t, s); len(pairs) != 22 || rows != 23 {
		t.Errorf("%d keys and %d rows are left, want 22 and 23", len(pairs), rows) // p002000 keeps its tombstone
	}
}

// A key that is written into a range of garbage while it is collected stays.
func TestCompactSparesWhatIsWrittenMeanwhile(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	fillFlat(t, s, "p", 2000, 10)
	must(t, s.DeletePrefixAt(ctx, []byte("p"), nil, 20))
	must(t, s.raiseFloor(30))
	s.apply.Lock()
	epoch := s.apply.epoch
	s.apply.Unlock()
	p := &compactionPass{floor: 30, begin: []byte{}, next: []byte{}, epoch: epoch}
	tries := 0
	must(t, s.compactStep(ctx, p, func(w *write, g *garbage) error {
		next := *p
		err := g.collect(&next)
		if tries++; tries <= 2 {
			must(t, s.PutAt(ctx, fmt.Appendf(nil, "p%06d-new", tries), []byte("v"), 40, 0))
		}
		return err
	}))
	if tries != 3 {
		t.Errorf("looked %d times, want 3", tries)
	}
	if rows := countRows(t, s); rows != 2 {
		t.Errorf("%d rows are left, want the 2 that are new", rows)
	}
}
