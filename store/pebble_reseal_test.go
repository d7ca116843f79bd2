package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
)

// resealer is a sealer whose floor moves, as keys come and go.
type resealer struct {
	*sealer
	active        atomic.Uint32 // key; 0: what is written is clear
	written, read atomic.Uint32
}

func newResealer(t testing.TB) *resealer {
	s := newSealer(t)
	s.cipher = sealTestCipher(t, 1, 2, 3)
	return &resealer{sealer: s}
}

func (r *resealer) options() []PebbleStoreOption {
	return []PebbleStoreOption{
		WithEncryption(r.cipher, r.nonces, func() (uint32, bool) { id := r.active.Load(); return id, id != 0 }),
		WithSealFloor(func() (uint32, uint32) { return r.written.Load(), r.read.Load() }),
		WithVersionCacheSize(-1),
	}
}

// rotate makes key the active one, and all lower ones such that are to go.
func (r *resealer) rotate(key, below uint32) {
	r.active.Store(key)
	r.written.Store(below)
}

// reseal has rows sealed again that are below the floor of writes, and then raises that of reads.
func (r *resealer) reseal(t testing.TB, s *pebbleStore) {
	t.Helper()
	below := r.written.Load()
	must(t, s.Reseal(context.Background(), ResealOptions{Below: below}))
	r.read.Store(below)
}

// rowKeys counts the rows under each key; 0 is clear. Range tombstones are rows too.
func rowKeys(t testing.TB, s *pebbleStore) map[uint32]int {
	t.Helper()
	count := map[uint32]int{}
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: appendKeyBound(nil, nil), UpperBound: resealEnd()})
	must(t, err)
	for ok := iter.First(); ok; ok = iter.Next() {
		row := iter.Value()
		id := uint32(0)
		if valueSealed(row) {
			e, err := encryption.ParseEnvelope(row[valueHeaderSizeOf(row[0]):])
			must(t, err)
			id = e.KeyID
		}
		count[id]++
	}
	must(t, firstError(iter.Error(), iter.Close()))
	return count
}

// fillMixed writes rows of every kind, with history and deletions of spans.
func fillMixed(t testing.TB, s *pebbleStore, base uint64) {
	t.Helper()
	ctx := context.Background()
	for i := range 150 {
		ts := base + uint64(i)
		must(t, s.PutAt(ctx, fmt.Appendf(nil, "k%03d", i%60), bytes.Repeat([]byte{byte(i)}, i*7), ts, 0))
	}
	must(t, s.PutAt(ctx, []byte("expires"), []byte("soon"), base+200, base+5000))
	must(t, s.DeleteAt(ctx, []byte("k001"), base+201))
	must(t, s.DeletePrefixAt(ctx, []byte("k00"), nil, base+202))
	must(t, s.DeletePrefixAt(ctx, []byte("k05"), []byte("k059"), base+203))
	must(t, s.PutAt(ctx, []byte("k003"), []byte("again"), base+204, 0))
}

// A clear folder is sealed while it is in use, rotated, and rid of old keys; it answers the same
// all the time.
func TestReseal(t *testing.T) {
	ctx := context.Background()
	r, mem := newResealer(t), vfs.NewMem()
	open := func(opts ...PebbleStoreOption) *pebbleStore {
		return openTest(t, "db", append(opts, WithFS(mem), WithEagerRanges())...)
	}
	s := open()
	fillMixed(t, s, 1000)
	must(t, s.db.Flush())
	fillMixed(t, s, 2000)
	want := describe(t, s)
	must(t, s.Close())

	s = open(r.options()...)
	must(t, s.KeepSealed())
	must(t, s.KeepSealed())
	r.rotate(1, 1)
	if got := rowKeys(t, s); len(got) != 1 || got[0] < 300 {
		t.Fatalf("before: %v", got)
	}
	before, err := s.Snapshot()
	must(t, err)
	if s.LowestKeyInUse() != 0 {
		t.Errorf("in use from key %d", s.LowestKeyInUse())
	}
	r.reseal(t, s)
	if got := rowKeys(t, s); len(got) != 1 || got[1] < 300 {
		t.Errorf("sealed: %v", got)
	}
	if s.LowestKeyInUse() != 0 {
		t.Error("the open snapshot is forgotten")
	}
	// What has begun to read reads on, and sees clear rows where they were.
	_, err = before.WriteTo(&bytes.Buffer{})
	must(t, firstError(err, before.Close()))
	if s.LowestKeyInUse() != math.MaxUint32 {
		t.Errorf("in use from key %d", s.LowestKeyInUse())
	}
	if got := describe(t, s); got != want {
		t.Errorf("sealed: got\n%s\nwant\n%s", got, want)
	}
	st := s.Stats().Reseal
	if st.Running || st.Below != 1 || st.Passes != 1 || st.Failure != nil || st.Pass.Sealed < 300 || st.Pass.Rows < st.Pass.Sealed || st.Pass.Bytes == 0 || st.Left != 0 {
		t.Errorf("stats: %+v", st)
	}

	r.rotate(3, 3)
	r.reseal(t, s)
	if got := rowKeys(t, s); len(got) != 1 || got[3] < 300 {
		t.Errorf("rotated: %v", got)
	}
	r.cipher.RemoveKey(1)
	must(t, s.Close())
	if _, err := NewPebbleStore("db", WithFS(mem)); !errors.Is(err, ErrValueSealed) || errors.Is(err, ErrDamagedFolder) {
		t.Errorf("opened without a cipher: %v", err)
	}
	s = open(r.options()...)
	if got := describe(t, s); got != want {
		t.Errorf("rotated: got\n%s\nwant\n%s", got, want)
	}
	must(t, s.Compact(ctx, 2100))
	if got := rowKeys(t, s); len(got) != 1 {
		t.Errorf("compacted: %v", got)
	}
}

// Once every row is sealed, a clear one was planted, and so was one under a key that has gone.
func TestPlantedRows(t *testing.T) {
	ctx := context.Background()
	r := newResealer(t)
	s := openTest(t, "db", append(r.options(), WithFS(vfs.NewMem()))...)
	r.rotate(1, 1)
	must(t, s.PutAt(ctx, []byte("k"), []byte("one"), 10, 0))
	old := engineRows(t, s)[0]
	r.rotate(2, 2)
	r.reseal(t, s)
	wantValue(t, s, "k", 10, "one")
	setRow(t, s, old.key, old.value)
	wantCaught(t, s, "a row as it was before the rotation", old.key)
	for _, row := range [][]byte{{0, 'x'}, {0}, {valueFlagTombstone}, {valueFlagExpiry, 0, 0, 0, 0, 0, 0, 0, 9, 'x'}} {
		setRow(t, s, old.key, row)
		wantCaught(t, s, fmt.Sprintf("a clear row %x", row), old.key)
	}
	if err := s.Reseal(ctx, ResealOptions{Below: 2}); !errors.Is(err, ErrEncryptedReadIntegrity) {
		t.Errorf("sealed what was planted: %v", err)
	}
	if st := s.Stats().Reseal; !errors.Is(st.Failure, ErrEncryptedReadIntegrity) {
		t.Errorf("stats: %+v", st)
	}
	// A clear range tombstone keeps the folder shut.
	deleteRow(t, s, old.key)
	setRow(t, s, appendRangeKey(nil, rangeTombstone{span: Span{Start: []byte("a")}, ts: 5}), []byte{valueFlagTombstone})
	must(t, s.db.Flush())
	must(t, s.Close())
	if _, err := NewPebbleStore("db", append(r.options(), WithFS(s.fs))...); !errors.Is(err, ErrEncryptedReadIntegrity) {
		t.Errorf("opened with a clear range tombstone: %v", err)
	}
}

// A write that was encoded before a key went out of use takes effect under the one that is in
// use then, on every path.
func TestWritesFollowTheFloor(t *testing.T) {
	ctx := context.Background()
	r := newResealer(t)
	// The first answer to each write is an old one.
	stale := true
	active := func() (uint32, bool) {
		if stale = !stale; !stale {
			return 1, true
		}
		return 2, true
	}
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerRanges(), WithEncryption(r.cipher, r.nonces, active),
		WithSealFloor(func() (uint32, uint32) { return 2, 0 }))
	check := func(what string, err error) {
		t.Helper()
		must(t, err)
		if got := rowKeys(t, s); got[2] == 0 || len(got) != 1 {
			t.Errorf("%s: rows under %v", what, got)
		}
		stale = true
	}
	check("PutAt", s.PutAt(ctx, []byte("a1"), []byte("v"), 10, 0))
	check("ExpireAt", s.ExpireAt(ctx, []byte("a1"), 90, 11))
	check("DeleteAt", s.DeleteAt(ctx, []byte("b"), 12))
	check("ApplyMutations", s.ApplyMutations(ctx, append(put("a1", "v"), put("a2", "w")...), nil, maxTS, 13))
	check("ApplyMutationsRaftAt", s.ApplyMutationsRaftAt(ctx, put("a3", "v"), nil, maxTS, 14, 1))
	check("DeletePrefixAt", s.DeletePrefixAt(ctx, []byte("a"), nil, 15))
	check("Stage", stageAndWait(s, Commit{TS: 16, Deleted: []Span{PrefixSpan([]byte("b"))}, Mutations: put("c", "v")}))
	check("late", s.PutAt(ctx, []byte("a1"), []byte("late"), 12, 0))
	wantValue(t, s, "c", 20, "v")
	if s.Stats().Ranges == 0 {
		t.Error("no range tombstone: the test is about less than it says")
	}
	r.written.Store(9)
	never := openTest(t, "db", append(r.options(), WithFS(vfs.NewMem()))...)
	r.active.Store(2)
	if err := never.PutAt(ctx, []byte("k"), nil, 1, 0); !errors.Is(err, errKeyTooOld) {
		t.Errorf("no key is new enough: %v", err)
	}
	r.active.Store(0)
	if err := never.PutAt(ctx, []byte("k"), nil, 1, 0); !errors.Is(err, errKeyTooOld) {
		t.Errorf("a clear write: %v", err)
	}
	if rows := engineRows(t, never); len(rows) != 0 {
		t.Errorf("%d rows", len(rows))
	}
	var image bytes.Buffer
	snapshot, err := s.Snapshot()
	must(t, err)
	_, err = snapshot.WriteTo(&image)
	must(t, firstError(err, snapshot.Close()))
	if err := never.Restore(&image); !errors.Is(err, errKeyTooOld) {
		t.Errorf("a clear restore: %v", err)
	}
}

// Reseal goes on where it was stopped, in this process or another one.
func TestResealResumes(t *testing.T) {
	r, mem := newResealer(t), vfs.NewMem()
	s := openTest(t, "db", append(r.options(), WithFS(mem))...)
	fillMixed(t, s, 1000)
	r.rotate(1, 1)
	total := uint64(0)
	for stops := 0; ; stops++ {
		ctx, cancel := context.WithCancel(context.Background())
		stop := func(context.Context, int) error { cancel(); return nil }
		err := s.Reseal(ctx, ResealOptions{Below: 1, Throttle: stop})
		cancel()
		total += s.Stats().Reseal.Pass.Sealed
		if err == nil {
			if stops < 2 {
				t.Errorf("stopped %d times only", stops)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || stops > 100 {
			t.Fatal(err)
		}
		must(t, s.Close())
		s = openTest(t, "db", append(r.options(), WithFS(mem))...)
	}
	rows := rowKeys(t, s)
	if len(rows) != 1 || total != uint64(rows[1]) {
		t.Errorf("%d rows sealed, of %v: some were sealed twice", total, rows)
	}
	failed := errors.New("throttled for good")
	must(t, s.PutAt(context.Background(), []byte("k"), nil, 9000, 0))
	r.rotate(2, 2)
	if err := s.Reseal(context.Background(), ResealOptions{Below: 2, Throttle: func(context.Context, int) error { return failed }}); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	for _, o := range []ResealOptions{{}, {Below: 3}} {
		if err := s.Reseal(context.Background(), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	if err := openMem(t).Reseal(context.Background(), ResealOptions{Below: 1}); !errors.Is(err, ErrNotSupported) {
		t.Errorf("without a cipher: %v", err)
	}
}

// Keys change and rows are sealed again while others write, delete, compact and restore.
func TestResealUnderWrites(t *testing.T) {
	ctx := context.Background()
	r := newResealer(t)
	s := openTest(t, "db", append(r.options(), WithFS(vfs.NewMem()), WithEagerRanges(), WithTinyTables())...)
	fillMixed(t, s, 1000)
	var clock atomic.Uint64
	clock.Store(10000)
	var wg sync.WaitGroup
	done := make(chan struct{})
	work := func(step func(ts uint64) error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := step(clock.Add(1)); err != nil && !errors.Is(err, errRestored) {
					t.Error(err)
					return
				}
			}
		})
	}
	for w := range 3 {
		work(func(ts uint64) error {
			return s.ApplyMutations(ctx, append(put(fmt.Sprintf("k%03d", ts%60), fmt.Sprint(w, ts)), put(fmt.Sprint("w", w), fmt.Sprint(ts))...), nil, maxTS, ts)
		})
	}
	work(func(ts uint64) error {
		if ts%5 == 0 {
			return s.DeletePrefixAt(ctx, fmt.Appendf(nil, "k%02d", ts%6), nil, ts)
		}
		return s.Compact(ctx, ts-min(ts, 500))
	})
	work(func(ts uint64) error {
		if ts%50 != 0 {
			return nil
		}
		var b bytes.Buffer
		image, err := s.Snapshot()
		if err == nil {
			_, err = image.WriteTo(&b)
			err = firstError(err, image.Close())
		}
		if err == nil {
			if err = s.Restore(&b); errors.Is(err, errKeyTooOld) {
				err = nil
			}
		}
		return err
	})
	for key := uint32(1); key <= 3; key++ {
		r.rotate(key, key)
		r.reseal(t, s)
		for id := range rowKeys(t, s) {
			if id < key {
				t.Errorf("rows under key %d after all below %d were sealed again", id, key)
			}
		}
	}
	close(done)
	wg.Wait()
	r.cipher.RemoveKey(1)
	r.cipher.RemoveKey(2)
	describe(t, s)
	must(t, s.Close())
	must(t, openTest(t, "db", append(r.options(), WithFS(s.fs))...).Close())
}

// A crash before any operation of a rotation leaves the rows as they are seen, each of them under
// one key or the other, and what is left can be done.
func TestCrashEverywhereResealing(t *testing.T) {
	r := newResealer(t)
	var steps []crashStep
	for i, step := range directScenario() {
		steps = append(steps, step)
		if i == 18 || i == 36 {
			key := uint32(i / 18)
			steps = append(steps, crashStep{name: fmt.Sprintf("reseal below %d", key), engine: func(s *pebbleStore) error {
				r.rotate(key, key)
				return s.Reseal(context.Background(), ResealOptions{Below: key})
			}})
		}
	}
	testCrashEverywhere(t, steps, append(r.options(), WithEagerRanges(), WithTinyTables())...)
}

// What was clear is nowhere in the files once it was purged and the folder opened again.
func TestResealPurges(t *testing.T) {
	lasting := func(s *pebbleStore) { // the engine does not write any anew of itself
		s.blobs.policy.TargetGarbageRatio, s.blobs.policy.MaxBlobReferenceDepth = 1, 100
	}
	for name, opts := range map[string][]PebbleStoreOption{"tables": nil, "blob files": {WithTinyTables(), lasting}} {
		for _, merged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, merged %v", name, merged), func(t *testing.T) { testResealPurges(t, merged, opts) })
		}
	}
}

// testResealPurges has tables and blob files with clear rows, with sealed ones and with both. If merged, nothing clear is left in tables when the purge
// begins.
func testResealPurges(t *testing.T, merged bool, opts []PebbleStoreOption) {
	ctx := context.Background()
	r, dir := newResealer(t), t.TempDir()
	s := openTest(t, dir, append(r.options(), opts...)...)
	write := func(remainder int) {
		for i, secret := range secrets() {
			if i%4 == remainder {
				must(t, s.PutAt(ctx, fmt.Appendf(nil, "k%d", i), []byte(secret), uint64(i+1), 0))
			}
		}
	}
	write(0)
	must(t, s.db.Flush())
	write(1)
	if n := shownSecrets(t, dir); n < len(secrets())/4 {
		t.Fatalf("the clear folder shows %d values", n)
	}
	r.rotate(1, 1)
	write(2)
	must(t, s.db.Flush())
	must(t, CompactEngine(s))
	write(3)
	if merged {
		must(t, s.Reseal(ctx, ResealOptions{Below: 1}))
		must(t, CompactEngine(s))
	}
	must(t, s.Reseal(ctx, ResealOptions{Below: 1, Purge: true}))
	must(t, s.Close())
	s = openTest(t, dir, append(r.options(), opts...)...)
	for i, secret := range secrets() {
		wantValue(t, s, fmt.Sprintf("k%d", i), 100, secret)
	}
	must(t, s.Close()) // which waits until the engine has removed what it found of before
	if n := shownSecrets(t, dir); n > 0 {
		t.Errorf("%d values are shown", n)
	}
}

// A cursor that no pass has left, beyond the last row as it may be, does not keep a pass from
// looking at all rows.
func TestResealDamagedCursor(t *testing.T) {
	for name, cursor := range map[string][]byte{
		"behind the end":   append([]byte{0, 0, 0, 1}, 0xff, keySentinel),
		"before the first": append([]byte{0, 0, 0, 1}, metaAppliedIndex...),
		"no key":           append([]byte{0, 0, 0, 1}, "no key"...),
		"short":            {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResealer(t)
			s := openTest(t, "db", append(r.options(), WithFS(vfs.NewMem()))...)
			fillMixed(t, s, 1000)
			must(t, s.db.Set(metaResealCursor, cursor, pebble.NoSync))
			r.rotate(1, 1)
			r.reseal(t, s)
			if rows := rowKeys(t, s); rows[0] != 0 || len(rows) != 1 {
				t.Errorf("rows by key: %v", rows)
			}
		})
	}
}
