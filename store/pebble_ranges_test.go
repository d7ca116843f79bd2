package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

var rangeTestKeys = []string{"", "\x00", "a", "a\x00", "aa", "b", "b\xff", "c", "\xff", "\xff\xff"}

func drawRange(t *rapid.T) rangeTombstone {
	bounds := []string{rapid.SampledFrom(rangeTestKeys).Draw(t, "start"), rapid.SampledFrom(rangeTestKeys).Draw(t, "end")}
	slices.Sort(bounds)
	r := rangeTombstone{
		span: Span{[]byte(bounds[0]), []byte(bounds[1])},
		ts:   rapid.Uint64Range(1, 12).Draw(t, "ts"), expired: rapid.Bool().Draw(t, "expired"),
	}
	if rapid.IntRange(0, 3).Draw(t, "unbounded") == 0 || r.span.empty() {
		r.span.End = nil
	}
	return r
}

// naiveOver is rangeFragment.over by the definition: the lowest range tombstone above v that
// finds it alive.
func naiveOver(all []rangeTombstone, key []byte, v VersionedValue, ts uint64) VersionedValue {
	lowest := v
	for _, r := range all {
		alive := !v.Tombstone && (r.expired || v.ExpireAt == 0 || v.ExpireAt > r.ts)
		if r.span.Contains(key) && r.ts > v.TS && r.ts <= ts && alive && (lowest.TS == v.TS || r.ts < lowest.TS) {
			lowest = VersionedValue{TS: r.ts, Tombstone: true}
		}
	}
	return lowest
}

// An index answers as its tombstones do one by one, however they overlap and whatever
// order they came in; and adding to it leaves older copies alone.
func TestRangeIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawRange), 0, 12).Draw(t, "ranges")
		var index *rangeIndex
		var copies []*rangeIndex
		for i, r := range all {
			copies = append(copies, index)
			index = index.with(all[i : i+1])
			_ = r
		}
		for i, x := range append(copies, index) {
			checkRangeIndex(t, x, all[:i])
		}
	})
}

func checkRangeIndex(t *rapid.T, x *rangeIndex, all []rangeTombstone) {
	cursor := rangeCursor{index: x}
	for _, k := range rangeTestKeys {
		key := []byte(k)
		if f := x.at(key); !f.span.Contains(key) {
			t.Fatalf("the fragment of %q is %q", key, f.span)
		}
		for ts := range uint64(14) {
			for _, v := range []VersionedValue{{TS: ts}, {TS: ts, Tombstone: true}, {TS: ts, ExpireAt: 6}} {
				for _, at := range []uint64{ts, ts + 3, math.MaxUint64} {
					want := naiveOver(all, key, v, at)
					if got := x.over(key, v, at); !sameVersion(got, want) {
						t.Fatalf("%+v over %q %+v at %d: got %+v, want %+v", all, key, v, at, got, want)
					}
					if got := cursor.over(key, v, at); !sameVersion(got, want) {
						t.Fatalf("cursor: %+v over %q %+v at %d: got %+v, want %+v", all, key, v, at, got, want)
					}
				}
			}
		}
	}
	for ts := range uint64(14) {
		for _, r := range all {
			want := slices.ContainsFunc(all, func(o rangeTombstone) bool { return o.ts > ts && overlap(o.span, r.span) })
			if got := x.marksAbove(r.span, ts); got != want {
				t.Fatalf("%+v marksAbove(%q, %d) = %v", all, r.span, ts, got)
			}
		}
	}
	var last []byte
	x.each(Span{}, func(f rangeFragment) bool {
		if last != nil && bytes.Compare(last, f.span.Start) > 0 || f.span.empty() || len(f.marks) == 0 {
			t.Fatalf("fragment %q %v after %q", f.span, f.marks, last)
		}
		last = f.span.End
		return true
	})
}

func overlap(a, b Span) bool {
	return (a.End == nil || bytes.Compare(b.Start, a.End) < 0) && (b.End == nil || bytes.Compare(a.Start, b.End) < 0)
}

func sameVersion(a, b VersionedValue) bool {
	return a.TS == b.TS && a.Tombstone == b.Tombstone && a.ExpireAt == b.ExpireAt
}

func TestRangeRowBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		r    rangeTombstone
		want string
	}{
		{"both bounds", rangeTombstone{Span{[]byte("a"), []byte("b\x00")}, 0x0102, false},
			"02" + "00000000" + "0000000000000102" + "02" + "00000001" + "61" + "6200" + "00"},
		{"everything, expired too", rangeTombstone{Span{[]byte{}, nil}, math.MaxUint64, true},
			"02" + "00000000" + "ffffffffffffffff" + "01" + "00000000" + "00"},
	} {
		row := appendRangeKey(nil, c.r)
		if got := hex.EncodeToString(row); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if got, err := parseRangeKey(row); err != nil || fmt.Sprint(got) != fmt.Sprint(c.r) || (got.span.End == nil) != (c.r.span.End == nil) {
			t.Errorf("%s: parsed %+v, %v", c.name, got, err)
		}
		options := rangeRows()
		if compareKeys(row, options.LowerBound) < 0 || compareKeys(row, options.UpperBound) >= 0 {
			t.Errorf("%s: outside of the bounds", c.name)
		}
	}
	if got, want := hex.EncodeToString(appendExpiryKey(nil, 0x0102, []byte("k"))), "03"+"00000000"+"0000000000000102"+"6b"+"00"; got != want {
		t.Errorf("expiry: got %s, want %s", got, want)
	}
	for _, ts := range []uint64{0, 0x0101, 0x0102, 0x0103, math.MaxUint64} {
		options, row := expiryRows(ts), appendExpiryKey(nil, 0x0102, []byte{})
		in := compareKeys(row, options.LowerBound) >= 0 && compareKeys(row, options.UpperBound) < 0
		if in != (ts >= 0x0102) {
			t.Errorf("rows up to %d have that of 0x0102: %v", ts, in)
		}
	}
}

// countRanges returns how many rows of range tombstones the engine holds.
func countRanges(t testing.TB, s *pebbleStore) (n int) {
	t.Helper()
	must(t, s.eachRange(s.db, func(rangeTombstone) error { n++; return nil }))
	return n
}

// fillFlat puts n keys under prefix at ts and moves them into tables.
func fillFlat(t testing.TB, s *pebbleStore, prefix string, n int, ts uint64) {
	t.Helper()
	var m []*KVPairMutation
	for i := range n {
		m = append(m, &KVPairMutation{Key: fmt.Appendf(nil, "%s%06d", prefix, i), Value: []byte("v")})
	}
	must(t, s.ApplyMutations(context.Background(), m, nil, maxTS, ts))
	must(t, s.db.Flush())
}

// Many keys go by one row, few by a row each, none by none.
func TestDeletePrefixRows(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct{ keys, rows, ranges int }{
		{0, 0, 0}, {defaultTombstonesMost, defaultTombstonesMost, 0}, {defaultTombstonesMost + 1, 0, 1}, {20_000, 0, 1},
	} {
		s := openTest(t, "db", WithFS(vfs.NewMem()))
		must(t, s.PutAt(ctx, []byte("other"), nil, 1, 0))
		if c.keys > 0 {
			fillFlat(t, s, "p", c.keys, 10)
		}
		before := countRows(t, s)
		must(t, s.DeletePrefixAt(ctx, []byte("p"), nil, 20))
		if rows, ranges := countRows(t, s)-before, countRanges(t, s); rows != c.rows || ranges != c.ranges {
			t.Errorf("%d keys: %d rows and %d range tombstones, want %d and %d", c.keys, rows, ranges, c.rows, c.ranges)
		}
		if pairs, err := s.ScanAt(ctx, nil, nil, 10, 20); err != nil || len(pairs) != 1 {
			t.Errorf("%d keys: %d are left (%v)", c.keys, len(pairs), err)
		}
		if pairs, err := s.ScanAt(ctx, []byte("p"), nil, 1<<20, 19); err != nil || len(pairs) != c.keys {
			t.Errorf("%d keys: %d just below (%v)", c.keys, len(pairs), err)
		}
	}
}

// A walk passes over what a range tombstone has deleted without looking at it, in both
// directions, and finds what was written since.
func TestWalkLeaps(t *testing.T) {
	skipUnderRace(t)
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithTinyTables())
	fillFlat(t, s, "a", 1, 10)
	fillFlat(t, s, "p", 20_000, 10)
	fillFlat(t, s, "z", 1, 10)
	_, err := s.Stage(ctx, []Commit{{TS: 20, Deleted: []Span{PrefixSpan([]byte("p"))}}})
	must(t, err)
	must(t, s.PutAt(ctx, []byte("p010000"), []byte("new"), 30, 0))
	must(t, s.db.Flush())
	s.gaps.suspend() // they learn the same, but only for the next walk
	for order, want := range map[Order]string{Ascending: "a000000 p010000 z000000 ", Descending: "z000000 p010000 a000000 "} {
		var got string
		w := &scanner{s: s, ctx: ctx, ts: 40, fn: func(key []byte, _ VersionedValue) bool {
			got += string(key) + " "
			return true
		}}
		must(t, w.enter(Span{}, order))
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if w.passed > 500 {
			t.Errorf("%v: passed %d rows", order, w.passed)
		}
	}
}

// What a restart finds is what was there, tombstones that were cut included.
func TestRangesSurviveReopening(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	s := openTest(t, "db", WithFS(mem))
	fillFlat(t, s, "p", 1000, 10)
	must(t, s.DeletePrefixAt(ctx, []byte("p"), []byte("p0005"), 20))
	must(t, s.PutAt(ctx, []byte("p-late"), []byte("v"), 15, 0))
	want := describeRanges(s)
	rows, err := s.ScanAt(ctx, nil, nil, 1<<20, 25)
	must(t, err)
	must(t, s.Close())
	s = openTest(t, "db", WithFS(mem))
	if got := describeRanges(s); got != want || got == "" {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	again, err := s.ScanAt(ctx, nil, nil, 1<<20, 25)
	must(t, err)
	if len(again) != len(rows) || len(rows) != 101 {
		t.Errorf("%d rows, then %d, want 101", len(rows), len(again))
	}
	must(t, s.Compact(ctx, 25))
	if got := describeRanges(s); got != "" || countRanges(t, s) != 0 || countRows(t, s) != 101 {
		t.Errorf("after a compaction: %d rows, range tombstones\n%s", countRows(t, s), got)
	}
}

func describeRanges(s *pebbleStore) (text string) {
	s.ranges.Load().each(Span{}, func(f rangeFragment) bool {
		text += fmt.Sprintf("%q %v\n", f.span, f.marks)
		return true
	})
	return text
}

// A snapshot carries range tombstones, and both kinds of store read them.
func TestSnapshotCarriesRanges(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	fillFlat(t, s, "p", 200, 10)
	must(t, s.PutAt(ctx, []byte("p000007"), []byte("v"), 11, 15))
	_, err := s.Stage(ctx, []Commit{{TS: 20, Deleted: []Span{{Start: []byte("p0001")}}}})
	must(t, err)
	must(t, s.DeletePrefixAt(ctx, []byte("p"), nil, 30))
	image, err := s.Snapshot()
	must(t, err)
	var stream bytes.Buffer
	_, err = image.WriteTo(&stream)
	must(t, err)
	must(t, image.Close())
	for name, other := range map[string]MVCCStore{"memory": NewMVCCStore(), "pebble": openTest(t, "db", WithFS(vfs.NewMem()))} {
		must(t, other.Restore(bytes.NewReader(stream.Bytes())))
		for i := range 200 {
			key := fmt.Appendf(nil, "p%06d", i)
			for _, ts := range []uint64{10, 11, 19, 20, 29, 30, math.MaxUint64} {
				want, wantOK, err := s.VersionAt(ctx, key, ts)
				must(t, err)
				got, ok, err := other.(Engine).VersionAt(ctx, key, ts)
				must(t, err)
				if ok != wantOK || !sameVersion(got, want) {
					t.Fatalf("%s: %q at %d: got %+v, want %+v", name, key, ts, got, want)
				}
			}
		}
	}
}

// A read of many keys sees a range tombstone and what came with it, or neither.
func TestWalksSeeRangesWhole(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	const keys = 100
	fillFlat(t, s, "p", keys, 1)
	written := make(chan error, 1)
	go func() {
		defer close(written)
		for ts := uint64(2); ts < 1500; ts++ { // walks take the longer the more rows there are
			c := Commit{TS: ts, Deleted: []Span{PrefixSpan([]byte("p"))}}
			for i := range keys {
				c.Mutations = append(c.Mutations, &KVPairMutation{Key: fmt.Appendf(nil, "p%d-%06d", ts%2, i)})
			}
			if _, err := s.Stage(ctx, []Commit{c}); err != nil {
				written <- err
				return
			}
		}
	}()
	for {
		select {
		case err := <-written:
			must(t, err)
			return
		default:
		}
		n := 0
		must(t, s.WalkAt(ctx, PrefixSpan([]byte("p")), Ascending, maxTS, func([]byte, VersionedValue) bool { n++; return true }))
		if n != keys {
			t.Fatalf("a walk has met %d keys, want %d", n, keys)
		}
	}
}
