package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// testOwnership: the store keeps no slice that it was given, and gives none
// away that it keeps, but for the value that VersionAt shows.
func testOwnership(t *testing.T, open Open) {
	e := open(t)
	key, value := []byte("key"), []byte("value")
	mutationKey, mutationValue := []byte("key2"), []byte("value2")
	must(t, e.PutAt(ctx, key, value, 10, 0))
	must(t, e.ApplyMutations(ctx, []*store.KVPairMutation{{Key: mutationKey, Value: mutationValue}}, nil, 10, 11))
	for _, b := range [][]byte{key, value, mutationKey, mutationValue} {
		scribble(b)
	}
	for range 2 { // the second time after the first results were scribbled over
		got, err := e.GetAt(ctx, []byte("key"), 20)
		must(t, err)
		wantBytes(t, "GetAt", got, "value")
		scribble(got)
		v, _, err := e.VersionAt(ctx, []byte("key2"), 20)
		must(t, err)
		wantBytes(t, "VersionAt", v.Value, "value2")
		for name, scan := range map[string]scanFunc{"ScanAt": e.ScanAt, "ReverseScanAt": e.ReverseScanAt} {
			pairs, err := scan(ctx, []byte("key2"), nil, 1, 20)
			must(t, err)
			if len(pairs) != 1 {
				t.Fatalf("%s returns %d rows, want 1", name, len(pairs))
			}
			wantBytes(t, name, pairs[0].Key, "key2")
			wantBytes(t, name, pairs[0].Value, "value2")
			scribble(pairs[0].Key)
			scribble(pairs[0].Value)
		}
		counts := e.WriteConflictCountsByPrefix()
		if len(counts) != 0 {
			t.Fatalf("conflict counts %v, want none", counts)
		}
		counts["mine"] = 1
	}
}

// testLimits: what fits a snapshot is accepted, anything above is refused, and
// a refusal leaves nothing behind.
func testLimits(t *testing.T, open Open) {
	inFull(t)
	e := open(t)
	longest, tooLong := make([]byte, 1<<20), make([]byte, 1<<20+1)
	tooLarge := make([]byte, 256<<20+1)
	must(t, e.PutAt(ctx, longest, []byte("v"), 10, 0))
	got, err := e.GetAt(ctx, longest, 10)
	must(t, err)
	wantBytes(t, "the longest key", got, "v")

	k := []byte("k")
	put := func(key, value []byte) []*store.KVPairMutation {
		return []*store.KVPairMutation{{Key: k, Value: k}, {Key: key, Value: value}}
	}
	stage := func(m []*store.KVPairMutation) error {
		_, err := e.Stage(ctx, []store.Commit{{TS: 20, Mutations: put(k, k)}, {TS: 21, Mutations: m}})
		return err
	}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"PutAt key", e.PutAt(ctx, tooLong, nil, 20, 0), store.ErrSnapshotKeyTooLarge},
		{"PutAt value", e.PutAt(ctx, k, tooLarge, 20, 0), store.ErrValueTooLarge},
		{"PutWithTTLAt key", e.PutWithTTLAt(ctx, tooLong, nil, 20, 30), store.ErrSnapshotKeyTooLarge},
		{"PutWithTTLAt value", e.PutWithTTLAt(ctx, k, tooLarge, 20, 30), store.ErrValueTooLarge},
		{"DeleteAt key", e.DeleteAt(ctx, tooLong, 20), store.ErrSnapshotKeyTooLarge},
		{"ApplyMutations key", e.ApplyMutations(ctx, put(tooLong, nil), nil, 15, 20), store.ErrSnapshotKeyTooLarge},
		{"ApplyMutations value", e.ApplyMutations(ctx, put(k, tooLarge), nil, 15, 20), store.ErrValueTooLarge},
		{"Stage key", stage(put(tooLong, nil)), store.ErrSnapshotKeyTooLarge},
		{"Stage value", stage(put(k, tooLarge)), store.ErrValueTooLarge},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.err, c.want)
		}
	}
	if _, ok, err := e.LatestCommitTS(ctx, k); ok || err != nil {
		t.Errorf("a refused write has left a version of %q (%v)", k, err)
	}
	if last := e.LastCommitTS(); last != 10 {
		t.Errorf("LastCommitTS is %d after refused writes, want 10", last)
	}
}

// testCanceledScan: a scan of many rows notices that nobody waits for it.
func testCanceledScan(t *testing.T, open Open) {
	inFull(t)
	e := open(t)
	fillKeys(t, e, 20_000)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for name, scan := range map[string]scanFunc{"ScanAt": e.ScanAt, "ReverseScanAt": e.ReverseScanAt} {
		if _, err := scan(gone, nil, nil, math.MaxInt, 10); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a canceled ctx: %v", name, err)
		}
	}
	err := e.WalkAt(gone, store.Span{}, store.Ascending, 10, func([]byte, store.VersionedValue) bool { return true })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("WalkAt with a canceled ctx: %v", err)
	}
}

// testReentrantWalk: whoever walks may use the store on the way, and goes on
// seeing the moment at which the walk began.
func testReentrantWalk(t *testing.T, open Open) {
	e := open(t)
	fillKeys(t, e, 10)
	n := 0
	err := e.WalkAt(ctx, store.Span{}, store.Ascending, 15, func(key []byte, _ store.VersionedValue) bool {
		n++
		if _, err := e.GetAt(ctx, key, 10); err != nil {
			t.Errorf("GetAt within a walk: %v", err)
		}
		if err := e.PutAt(ctx, append(key, 'x'), nil, 20, 0); err != nil {
			t.Errorf("PutAt within a walk: %v", err)
		}
		return true
	})
	if err != nil || n != 10 {
		t.Errorf("walked over %d keys (%v), want 10", n, err)
	}
}

// testClosed: after Close every call that can fail does.
func testClosed(t *testing.T, open Open) {
	e := open(t)
	must(t, e.PutAt(ctx, []byte("k"), []byte("v"), 10, 0))
	image, err := takeSnapshot(e)
	must(t, err)
	must(t, e.Close())

	k := []byte("k")
	var errs []error
	fails := func(err error) { errs = append(errs, err) }
	_, err = e.GetAt(ctx, k, 10)
	fails(err)
	_, err = e.ExistsAt(ctx, k, 10)
	fails(err)
	_, _, err = e.VersionAt(ctx, k, 10)
	fails(err)
	_, err = e.ScanAt(ctx, nil, nil, 1, 10)
	fails(err)
	_, err = e.ReverseScanAt(ctx, nil, nil, 1, 10)
	fails(err)
	fails(e.WalkAt(ctx, store.Span{}, store.Ascending, 10, func([]byte, store.VersionedValue) bool { return true }))
	_, _, err = e.LatestCommitTS(ctx, k)
	fails(err)
	_, err = e.CommittedVersionAt(ctx, k, 10)
	fails(err)
	fails(e.PutAt(ctx, k, nil, 20, 0))
	fails(e.PutWithTTLAt(ctx, k, nil, 20, 30))
	fails(e.DeleteAt(ctx, k, 20))
	fails(e.ExpireAt(ctx, k, 30, 20))
	fails(e.ApplyMutations(ctx, nil, nil, 20, 20))
	fails(e.ApplyMutationsRaft(ctx, nil, nil, 20, 20))
	fails(e.ApplyMutationsRaftAt(ctx, nil, nil, 20, 20, 1))
	fails(e.DeletePrefixAt(ctx, nil, nil, 20))
	fails(e.DeletePrefixAtRaft(ctx, nil, nil, 20))
	fails(e.DeletePrefixAtRaftAt(ctx, nil, nil, 20, 1))
	_, err = e.Stage(ctx, []store.Commit{{TS: 20}})
	fails(err)
	fails(e.Compact(ctx, 20))
	_, err = e.Snapshot()
	fails(err)
	fails(e.Restore(bytes.NewReader(image)))
	for i, err := range errs {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("call %d after Close: got %v, want %v", i, err, store.ErrClosed)
		}
	}
}

// testConflictErrors: the error owns its key, also when it is wrapped.
func testConflictErrors(t *testing.T, open Open) {
	e := open(t)
	must(t, e.PutAt(ctx, []byte("!hs|k"), nil, 10, 0))
	key := []byte("!hs|k")
	err := e.ApplyMutations(ctx, []*store.KVPairMutation{{Key: key}}, nil, 5, 11)
	scribble(key)
	var conflict *store.WriteConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a *WriteConflictError", err)
	}
	for range 2 {
		got, ok := store.WriteConflictKey(fmt.Errorf("outer: %w", err))
		if !ok {
			t.Fatal("WriteConflictKey does not see through wrapping")
		}
		wantBytes(t, "WriteConflictKey", got, "!hs|k")
		scribble(got)
	}
	label := store.EncodeWriteConflictLabel(store.WriteConflictKindWrite, "hash")
	if counts := e.WriteConflictCountsByPrefix(); len(counts) != 1 || counts[label] != 1 {
		t.Errorf("conflict counts %v, want %s 1", counts, label)
	}
}

// testStage: what is staged can be read at once, and Wait brings LastCommitTS up.
func testStage(t *testing.T, open Open) {
	e := open(t)
	var batches []store.Staged
	for i := range uint64(10) {
		put := []*store.KVPairMutation{{Key: []byte("k"), Value: fmt.Append(nil, i)}}
		s, err := e.Stage(ctx, []store.Commit{
			{TS: 10 + 2*i, Mutations: put, Check: &store.Check{StartTS: 10 + 2*i - 1}},
			{TS: 11 + 2*i},
		})
		must(t, err)
		got, err := e.GetAt(ctx, []byte("k"), 11+2*i)
		must(t, err)
		wantBytes(t, "GetAt of what is staged", got, fmt.Sprint(i))
		batches = append(batches, s)
	}
	for i, s := range batches {
		must(t, s.Wait())
		if last, want := e.LastCommitTS(), 11+2*uint64(i); last < want {
			t.Errorf("LastCommitTS is %d after the batch up to %d is durable", last, want)
		}
	}
	if last := e.LastCommitTS(); last != 29 {
		t.Errorf("LastCommitTS is %d, want 29", last)
	}
}

// testVerify: a commit is refused for what Stage would refuse it for, and nothing happens either way.
func testVerify(t *testing.T, open Open) {
	e := open(t)
	put := func(key string) []*store.KVPairMutation {
		return []*store.KVPairMutation{{Key: []byte(key), Value: []byte("v")}}
	}
	must(t, e.ApplyMutations(ctx, put("old"), nil, 9, 10))
	must(t, e.ApplyMutations(ctx, put("new"), nil, 19, 20))
	span := []store.Span{{Start: []byte("n"), End: []byte("o")}}
	for name, c := range map[string]struct {
		commit   store.Commit
		conflict bool
	}{
		"writes what is old":   {store.Commit{Mutations: put("old"), Check: &store.Check{StartTS: 15}}, false},
		"writes what is new":   {store.Commit{Mutations: put("new"), Check: &store.Check{StartTS: 15}}, true},
		"has seen what is new": {store.Commit{Mutations: put("new"), Check: &store.Check{StartTS: 20}}, false},
		"has read what is new": {store.Commit{Check: &store.Check{StartTS: 15, ReadKeys: [][]byte{[]byte("new")}}}, true},
		"has read around it":   {store.Commit{Check: &store.Check{StartTS: 15, ReadRanges: span}}, true},
		"deletes what is new":  {store.Commit{Deleted: span, Check: &store.Check{StartTS: 15}}, true},
		"relies on nothing":    {store.Commit{Mutations: put("new")}, false},
	} {
		err := e.Verify(ctx, c.commit)
		if errors.Is(err, store.ErrWriteConflict) != c.conflict || err != nil && !c.conflict {
			t.Errorf("who %s: %v", name, err)
		}
	}
	if last := e.LastCommitTS(); last != 20 {
		t.Errorf("LastCommitTS is %d behind checks, want 20", last)
	}
}

// fillKeys commits n keys at 10.
func fillKeys(t *testing.T, e store.Engine, n int) {
	t.Helper()
	mutations := make([]*store.KVPairMutation, n)
	for i := range mutations {
		mutations[i] = &store.KVPairMutation{Key: fmt.Appendf(nil, "key%06d", i), Value: fmt.Append(nil, i)}
	}
	must(t, e.ApplyMutations(ctx, mutations, nil, 9, 10))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantBytes(t testing.TB, what string, got []byte, want string) {
	t.Helper()
	if string(got) != want {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

// scribble overwrites every byte.
func scribble(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}
