package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// interrupted is a store in whose calls something else happens: what is planned
// under the name of a method, each time for one call, runs just before it.
type interrupted struct {
	store.Engine
	plans map[string][]func()
}

func interrupt(e store.Engine) *interrupted {
	return &interrupted{Engine: e, plans: map[string][]func(){}}
}

// before plans f for the next call of a method for which nothing is planned yet.
func (i *interrupted) before(method string, f func()) {
	i.plans[method] = append(i.plans[method], f)
}

func (i *interrupted) run(method string) {
	if plans := i.plans[method]; len(plans) > 0 {
		i.plans[method] = plans[1:]
		plans[0]()
	}
}

func (i *interrupted) GetAt(ctx context.Context, key []byte, ts uint64) ([]byte, error) {
	i.run("GetAt")
	return i.Engine.GetAt(ctx, key, ts)
}

func (i *interrupted) ScanAt(ctx context.Context, start, end []byte, limit int, ts uint64) ([]*store.KVPair, error) {
	i.run("ScanAt")
	return i.Engine.ScanAt(ctx, start, end, limit, ts)
}

func (i *interrupted) LatestCommitTS(ctx context.Context, key []byte) (uint64, bool, error) {
	i.run("LatestCommitTS")
	return i.Engine.LatestCommitTS(ctx, key)
}

// addDelta commits a delta of the hash k.
func addDelta(t *testing.T, c *store.Committer, k []byte, by int64) {
	t.Helper()
	_, err := c.Update(ctx, func(uint64) (store.Change, error) {
		return store.Change{Mutations: func(ts uint64) []*store.KVPairMutation {
			d := store.HashMetaDelta{LenDelta: by}
			return []*store.KVPairMutation{{Key: store.HashMetaDeltaKey(k, ts, 0), Value: store.MarshalHashMetaDelta(d)}}
		}}, nil
	})
	must(t, err)
}

// testTornLength: whatever happens between the steps of a reader, it never adds
// the base of one moment to the deltas of another.
func testTornLength(t *testing.T, open Open) {
	k := []byte("k")
	setup := func(t *testing.T) (*interrupted, *store.Committer) {
		e := open(t)
		c := store.NewCommitter(e, &ticking{})
		addDelta(t, c, k, 5)
		return interrupt(e), c
	}
	fold := func(c *store.Committer) {
		if _, err := c.Fold(ctx, store.CollectionHash, k); err != nil {
			t.Error(err)
		}
	}
	want := func(t *testing.T, e store.MVCCStore, ts uint64, want int64) {
		t.Helper()
		if got, err := store.HashLenAt(ctx, e, k, ts); err != nil || got != want {
			t.Errorf("HashLenAt at %d = %d, %v; want %d", ts, got, err, want)
		}
	}
	t.Run("fold", func(t *testing.T) {
		e, c := setup(t)
		e.before("ScanAt", func() { fold(c) })
		want(t, e, math.MaxUint64, 5)
	})
	t.Run("fold at every step", func(t *testing.T) {
		e, c := setup(t)
		for range 3 {
			e.before("ScanAt", func() { fold(c); addDelta(t, c, k, 1) })
		}
		want(t, e, math.MaxUint64, 8)
	})
	t.Run("fold at a fixed moment", func(t *testing.T) {
		e, c := setup(t)
		at := e.LastCommitTS()
		addDelta(t, c, k, 1)
		e.before("ScanAt", func() { fold(c); addDelta(t, c, k, 1) })
		want(t, e, at, 5)
		// The base has changed since that moment, so nothing can come in between any more.
		e.before("LatestCommitTS", func() {})
		e.before("LatestCommitTS", func() { t.Error("a reader of the past looks at the base again") })
		want(t, e, at, 5)
	})
	t.Run("the base is back where it was", func(t *testing.T) {
		e, c := setup(t)
		fold(c)
		e.before("ScanAt", func() { addDelta(t, c, k, 2); fold(c); addDelta(t, c, k, -2) })
		e.before("LatestCommitTS", func() {})
		e.before("LatestCommitTS", func() { fold(c) })
		want(t, e, math.MaxUint64, 5)
	})
	t.Run("no trace is left", func(t *testing.T) {
		e, c := setup(t)
		e.before("ScanAt", func() { fold(c); addDelta(t, c, k, 1) })
		e.before("LatestCommitTS", func() {})
		e.before("LatestCommitTS", func() {
			addDelta(t, c, k, -6)
			fold(c)
			must(t, e.Compact(ctx, e.LastCommitTS()))
		})
		want(t, e, math.MaxUint64, 0)
	})
	t.Run("a sum that is negative only because it is torn", func(t *testing.T) {
		e, c := setup(t)
		e.before("ScanAt", func() { fold(c); addDelta(t, c, k, -1) })
		want(t, e, math.MaxUint64, 4)
	})
	t.Run("compaction", func(t *testing.T) {
		e, _ := setup(t)
		at := e.LastCommitTS()
		e.before("ScanAt", func() { must(t, e.Compact(ctx, at+1)) })
		if _, err := store.HashLenAt(ctx, e, k, at); !errors.Is(err, store.ErrReadTSCompacted) {
			t.Errorf("HashLenAt below the floor: %v", err)
		}
		want(t, e, math.MaxUint64, 5)
	})
}

// testMembers: many add and remove members of a set by deltas, in transactions, while
// deltas are folded. At every moment the set has as many members as it counts.
func testMembers(t *testing.T, open Open) {
	const workers, members = 5, 12
	rounds := fewer(60)
	e, k := open(t), []byte("set")
	c := store.NewCommitter(e, &ticking{})
	// check compares the length at ts with the rows.
	check := func(ts uint64) {
		n, err := store.SetLenAt(ctx, e, k, ts)
		rows, scanErr := e.ScanAt(ctx, store.SetMemberScanPrefix(k), store.PrefixScanEnd(store.SetMemberScanPrefix(k)), math.MaxInt, ts)
		if err = errors.Join(err, scanErr); err != nil || n != int64(len(rows)) {
			t.Errorf("SetLenAt at %d = %d, %v; there are %d members", ts, n, err, len(rows))
		}
	}
	inTurns(t, workers, func(w int) {
		for i := range rounds {
			if _, err := c.Update(ctx, toggleMember(e, k, fmt.Appendf(nil, "%d", (w*7+i*5)%members))); err != nil {
				t.Errorf("worker %d: %v", w, err)
			}
		}
	}, func() {
		if _, err := c.Fold(ctx, store.CollectionSet, k); err != nil {
			t.Errorf("fold: %v", err)
		}
	}, func() { check(e.LastCommitTS()) })
	for ts := range e.LastCommitTS() + 1 {
		check(ts)
	}
}

// toggleMember plans to remove member if it is in the set k, else to add it.
func toggleMember(e store.MVCCStore, k, member []byte) func(uint64) (store.Change, error) {
	return func(startTS uint64) (store.Change, error) {
		row := store.KVPairMutation{Op: store.OpTypePut, Key: store.SetMemberKey(k, member)}
		there, err := e.ExistsAt(ctx, row.Key, startTS)
		by := int64(1)
		if there {
			row.Op, by = store.OpTypeDelete, -1
		}
		return store.Change{Mutations: func(ts uint64) []*store.KVPairMutation {
			value := store.MarshalSetMetaDelta(store.SetMetaDelta{LenDelta: by})
			return []*store.KVPairMutation{&row, {Key: store.SetMetaDeltaKey(k, ts, 0), Value: value}}
		}}, err
	}
}

// testForeignDeltas: deltas come from writers that know no Committer and whose
// timestamps are not in the order in which they arrive. They always come in pairs
// that make no difference, and so a reader of the newest never sees one.
func testForeignDeltas(t *testing.T, open Open) {
	const workers, length = 4, 100
	rounds := fewer(80)
	e, k, clock := open(t), []byte("zset"), &ticking{}
	c := store.NewCommitter(e, clock)
	_, err := c.Update(ctx, func(uint64) (store.Change, error) {
		base := &store.KVPairMutation{Key: store.ZSetMetaKey(k), Value: store.MarshalZSetMeta(store.ZSetMeta{Len: length})}
		return store.Change{Mutations: func(uint64) []*store.KVPairMutation { return []*store.KVPairMutation{base} }}, nil
	})
	must(t, err)
	check := func(ts uint64) {
		if n, err := store.ZSetLenAt(ctx, e, k, ts); err != nil || n != length {
			t.Errorf("ZSetLenAt at %d = %d, %v; want %d", ts, n, err, length)
		}
	}
	inTurns(t, workers, func(w int) {
		for i := range rounds {
			by, ts := int64(1+w+i), clock.Now()
			up := store.MarshalZSetMetaDelta(store.ZSetMetaDelta{LenDelta: by})
			down := store.MarshalZSetMetaDelta(store.ZSetMetaDelta{LenDelta: -by})
			if err := e.ApplyMutations(ctx, []*store.KVPairMutation{
				{Key: store.ZSetMetaDeltaKey(k, ts, 0), Value: up}, {Key: store.ZSetMetaDeltaKey(k, ts, 1), Value: down},
			}, nil, ts-1, ts); err != nil {
				t.Errorf("worker %d: %v", w, err)
			}
		}
	}, func() {
		if _, err := c.Fold(ctx, store.CollectionZSet, k); err != nil {
			t.Errorf("fold: %v", err)
		}
	}, func() { check(math.MaxUint64) })
	last := clock.Now()
	for ts := uint64(2); ts <= last; ts++ {
		check(ts)
	}
}

// inTurns runs work in n goroutines, and each of others again and again beside
// them, until the work is done.
func inTurns(t *testing.T, n int, work func(worker int), others ...func()) {
	done, stop := context.WithCancel(ctx)
	var workers, rest sync.WaitGroup
	for w := range n {
		workers.Go(func() { work(w) })
	}
	for _, run := range others {
		rest.Go(func() {
			for done.Err() == nil && !t.Failed() {
				run()
			}
		})
	}
	workers.Wait()
	stop()
	rest.Wait()
}
