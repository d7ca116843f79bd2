package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// walked returns what a walk shows, each row as key=value@timestamp, and at most limit of them.
func walked(t rapid.TB, e Engine, span Span, order Order, ts uint64, limit int) (rows []string) {
	t.Helper()
	err := e.WalkAt(context.Background(), span, order, ts, func(key []byte, v VersionedValue) bool {
		rows = append(rows, fmt.Sprintf("%s=%s@%d", key, v.Value, v.TS))
		return len(rows) < limit
	})
	if err != nil {
		t.Fatalf("a walk over %q at %d, with a floor of %d: %v", span, ts, e.MinRetainedTS(), err)
	}
	return rows
}

// checkPages verifies what is said of pages.
func checkPages(t rapid.TB, p *pages) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var last *page
	n, size := 0, 0
	p.tree.Scan(func(at pageAt) bool {
		got := at.page
		if !bytes.Equal(at.start, got.start) || got.gone || got.span().empty() {
			t.Fatalf("page %q is in the tree as %q, gone: %v", got.span(), at.start, got.gone)
		}
		if last != nil && (last.end == nil || bytes.Compare(got.start, last.end) < 0) {
			t.Fatalf("page %q begins before %q ends", got.span(), last.span())
		}
		if got.now.rows.len() > p.most {
			t.Fatalf("page %q has %d rows", got.span(), got.now.rows.len())
		}
		for m := got.now; m != nil; m = m.older {
			if m.since > m.from || m.older != nil && m.older.from >= m.since {
				t.Fatalf("page %q: a moment from %d to %d is not behind the one before", got.span(), m.since, m.from)
			}
		}
		n, size, last = n+1, size+got.size, got
		return true
	})
	if busy := int(p.busy.Load()); busy != n+len(p.captures) || int(p.bytes.Load()) != size || len(p.captures) > 0 {
		t.Fatalf("%d pages of %d bytes, %d captures; counted are %d and %d bytes", n, size, len(p.captures), busy, p.bytes.Load())
	}
}

// TestPagesModel writes and walks at random, once with pages and once without.
func TestPagesModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		open := func(opts ...PebbleStoreOption) *pebbleStore {
			s, err := NewPebbleStore("db", append(opts, WithFS(vfs.NewMem()), WithCacheSize(1<<20))...)
			if err != nil {
				rt.Fatal(err)
			}
			return s.(*pebbleStore)
		}
		with, without := open(WithEagerPages(), WithEagerRanges()), open(WithVersionCacheSize(-1))
		defer func() { must(t, with.Close()); must(t, without.Close()) }()
		key := func(i int) []byte { return fmt.Appendf(nil, "k%03d", i) }
		const keys = 60
		ts, floor := uint64(1), uint64(0)
		ctx := context.Background()
		both := func(do func(s *pebbleStore) error) { must(t, do(with)); must(t, do(without)) }
		for range 150 {
			switch r.IntN(12) {
			case 0:
				from := r.IntN(keys)
				span := Span{key(from), key(from + 1 + r.IntN(8))}
				ts++
				both(func(s *pebbleStore) error { return stageWait(s, Commit{TS: ts, Deleted: []Span{span}}) })
			case 1:
				if r.IntN(4) == 0 {
					floor = max(floor, ts-min(ts, uint64(r.IntN(4))))
					both(func(s *pebbleStore) error { return s.Compact(ctx, floor) })
				}
			case 2, 3, 4, 5:
				var commits []Commit
				for range 1 + r.IntN(3) {
					ts += uint64(1 + r.IntN(2))
					c := Commit{TS: ts}
					for range 1 + r.IntN(4) {
						m := &KVPairMutation{Key: key(r.IntN(keys)), Value: strconv.AppendUint(nil, ts, 10)}
						if r.IntN(3) == 0 {
							m = &KVPairMutation{Op: OpTypeDelete, Key: m.Key}
						}
						c.Mutations = append(c.Mutations, m)
					}
					commits = append(commits, c)
				}
				both(func(s *pebbleStore) error { return stageWait(s, commits...) })
			case 6:
				late := max(floor+1, ts-min(ts-1, uint64(r.IntN(5))))
				k := key(r.IntN(keys))
				both(func(s *pebbleStore) error { return s.PutAt(ctx, k, []byte("late"), late, 0) })
				ts = max(ts, late)
			default:
				span := Span{Start: key(r.IntN(keys))}
				if r.IntN(3) == 0 {
					span.Start = nil
				}
				if r.IntN(3) > 0 {
					span.End = key(r.IntN(keys + 1))
				}
				at, limit, order := ts, 1+r.IntN(keys), Order(r.IntN(2) == 0)
				if r.IntN(3) == 0 {
					at = max(floor, ts-min(ts, uint64(r.IntN(6))))
				}
				got, want := walked(rt, with, span, order, at, limit), walked(rt, without, span, order, at, limit)
				if !slices.Equal(got, want) {
					rt.Fatalf("walk over %q at %d of %d, descending %v, at most %d rows:\n%q, want\n%q", span, at, ts, order, limit, got, want)
				}
			}
			checkPages(rt, &with.pages)
		}
	})
}

func stageWait(s *pebbleStore, commits ...Commit) error {
	staged, err := s.Stage(context.Background(), commits)
	if err != nil {
		return err
	}
	return staged.Wait()
}

// TestPagesConcurrently moves amounts between accounts while walks add them up: they see all of a
// transaction or nothing.
func TestPagesConcurrently(t *testing.T) {
	const accounts, each, transfers = 40, 100, 1500
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerPages())
	key := func(i int) []byte { return fmt.Appendf(nil, "a%03d", i) }
	var have [accounts]int
	first := Commit{TS: 1}
	for i := range have {
		have[i] = each
		first.Mutations = append(first.Mutations, &KVPairMutation{Key: key(i), Value: strconv.AppendInt(nil, each, 10)})
	}
	must(t, stageWait(s, first))
	done, stop := context.WithCancel(context.Background())
	var walkers sync.WaitGroup
	for n := range 3 {
		walkers.Go(func() {
			order := Order(n%2 == 0)
			for done.Err() == nil && !t.Failed() {
				ts, sum := s.LastCommitTS(), 0
				err := s.WalkAt(context.Background(), Span{Start: key(0), End: key(accounts)}, order, ts, func(_ []byte, v VersionedValue) bool {
					n, err := strconv.Atoi(string(v.Value))
					if err != nil || v.TS > ts {
						t.Errorf("a walk at %d finds %q of %d", ts, v.Value, v.TS)
					}
					sum += n
					return true
				})
				if err != nil || sum != accounts*each {
					t.Errorf("a walk at %d adds up to %d, want %d (%v)", ts, sum, accounts*each, err)
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range transfers {
		a, b, amount := r.IntN(accounts), r.IntN(accounts), r.IntN(50)
		if a == b {
			continue
		}
		have[a], have[b] = have[a]-amount, have[b]+amount
		c := Commit{TS: uint64(i + 2)}
		for _, i := range []int{a, b} {
			m := &KVPairMutation{Key: key(i), Value: strconv.AppendInt(nil, int64(have[i]), 10)}
			if have[i] == 0 {
				m = &KVPairMutation{Op: OpTypeDelete, Key: key(i)}
			}
			c.Mutations = append(c.Mutations, m)
		}
		must(t, stageWait(s, c))
		if i%20 == 0 { // while nothing is written, so that there are pages
			walked(t, s, Span{Start: key(0), End: key(accounts)}, Ascending, s.LastCommitTS(), accounts)
		}
	}
	stop()
	walkers.Wait()
	if s.pages.walks.Load() == 0 {
		t.Error("no walk found a page")
	}
}

// TestPagesServe walks the same span again and again: from the third time on without the engine. A write changes the page, and what walks
// see from its timestamp on; those of before see what was there.
func TestPagesServe(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	put := func(key, value string, ts uint64) {
		t.Helper()
		must(t, s.PutAt(context.Background(), []byte(key), []byte(value), ts, 0))
	}
	want := func(ts uint64, limit int, order Order, rows ...string) {
		t.Helper()
		if got := walked(t, s, PrefixSpan([]byte("h")), order, ts, limit); !slices.Equal(got, rows) {
			t.Fatalf("a walk at %d finds %q, want %q", ts, got, rows)
		}
	}
	put("g", "", 1)
	put("h1", "a", 2)
	put("h2", "b", 3)
	put("i", "", 4)
	for range 3 {
		want(4, 9, Ascending, "h1=a@2", "h2=b@3")
	}
	if n := s.pages.walks.Load(); n != 1 {
		t.Errorf("%d of three walks found a page, want the last one", n)
	}
	want(4, 9, Descending, "h2=b@3", "h1=a@2")
	want(4, 1, Descending, "h2=b@3")
	put("h15", "c", 5)
	must(t, s.DeleteAt(context.Background(), []byte("h2"), 6))
	want(6, 9, Ascending, "h1=a@2", "h15=c@5")
	want(5, 9, Ascending, "h1=a@2", "h15=c@5", "h2=b@3")
	want(4, 9, Ascending, "h1=a@2", "h2=b@3")
	if n := s.pages.walks.Load(); n < 4 {
		t.Errorf("%d walks found a page", n)
	}
	before := s.pages.walks.Load()
	must(t, s.DeletePrefixAt(context.Background(), []byte("h"), nil, 7))
	want(7, 9, Ascending)
	want(6, 9, Ascending, "h1=a@2", "h15=c@5")
	want(7, 9, Ascending)
	if s.pages.walks.Load() == before {
		t.Error("no walk after the deletion found a page")
	}
	checkPages(t, &s.pages)
}

// TestPagesAreNotKeptUnread writes to pages that nobody walks.
func TestPagesAreNotKeptUnread(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	ts := uint64(0)
	put := func(i int) {
		ts++
		must(t, s.PutAt(context.Background(), fmt.Appendf(nil, "z%04d", i), nil, ts, 0))
	}
	for i := range 1000 {
		put(2 * i)
	}
	for range 2 {
		walked(t, s, PrefixSpan([]byte("z")), Ascending, ts, 1000)
	}
	if n := s.pages.busy.Load(); n < 1000/pageRowsMost {
		t.Fatalf("the walks left %d pages behind", n)
	}
	for i := range 1000 {
		put(2*i + 1)
	}
	if n := s.pages.busy.Load(); n > 1 {
		t.Errorf("%d pages are left after a thousand writes", n)
	}
	checkPages(t, &s.pages)
}

// TestPagesOutliveAFill walks behind each write, then writes as often without a walk, as a queue is filled that is then taken from: the
// pages are still there, also those that they were divided into. They are not for ever.
func TestPagesOutliveAFill(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	ts, all := uint64(0), PrefixSpan([]byte("z"))
	put := func(n int) {
		for range n {
			ts++
			must(t, s.PutAt(context.Background(), fmt.Appendf(nil, "z%04d", ts*7919%10000), nil, ts, 0))
		}
	}
	const turns = pageRowsMost
	for range turns {
		put(1)
		walked(t, s, all, Ascending, ts, 10000)
	}
	put(turns / 2)
	before := s.pages.walks.Load()
	if rows := walked(t, s, all, Ascending, ts, 10000); len(rows) != turns*3/2 || s.pages.walks.Load() == before || s.pages.busy.Load() < 2 {
		t.Errorf("%d rows, %d pages; has a walk found one: %v", len(rows), s.pages.busy.Load(), s.pages.walks.Load() > before)
	}
	checkPages(t, &s.pages)
	put(1000)
	put(1000)
	if n := s.pages.busy.Load(); n > 2 {
		t.Errorf("%d pages are left after two thousand writes", n)
	}
	checkPages(t, &s.pages)
}

// TestPagesWithinBounds walks more than there is room for. The version cache gives way.
func TestPagesWithinBounds(t *testing.T) {
	const size = 256 << 10
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(size))
	value := make([]byte, 100)
	for i := range 3000 {
		must(t, s.PutAt(context.Background(), fmt.Appendf(nil, "z%04d", i), value, uint64(i+1), 0))
	}
	for range 3 {
		for i := range 3000 {
			if i%10 == 0 {
				walked(t, s, PrefixSpan(fmt.Appendf(nil, "z%03d", i/10)), Ascending, 3000, 10)
			}
			if _, err := s.GetAt(context.Background(), fmt.Appendf(nil, "z%04d", i), 3000); err != nil {
				t.Fatal(err)
			}
		}
	}
	pages, versions := s.pages.bytes.Load(), s.versions.stats().Bytes
	if pages > size/pagesShare || pages < size/pagesShare/2 {
		t.Errorf("pages take %d bytes, of a bound of %d", pages, size/pagesShare)
	}
	if pages+versions > size*9/8 {
		t.Errorf("pages take %d bytes and versions %d, together more than %d", pages, versions, size)
	}
	checkPages(t, &s.pages)
}

// TestPagesMissNothing writes to a span while it is walked.
func TestPagesMissNothing(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerPages())
	ctx, span := context.Background(), PrefixSpan([]byte("h"))
	must(t, s.PutAt(ctx, []byte("h1"), nil, 1, 0))
	must(t, s.PutAt(ctx, []byte("h3"), nil, 2, 0))
	for _, write := range []func(ts uint64) error{
		func(ts uint64) error { return s.PutAt(ctx, []byte("h2"), nil, ts, 0) },
		func(ts uint64) error { return s.DeleteAt(ctx, []byte("h2"), ts) },
		func(ts uint64) error { return s.PutAt(ctx, []byte("h4"), nil, ts, 0) },
		func(ts uint64) error { return s.DeletePrefixAt(ctx, []byte("h4"), nil, ts) },
	} {
		s.pages.suspend() // so that the walk opens a view of the engine
		s.pages.resume()
		ts := s.LastCommitTS()
		must(t, s.WalkAt(ctx, span, Ascending, ts, func(key []byte, _ VersionedValue) bool {
			if string(key) == "h1" {
				must(t, write(ts+1))
			}
			return true
		}))
		s.pages.suspend()
		want := walked(t, s, span, Ascending, ts+1, 9)
		s.pages.resume()
		if got := walked(t, s, span, Ascending, ts+1, 9); !slices.Equal(got, want) {
			t.Fatalf("a walk behind the write of %d finds %q, want %q", ts+1, got, want)
		}
	}
}

// TestPagesShowOneMoment commits to a page and beside it while a walk is between the two.
func TestPagesShowOneMoment(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerPages())
	ctx := context.Background()
	set := func(ts uint64, value string) {
		t.Helper()
		must(t, stageWait(s, Commit{TS: ts, Mutations: []*KVPairMutation{{Key: []byte("a"), Value: []byte(value)}, {Key: []byte("b"), Value: []byte(value)}}}))
	}
	set(1, "old")
	for _, at := range []uint64{1, 5, maxTS} {
		s.pages.suspend()
		s.pages.resume()
		walked(t, s, PrefixSpan([]byte("a")), Ascending, s.LastCommitTS(), 9)
		ts := s.LastCommitTS()
		var values []string
		must(t, s.WalkAt(ctx, Span{Start: []byte("a"), End: []byte("c")}, Ascending, max(at, ts), func(key []byte, v VersionedValue) bool {
			if string(key) == "a" {
				set(ts+1, strconv.FormatUint(at, 10))
			}
			values = append(values, string(v.Value))
			return true
		}))
		if len(values) != 2 || values[0] != values[1] {
			t.Errorf("a walk at %d finds %q, of two moments", at, values)
		}
	}
}

// TestPagesWaitForABatch asks while a batch is being applied: pages may not have it yet, when the engine does.
func TestPagesWaitForABatch(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerPages())
	must(t, s.PutAt(context.Background(), []byte("a"), nil, 1, 0))
	must(t, s.PutAt(context.Background(), []byte("b"), nil, 5, 0))
	for _, c := range []struct {
		low  uint64
		page bool
	}{{0, true}, {6, true}, {5, false}, {3, false}} {
		walked(t, s, Span{}, Ascending, 5, 9)
		before := s.pages.walks.Load()
		s.inFlight.Store(c.low)
		walked(t, s, Span{}, Ascending, 5, 9)
		s.inFlight.Store(0)
		if used := s.pages.walks.Load() > before; used != c.page {
			t.Errorf("with a batch of %d and above in flight a walk at 5 uses a page: %v", c.low, used)
		}
	}
}

// TestPagesForgetWhatIsCompacted has rows of a page compacted away, because they have expired.
func TestPagesForgetWhatIsCompacted(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerPages())
	ctx := context.Background()
	must(t, s.PutAt(ctx, []byte("a"), []byte("x"), 1, 3))
	must(t, s.PutAt(ctx, []byte("b"), []byte("y"), 9, 0))
	if got := walked(t, s, Span{}, Ascending, 9, 9); len(got) != 2 {
		t.Fatalf("before: %q", got)
	}
	must(t, s.Compact(ctx, 8))
	if got, want := walked(t, s, Span{}, Ascending, 9, 9), []string{"b=y@9"}; !slices.Equal(got, want) {
		t.Errorf("after the row has expired and been compacted away a walk finds %q, want %q", got, want)
	}
}

// TestPagesJoin walks up to an end, and from a start, that moves on a little each time.
func TestPagesJoin(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	key := func(i int) []byte { return fmt.Appendf(nil, "z%04d", i) }
	const n = 500
	for i := range n {
		if i%5 == 0 {
			must(t, s.PutAt(context.Background(), key(i), nil, uint64(i+1), 0))
		}
	}
	for i := range n {
		walked(t, s, Span{key(0), key(i)}, Ascending, s.LastCommitTS(), n)
		walked(t, s, Span{key(n - i), key(n)}, Descending, s.LastCommitTS(), n)
		if got := s.pages.busy.Load(); got > 2*n/5/(pageRowsMost/2) {
			t.Fatalf("%d walks have left %d pages", i+1, got)
		}
	}
	checkPages(t, &s.pages)
}

// A prefix of many keys is deleted by a range tombstone and not key by key, and no page shows them afterwards.
func TestPagesOfADeletedPrefix(t *testing.T) {
	const keys = 10 * defaultTombstonesMost
	for name, deletes := range map[string]func(s *pebbleStore, ts uint64) error{
		"DeletePrefixAt": func(s *pebbleStore, ts uint64) error {
			return s.DeletePrefixAt(context.Background(), []byte("a"), []byte("a9"), ts)
		},
		"Stage": func(s *pebbleStore, ts uint64) error {
			return stageAndWait(s, Commit{TS: ts, Deleted: []Span{{Start: []byte("a"), End: []byte("a9")}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerPages(), WithVersionCacheSize(64<<20))
			s.pages.limit = 1 << 20 // all pages stay
			for i := range uint64(keys) {
				must(t, s.PutAt(context.Background(), fmt.Appendf(nil, "a%d", i), []byte("v"), 1+i, 0))
			}
			must(t, s.PutAt(context.Background(), []byte("b"), []byte("v"), keys+1, 0))
			for _, order := range []Order{Ascending, Descending} {
				walked(t, s, Span{}, order, keys+1, keys+1)
			}
			if got := s.pages.stats().Count; got == 0 {
				t.Fatal("walks have left no pages")
			}
			must(t, deletes(s, keys+2))
			if n := s.ranges.Load().len(); n == 0 {
				t.Fatal("nothing was deleted by a range tombstone")
			}
			for _, order := range []Order{Ascending, Descending} {
				for _, row := range walked(t, s, Span{}, order, keys+2, keys+1) {
					if row[0] == 'a' && row[1] != '9' {
						t.Errorf("%v walk shows %s, which is deleted", order, row)
					}
				}
			}
			checkPages(t, &s.pages)
		})
	}
}
