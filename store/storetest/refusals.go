package storetest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// writesOf returns every call that writes, with what it is given.
func writesOf(e store.Engine, ctx context.Context, m []*store.KVPairMutation) map[string]func() error {
	const ts = 1000
	return map[string]func() error{
		"ApplyMutations":       func() error { return e.ApplyMutations(ctx, m, nil, ts, ts) },
		"ApplyMutationsRaft":   func() error { return e.ApplyMutationsRaft(ctx, m, nil, ts, ts) },
		"ApplyMutationsRaftAt": func() error { return e.ApplyMutationsRaftAt(ctx, m, nil, ts, ts, 77) },
		"Stage": func() error {
			_, err := e.Stage(ctx, []store.Commit{{TS: ts}, {TS: ts, Mutations: m}})
			return err
		},
	}
}

// testCanceled: whoever has given up gets that error from every call that takes a context,
// and nothing has happened.
func testCanceled(t *testing.T, open Open) {
	e := open(t)
	fillSample(t, e)
	before := image(t, e)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	k := []byte("a")
	calls := writesOf(e, gone, []*store.KVPairMutation{{Key: k}})
	for name, call := range map[string]func() error{
		"GetAt":                func() error { _, err := e.GetAt(gone, k, 50); return err },
		"ExistsAt":             func() error { _, err := e.ExistsAt(gone, k, 50); return err },
		"VersionAt":            func() error { _, _, err := e.VersionAt(gone, k, 50); return err },
		"LatestCommitTS":       func() error { _, _, err := e.LatestCommitTS(gone, k); return err },
		"CommittedVersionAt":   func() error { _, err := e.CommittedVersionAt(gone, k, 10); return err },
		"ScanAt":               func() error { _, err := e.ScanAt(gone, nil, nil, 1, 50); return err },
		"ScanAt of no rows":    func() error { _, err := e.ScanAt(gone, nil, nil, 0, 50); return err },
		"ReverseScanAt":        func() error { _, err := e.ReverseScanAt(gone, nil, nil, 1, 50); return err },
		"PutAt":                func() error { return e.PutAt(gone, k, nil, 1000, 0) },
		"PutWithTTLAt":         func() error { return e.PutWithTTLAt(gone, k, nil, 1000, 2000) },
		"DeleteAt":             func() error { return e.DeleteAt(gone, k, 1000) },
		"ExpireAt":             func() error { return e.ExpireAt(gone, k, 2000, 40) },
		"DeletePrefixAt":       func() error { return e.DeletePrefixAt(gone, nil, nil, 1000) },
		"DeletePrefixAtRaft":   func() error { return e.DeletePrefixAtRaft(gone, nil, nil, 1000) },
		"DeletePrefixAtRaftAt": func() error { return e.DeletePrefixAtRaftAt(gone, nil, nil, 1000, 77) },
		"Compact":              func() error { return e.Compact(gone, 1000) },
		"WalkAt": func() error {
			return e.WalkAt(gone, store.Span{}, store.Ascending, 50, func([]byte, store.VersionedValue) bool { return true })
		},
	} {
		calls[name] = call
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a canceled ctx: got %v, want %v", name, err, context.Canceled)
		}
	}
	if !bytes.Equal(image(t, e), before) {
		t.Error("canceled calls have changed the store")
	}
}

// testBadMutations: what is wrong with one mutation refuses the whole call, whichever of
// the four it is, and nothing is left of it.
func testBadMutations(t *testing.T, open Open) {
	e := open(t)
	fillSample(t, e)
	before := image(t, e)
	good := &store.KVPairMutation{Key: []byte("good"), Value: []byte("v")}
	tooLong := make([]byte, 1<<20+1)
	for what, c := range map[string]struct {
		m    *store.KVPairMutation
		want error // nil: any
	}{
		"an unknown op":         {&store.KVPairMutation{Op: 7, Key: []byte("k")}, store.ErrUnknownOp},
		"a negative op":         {&store.KVPairMutation{Op: -1, Key: []byte("k")}, store.ErrUnknownOp},
		"the highest op":        {&store.KVPairMutation{Op: math.MaxInt, Key: []byte("k")}, store.ErrUnknownOp},
		"no mutation at all":    {nil, nil},
		"a key too long":        {&store.KVPairMutation{Key: tooLong}, store.ErrSnapshotKeyTooLarge},
		"a key too long to die": {&store.KVPairMutation{Op: store.OpTypeDelete, Key: tooLong}, store.ErrSnapshotKeyTooLarge},
	} {
		for name, call := range writesOf(e, ctx, []*store.KVPairMutation{good, c.m, good}) {
			if err := call(); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s with %s: got %v, want %v", name, what, err, c.want)
			}
		}
	}
	if !bytes.Equal(image(t, e), before) {
		t.Error("refused calls have changed the store")
	}
}

// testKeysThatCannotBe: a key over the limit can be asked for, deleted by its prefix and
// used as a bound, like any other that is not there.
func testKeysThatCannotBe(t *testing.T, open Open) {
	inFull(t)
	e := open(t)
	fillSample(t, e)
	tooLong := bytes.Repeat([]byte("a"), 1<<20+1)
	if _, err := e.GetAt(ctx, tooLong, 50); !errors.Is(err, store.ErrKeyNotFound) {
		t.Errorf("GetAt: %v", err)
	}
	if ok, err := e.ExistsAt(ctx, tooLong, 50); ok || err != nil {
		t.Errorf("ExistsAt: %v, %v", ok, err)
	}
	if _, ok, err := e.LatestCommitTS(ctx, tooLong); ok || err != nil {
		t.Errorf("LatestCommitTS: %v, %v", ok, err)
	}
	if ok, err := e.CommittedVersionAt(ctx, tooLong, 50); ok || err != nil {
		t.Errorf("CommittedVersionAt: %v, %v", ok, err)
	}
	if err := e.ExpireAt(ctx, tooLong, 60, 50); !errors.Is(err, store.ErrKeyNotFound) {
		t.Errorf("ExpireAt: %v", err)
	}
	for _, scan := range []scanFunc{e.ScanAt, e.ReverseScanAt} {
		all, err := scan(ctx, nil, nil, 10, 40)
		must(t, err)
		below, err := scan(ctx, nil, tooLong, 10, 40)
		must(t, err)
		above, err := scan(ctx, tooLong, nil, 10, 40)
		must(t, err)
		if len(below)+len(above) != len(all) || len(below) == 0 || len(above) == 0 {
			t.Errorf("%d rows below the bound and %d above, of %d", len(below), len(above), len(all))
		}
	}
	must(t, e.DeletePrefixAt(ctx, tooLong, nil, 60))
	must(t, e.DeletePrefixAt(ctx, []byte("a"), tooLong, 61))
	wantRows(t, e, 61, "", "b")
	must(t, e.ApplyMutations(ctx, nil, [][]byte{tooLong}, 61, 62))
	if last := e.LastCommitTS(); last != 62 {
		t.Errorf("LastCommitTS is %d, want 62", last)
	}
}

// wantRows compares the keys that a scan shows.
func wantRows(t *testing.T, e store.Engine, ts uint64, want ...string) {
	t.Helper()
	rows, err := e.ScanAt(ctx, nil, nil, len(want)+1, ts)
	must(t, err)
	if len(rows) != len(want) {
		t.Fatalf("%d rows at %d, want %d", len(rows), ts, len(want))
	}
	for i, row := range rows {
		wantBytes(t, "a row", row.Key, want[i])
	}
}
