package store_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/elastickv/elastickv/store"
)

// foldStore is a store in whose commits a test can have a hand.
type foldStore struct {
	store.Engine
	stage func() error // runs before every commit
	scan  func()       // runs before every scan, if it is not nil
}

func (s *foldStore) ScanAt(ctx context.Context, start, end []byte, limit int, ts uint64) ([]*store.KVPair, error) {
	if s.scan != nil {
		s.scan()
	}
	return s.Engine.ScanAt(ctx, start, end, limit, ts)
}

func (s *foldStore) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	if err := s.stage(); err != nil {
		return nil, err
	}
	return s.Engine.Stage(ctx, commits)
}

func newFoldStore() *foldStore {
	return &foldStore{Engine: store.NewMVCCStore().(store.Engine), stage: func() error { return nil }}
}

// addDeltas writes n deltas of +1 of a hash, one at each timestamp of clock.
func addDeltas(t *testing.T, s store.MVCCStore, clock store.HybridClock, key string, n int) {
	t.Helper()
	one := store.MarshalHashMetaDelta(store.HashMetaDelta{LenDelta: 1})
	for range n {
		ts := clock.Now()
		noError(t, s.PutAt(t.Context(), store.HashMetaDeltaKey([]byte(key), ts, 0), one, ts, 0))
	}
}

func newFolder(t *testing.T, c *store.Committer, o store.DeltaFolderOptions) *store.DeltaFolder {
	t.Helper()
	f, err := store.NewDeltaFolder(c, o)
	noError(t, err)
	return f
}

func wantLen(t *testing.T, s store.MVCCStore, key string, want int64) {
	t.Helper()
	n, err := store.HashLenAt(context.Background(), s, []byte(key), math.MaxUint64)
	if err != nil || n != want {
		t.Errorf("the length of %s is %d, %v; want %d", key, n, err, want)
	}
}

// A fold that is broken off has done what it says, and the next one does the rest.
func TestFoldBrokenOff(t *testing.T) {
	s, clock := newFoldStore(), clockAt(0)
	c := store.NewCommitter(s, clock)
	addDeltas(t, s, clock, "h", 3000)
	ctx, cancel := context.WithCancel(t.Context())
	commits := 0
	s.stage = func() error {
		if commits++; commits == 2 {
			cancel()
		}
		return nil
	}
	report, err := newFolder(t, c, store.DeltaFolderOptions{}).FoldOnce(ctx)
	want := store.FoldReport{Collections: 1, Deltas: 1024, Failed: 1}
	if !errors.Is(err, context.Canceled) || report != want {
		t.Errorf("broken off: %+v, %v; want %+v", report, err, want)
	}
	if _, err := store.HashLenAt(t.Context(), s, []byte("h"), math.MaxUint64); !errors.Is(err, store.ErrDeltaScanTruncated) {
		t.Errorf("with 1976 deltas left: %v", err)
	}
	report, err = newFolder(t, c, store.DeltaFolderOptions{}).FoldOnce(t.Context())
	want = store.FoldReport{Collections: 1, Deltas: 1976}
	if err != nil || report != want {
		t.Errorf("once more: %+v, %v; want %+v", report, err, want)
	}
	wantLen(t, s, "h", 3000)
}

// As long as a list has claims to remove, it has a delta by which it is found.
func TestClaimsGoBeforeDeltas(t *testing.T) {
	s, clock := newFoldStore(), clockAt(0)
	c := store.NewCommitter(s, clock)
	k := []byte("l")
	elements := slices.Repeat([][]byte{[]byte("e")}, 3000)
	_, err := c.PushList(t.Context(), k, store.ListTail, elements...)
	noError(t, err)
	_, _, err = c.PopList(t.Context(), k, store.ListHead, 2500)
	noError(t, err)
	broken := errors.New("broken")
	total := store.Folded{}
	for commit := 1; ; commit++ {
		s.stage = func() error { // a conflict, a commit, and the fold is broken off
			s.stage = func() error {
				s.stage = func() error { return broken }
				return nil
			}
			return store.NewWriteConflictError(k)
		}
		done, err := c.Fold(t.Context(), store.CollectionList, k)
		total.Deltas, total.Claims = total.Deltas+done.Deltas, total.Claims+done.Claims
		deltas, scanErr := s.ScanAt(t.Context(), store.ListMetaDeltaScanPrefix(k), store.PrefixScanEnd(store.ListMetaDeltaScanPrefix(k)), 10, math.MaxUint64)
		claims, claimErr := s.ScanAt(t.Context(), store.ListClaimScanPrefix(k), store.PrefixScanEnd(store.ListClaimScanPrefix(k)), 10, math.MaxUint64)
		if scanErr != nil || claimErr != nil || len(claims) > 0 && len(deltas) == 0 {
			t.Fatalf("after commit %d: %d deltas, claims %d (%v)", commit, len(deltas), len(claims), err)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, broken) || commit > 5 {
			t.Fatalf("commit %d: %+v, %v", commit, done, err)
		}
	}
	if want := (store.Folded{Deltas: 2, Claims: 2500}); total != want {
		t.Errorf("all folds together: %+v, want %+v", total, want)
	}
	if m, err := store.ListMetaAt(t.Context(), s, k, math.MaxUint64); err != nil || m != (store.ListMeta{Head: 2500, Tail: 3000, Len: 500}) {
		t.Errorf("the list is %+v, %v", m, err)
	}
}

// A collection whose base somebody else rewrites all the time is left for the
// next pass, and the others are folded.
func TestFolderSurvivesConflicts(t *testing.T) {
	s, clock := newFoldStore(), clockAt(0)
	c := store.NewCommitter(s, clock)
	addDeltas(t, s, clock, "a", 2)
	addDeltas(t, s, clock, "b", 3)
	base := store.MarshalHashMeta(store.HashMeta{Len: 10})
	rewrite := func() error {
		return s.PutAt(context.Background(), store.HashMetaKey([]byte("a")), base, clock.Now(), 0)
	}
	// The clock is ahead of the commit, as a writer's is that does not wait its turn.
	s.stage = rewrite
	f := newFolder(t, c, store.DeltaFolderOptions{})
	report, err := f.FoldOnce(t.Context())
	if want := (store.FoldReport{Collections: 1, Deltas: 3, Failed: 1}); !errors.Is(err, store.ErrWriteConflict) || report != want {
		t.Errorf("%+v, %v; want %+v", report, err, want)
	}
	wantLen(t, s, "a", 12)
	wantLen(t, s, "b", 3)
	s.stage = func() error { return nil }
	report, err = f.FoldOnce(t.Context())
	if want := (store.FoldReport{Collections: 1, Deltas: 2}); err != nil || report != want {
		t.Errorf("in peace: %+v, %v; want %+v", report, err, want)
	}
	wantLen(t, s, "a", 12)
}

// A compaction that overtakes the looks at the deltas does not end the pass.
func TestFolderSurvivesCompaction(t *testing.T) {
	s, clock := newFoldStore(), clockAt(0)
	c := store.NewCommitter(s, clock)
	addDeltas(t, s, clock, "a", 2)
	addDeltas(t, s, clock, "b", 2)
	scans := 0
	s.scan = func() {
		if scans++; scans%2 == 1 {
			noError(t, s.Compact(t.Context(), clock.Now()))
		}
	}
	report, err := newFolder(t, c, store.DeltaFolderOptions{LeastDeltas: 2}).FoldOnce(t.Context())
	if want := (store.FoldReport{Collections: 2, Deltas: 4}); err != nil || report != want {
		t.Errorf("%+v, %v; want %+v", report, err, want)
	}
}

// Run folds at every tick, tells so, goes on after an error and ends with its
// context, its ticks or the store.
func TestFolderRun(t *testing.T) {
	s, clock := newFoldStore(), clockAt(0)
	c := store.NewCommitter(s, clock)
	ticks, passes := make(chan time.Time), make(chan string)
	f := newFolder(t, c, store.DeltaFolderOptions{OnPass: func(r store.FoldReport, err error) {
		passes <- fmt.Sprintf("%d %d %v", r.Collections, r.Deltas, err)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx, ticks) }()

	pass := func(want string) {
		t.Helper()
		ticks <- time.Time{}
		if got := <-passes; got != want {
			t.Errorf("a pass reports %q, want %q", got, want)
		}
	}
	addDeltas(t, s, clock, "h", 7)
	pass("1 7 <nil>")
	pass("0 0 <nil>")
	addDeltas(t, s, clock, "h", 2)
	s.stage = func() error { return errors.New("no luck") }
	pass("0 0 hash \"h\": no luck")
	s.stage = func() error { return nil }
	pass("1 2 <nil>")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run ends with its context: %v", err)
	}
	wantLen(t, s, "h", 9)
}

func TestFolderRunEnds(t *testing.T) {
	s := newFoldStore()
	f := newFolder(t, store.NewCommitter(s, clockAt(0)), store.DeltaFolderOptions{})
	ticks := make(chan time.Time, 1)
	ticks <- time.Time{}
	close(ticks)
	if err := f.Run(t.Context(), ticks); err != nil {
		t.Errorf("Run ends with its ticks: %v", err)
	}
	noError(t, s.Close())
	ticks = make(chan time.Time, 1)
	ticks <- time.Time{}
	if err := f.Run(t.Context(), ticks); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Run of a closed store: %v", err)
	}
}

func TestFolderOptions(t *testing.T) {
	c := store.NewCommitter(store.NewMVCCStore(), clockAt(0))
	for _, least := range []int{-1, store.MaxDeltaScanLimit + 1} {
		if _, err := store.NewDeltaFolder(c, store.DeltaFolderOptions{LeastDeltas: least}); err == nil {
			t.Errorf("LeastDeltas %d is accepted", least)
		}
	}
	if _, err := c.Fold(t.Context(), store.CollectionKind(4), nil); err == nil {
		t.Error("a fold of an unknown kind succeeds")
	}
	got := fmt.Sprint(store.CollectionHash, store.CollectionSet, store.CollectionZSet, store.CollectionList, store.CollectionKind(9))
	if want := "hash set sorted set list CollectionKind(9)"; got != want {
		t.Errorf("the kinds are %s, want %s", got, want)
	}
}

// However many lists have names that imitate deltas of another one, that one is
// counted and folded, and they are not.
func TestManyImitatedDeltas(t *testing.T) {
	const imitators = 100
	s := newFoldStore()
	c := store.NewCommitter(s, clockAt(1000))
	base, err := store.MarshalListMeta(store.ListMeta{Len: 5})
	noError(t, err)
	imitator := func(i int) []byte {
		key := store.ListMetaDeltaKey([]byte("h"), 2*uint64(i), 0)
		return key[len(store.ListMetaPrefix):]
	}
	for i := range imitators {
		noError(t, s.PutAt(t.Context(), store.ListMetaKey(imitator(i)), base, 10, 0))
	}
	one := store.MarshalListMetaDelta(store.ListMetaDelta{LenDelta: 1})
	for _, ts := range []uint64{99, 999} { // in the middle and at the end
		noError(t, s.PutAt(t.Context(), store.ListMetaDeltaKey([]byte("h"), ts, 0), one, ts, 0))
	}
	want := func(key []byte, want int64) {
		t.Helper()
		if m, err := store.ListMetaAt(t.Context(), s, key, math.MaxUint64); err != nil || m.Len != want {
			t.Errorf("the length of the list %q is %d, %v; want %d", key, m.Len, err, want)
		}
	}
	want([]byte("h"), 2)
	report, err := newFolder(t, c, store.DeltaFolderOptions{LeastDeltas: 2}).FoldOnce(t.Context())
	if wantReport := (store.FoldReport{Collections: 1, Deltas: 2}); err != nil || report != wantReport {
		t.Errorf("FoldOnce: %+v, %v; want %+v", report, err, wantReport)
	}
	want([]byte("h"), 2)
	for i := range imitators {
		want(imitator(i), 5)
	}
}
