package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// rowsPassed returns how many rows a walk over span has looked at, and the keys
// it has shown.
func rowsPassed(t rapid.TB, s *pebbleStore, span Span, order Order, ts uint64, limit int) (int, []string) {
	var keys []string
	w := scanner{s: s, ctx: context.Background(), ts: ts, fn: func(key []byte, _ VersionedValue) bool {
		keys = append(keys, string(key))
		return len(keys) < limit
	}}
	if err := w.walk(span, order); err != nil {
		t.Fatal(err)
	}
	return w.passed, keys
}

// TestQueueCost takes from one end of a queue and adds at the other: finding the
// next element must not cost more the more have been taken.
func TestQueueCost(t *testing.T) {
	for _, order := range []Order{Ascending, Descending} {
		s := openTest(t, "db", WithFS(vfs.NewMem()))
		ctx := context.Background()
		key := func(i int) []byte {
			if order == Descending {
				i = 1_000_000 - i
			}
			return fmt.Appendf(nil, "q%07d", i)
		}
		ts := uint64(0)
		for i := range 3000 {
			ts++
			must(t, s.ApplyMutations(ctx, []*KVPairMutation{{Key: key(i)}}, nil, maxTS, ts))
		}
		span := PrefixSpan([]byte("q"))
		worst := 0
		for i := range 2000 {
			rows, keys := rowsPassed(t, s, span, order, ts, 1)
			if len(keys) != 1 || keys[0] != string(key(i)) {
				t.Fatalf("found %q, want %q", keys, key(i))
			}
			if i > gapRowsLeast {
				worst = max(worst, rows)
			}
			ts++
			must(t, s.ApplyMutations(ctx, []*KVPairMutation{{Op: OpTypeDelete, Key: key(i)}, {Key: key(3000 + i)}}, nil, maxTS, ts))
		}
		if worst > 8 {
			t.Errorf("descending %v: a walk to the next element passed %d rows", order, worst)
		}
		rows, keys := rowsPassed(t, s, span, order, 1000, 1)
		if len(keys) != 1 || keys[0] != string(key(0)) {
			t.Errorf("a read of the past found %q in %d rows, want the first element", keys, rows)
		}
		// A put into the gap is found at once.
		ts++
		must(t, s.PutAt(ctx, key(500), nil, ts, 0))
		if _, keys := rowsPassed(t, s, span, order, ts, 1); len(keys) != 1 || keys[0] != string(key(500)) {
			t.Errorf("after a put into the gap: %q, want %q", keys, key(500))
		}
		ts++
		must(t, s.DeleteAt(ctx, key(500), ts))
		rowsPassed(t, s, span, order, ts, 1)
		if rows, _ := rowsPassed(t, s, span, order, ts, 1); rows > 8 {
			t.Errorf("after the put's deletion a walk passed %d rows", rows)
		}
	}
}

// TestQueueConcurrent takes the first element again and again while others add
// elements anywhere, also among those that were taken.
func TestQueueConcurrent(t *testing.T) {
	const producers, each = 4, 300
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerGaps())
	ctx := context.Background()
	var ts atomic.Uint64
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				key := fmt.Appendf(nil, "q%03d-%d", (i*37+p*11)%each, p)
				if err := s.PutAt(ctx, key, nil, ts.Add(1), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	taken := map[string]bool{}
	for last := false; ; {
		select {
		case <-done:
			last = true
		default:
		}
		_, keys := rowsPassed(t, s, PrefixSpan([]byte("q")), Ascending, ts.Load(), 1)
		if len(keys) == 0 {
			if last {
				break
			}
			continue
		}
		if taken[keys[0]] {
			t.Fatalf("%q is taken twice", keys[0])
		}
		taken[keys[0]] = true
		must(t, s.DeleteAt(ctx, []byte(keys[0]), ts.Add(1)))
	}
	if len(taken) != producers*each {
		t.Errorf("%d elements were taken, want %d", len(taken), producers*each)
	}
}

// TestGapsModel plays random runs and puts against a plain list of facts: a gap
// must never cover a key that was put after the run that found it.
func TestGapsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var g gaps
		g.init()
		g.rowsLeast = 1
		var dead [40]uint64 // timestamp from which on a key is known dead; 0: it is not
		name := func(i int) []byte { return fmt.Appendf(nil, "%02d", i) }
		ts := uint64(1)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			ts++
			from := rapid.IntRange(0, len(dead)-1).Draw(rt, "from")
			to := rapid.IntRange(from+1, len(dead)).Draw(rt, "to")
			switch rapid.IntRange(0, 2).Draw(rt, "op") {
			case 0:
				durable := uint64(rapid.IntRange(0, int(ts)).Draw(rt, "durable"))
				g.add(run{start: name(from), end: name(to), ts: ts, noted: g.begin(), durable: durable, long: true})
				for i := from; i < to; i++ {
					if dead[i] == 0 {
						dead[i] = ts
					}
				}
			case 1:
				g.note([]Commit{{Mutations: []*KVPairMutation{{Key: name(from)}}}})
				dead[from] = 0
			case 2:
				at := uint64(rapid.IntRange(1, int(ts)+1).Draw(rt, "at"))
				span, ok := g.over(name(from), at)
				for i := range dead {
					in := ok && string(name(i)) >= string(span.Start) && string(name(i)) < string(span.End)
					if in && (dead[i] == 0 || dead[i] > at) {
						rt.Fatalf("a walk at %d leaves out [%s, %s), but %s is dead only from %d on (0: not at all)",
							at, span.Start, span.End, name(i), dead[i])
					}
				}
			}
			checkGaps(rt, &g)
		}
	})
}

// checkGaps verifies what is said of the tree.
func checkGaps(rt *rapid.T, g *gaps) {
	n, last := 0, []byte(nil)
	g.tree.Scan(func(item *gap) bool {
		n++
		if last != nil && string(item.start) < string(last) {
			rt.Fatalf("gap %s begins before %s, the end of the one before", item.start, last)
		}
		if !slices.IsSortedFunc(item.ends[:], func(a, b gapEnd) int { return slices.Compare(a.key, b.key) }) ||
			!slices.IsSortedFunc(item.ends[:], func(a, b gapEnd) int { return int(int64(a.ts) - int64(b.ts)) }) {
			rt.Fatalf("the ends of gap %s do not rise: %v", item.start, item.ends)
		}
		if last = item.last().key; string(item.start) >= string(last) {
			rt.Fatalf("gap %s ends at %s", item.start, last)
		}
		return true
	})
	if int64(n) != g.count.Load() {
		rt.Fatalf("%d gaps are counted, %d are there", g.count.Load(), n)
	}
}

// TestGapsRefuseRunsWithPuts walks while puts come in.
func TestGapsRefuseRunsWithPuts(t *testing.T) {
	var g gaps
	g.init()
	before := g.begin()
	put := func(key string) { g.note([]Commit{{Mutations: []*KVPairMutation{{Key: []byte(key)}}}}) }
	put("m")
	add := func(start, end string, noted uint64) bool {
		g.add(run{start: []byte(start), end: []byte(end), ts: 5, noted: noted, long: true})
		_, ok := g.over([]byte(start), 5)
		return ok
	}
	if add("l", "n", before) {
		t.Error("a run is kept although a key of it was put during the walk")
	}
	if !add("a", "c", before) {
		t.Error("a run is not kept although no key of it was put")
	}
	for range gapPutsKept {
		put("z")
	}
	if add("e", "f", before) {
		t.Error("a run is kept although nobody knows what was put during the walk")
	}
	g.suspend()
	if add("a", "c", g.begin()) {
		t.Error("a run is kept while everything is being replaced")
	}
	before = g.begin()
	g.resume()
	if add("a", "c", before) {
		t.Error("a run of what has been replaced is kept")
	}
}
