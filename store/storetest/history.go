package storetest

import (
	"bytes"
	"maps"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// RunModel drives random histories of calls against a store and against a
// naive model, and compares every answer. A failure prints the shortest history
// that was found and the flag that repeats it.
func RunModel(t *testing.T, open func(t *testing.T) store.Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{e: open(t), m: newModel()}
		h.draw = draw{T: rt, space: fewKeys, last: func() uint64 { return h.m.last }}
		defer func() { _ = h.e.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"":             h.invariants,
			"put":          h.put,
			"delete":       h.delete,
			"expire":       h.expire,
			"apply":        h.apply,
			"stage":        h.stage,
			"deletePrefix": h.deletePrefix,
			"compact":      h.compact,
			"raiseFloor":   h.raiseFloor,
			"snapshot":     h.snapshot,
			"restore":      h.restore,
			"read":         h.read,
			"scan":         h.scan,
			"walk":         h.walk,
		})
		h.everyVersion()
	})
}

// history is one random run: the store, the model, and an old image of both.
type history struct {
	draw
	e store.Engine
	m *model

	image      []byte
	imageModel *model
}

// want fails unless the store's call came out as the model's.
func (h *history) want(call string, got, want error) {
	if !sameError(got, want) {
		h.Fatalf("%s: got error %v, want %v", call, got, want)
	}
}

func (h *history) put(*rapid.T) {
	key, value, ts, exp := h.key(), h.value(), h.ts("ts"), h.expireAt()
	h.m.put(string(key), store.VersionedValue{TS: ts, Value: value, ExpireAt: exp})
	h.want("PutAt", h.e.PutAt(ctx, key, value, ts, exp), nil)
}

func (h *history) delete(*rapid.T) {
	key, ts := h.key(), h.ts("ts")
	h.m.put(string(key), store.VersionedValue{TS: ts, Tombstone: true})
	h.want("DeleteAt", h.e.DeleteAt(ctx, key, ts), nil)
}

func (h *history) expire(*rapid.T) {
	key, ts, exp := h.key(), h.ts("ts"), h.expireAt()
	h.want("ExpireAt", h.e.ExpireAt(ctx, key, exp, ts), h.m.expire(string(key), exp, ts))
}

func (h *history) apply(*rapid.T) {
	check := &store.Check{StartTS: h.startTS(), ReadKeys: h.readKeys()}
	c := store.Commit{TS: h.ts("ts"), Mutations: h.mutations(), Check: check}
	index := rapid.Uint64Range(0, 9).Draw(h.T, "index")
	got := h.e.ApplyMutationsRaftAt(ctx, c.Mutations, check.ReadKeys, check.StartTS, c.TS, index)
	h.want("ApplyMutationsRaftAt", got, h.m.commit([]store.Commit{c}, index))
}

func (h *history) stage(*rapid.T) {
	commits := h.commits()
	if rapid.Bool().Draw(h.T, "applied") {
		index := rapid.Uint64Range(0, 9).Draw(h.T, "index")
		h.want("ApplyCommitsRaftAt", h.e.ApplyCommitsRaftAt(ctx, commits, index), h.m.commit(commits, index))
		return
	}
	h.want("Stage", stageAndWait(h.e, commits...), h.m.commit(commits, 0))
}

func (h *history) deletePrefix(*rapid.T) {
	prefix, exclude, ts := h.prefix("prefix"), h.prefix("exclude"), h.ts("ts")
	h.m.deletePrefix(prefix, exclude, ts)
	h.want("DeletePrefixAt", h.e.DeletePrefixAt(ctx, []byte(prefix), []byte(exclude), ts), nil)
}

func (h *history) compact(*rapid.T) {
	minTS := rapid.Uint64Range(0, h.m.last).Draw(h.T, "minTS")
	h.m.compact(minTS)
	h.want("Compact", h.e.Compact(ctx, minTS), nil)
}

func (h *history) raiseFloor(*rapid.T) {
	ts := rapid.Uint64Range(0, min(h.m.floor+2, h.space.tsMost)).Draw(h.T, "floor")
	h.m.floor = max(h.m.floor, ts)
	h.e.SetMinRetainedTS(ts)
}

func (h *history) snapshot(*rapid.T) {
	b, err := takeSnapshot(h.e)
	h.want("Snapshot", err, nil)
	h.image, h.imageModel = b, h.m.clone()
}

func (h *history) restore(rt *rapid.T) {
	if h.imageModel == nil {
		rt.Skip("no snapshot yet")
	}
	h.want("Restore", h.e.Restore(bytes.NewReader(h.image)), nil)
	h.m = h.imageModel.clone()
}

func (h *history) read(*rapid.T) { h.compareRead(string(h.key()), h.readTS()) }

// compareRead asks everything that can be asked of one key at one timestamp.
func (h *history) compareRead(key string, ts uint64) {
	v, ok := h.m.at(key, ts)
	readable := h.m.readable(ts)
	wantGet := readable
	if wantGet == nil && !shown(v, ok, ts) {
		wantGet = store.ErrKeyNotFound
	}
	value, err := h.e.GetAt(ctx, []byte(key), ts)
	h.want("GetAt", err, wantGet)
	if err == nil && (value == nil || !bytes.Equal(value, v.Value)) {
		h.Fatalf("GetAt(%q, %d) = %#v, want %q", key, ts, value, v.Value)
	}
	exists, err := h.e.ExistsAt(ctx, []byte(key), ts)
	h.want("ExistsAt", err, readable)
	if exists != (wantGet == nil) {
		h.Fatalf("ExistsAt(%q, %d) = %v", key, ts, exists)
	}
	h.e.Prefetch([][]byte{[]byte(key), []byte(key + "\x00"), nil})
	got, found, err := h.e.VersionAt(ctx, []byte(key), ts)
	h.want("VersionAt", err, readable)
	if err == nil && (found != ok || found && !sameVersion(got, v)) {
		h.Fatalf("VersionAt(%q, %d) = %+v, %v; want %+v, %v", key, ts, got, found, v, ok)
	}
	committed, err := h.e.CommittedVersionAt(ctx, []byte(key), ts)
	h.want("CommittedVersionAt", err, nil)
	if committed != (ok && v.TS == ts) {
		h.Fatalf("CommittedVersionAt(%q, %d) = %v", key, ts, committed)
	}
	v, ok = h.m.at(key, math.MaxUint64)
	latest, found, err := h.e.LatestCommitTS(ctx, []byte(key))
	h.want("LatestCommitTS", err, nil)
	if found != ok || latest != v.TS {
		h.Fatalf("LatestCommitTS(%q) = %d, %v; want %d, %v", key, latest, found, v.TS, ok)
	}
}

func sameVersion(a, b store.VersionedValue) bool {
	return a.TS == b.TS && a.Tombstone == b.Tombstone && a.ExpireAt == b.ExpireAt && bytes.Equal(a.Value, b.Value)
}

func (h *history) scan(*rapid.T) {
	span, ts := h.span(), h.readTS()
	limit := rapid.IntRange(1, len(h.space.keys)+1).Draw(h.T, "limit")
	for order, scan := range map[store.Order]scanFunc{store.Ascending: h.e.ScanAt, store.Descending: h.e.ReverseScanAt} {
		got, err := scan(ctx, span.Start, span.End, limit, ts)
		h.want("scan", err, h.m.readable(ts))
		if err != nil {
			continue
		}
		want := h.m.scan(span, order, limit, ts)
		if len(got) != len(want) {
			h.Fatalf("scan %q at %d returns %d rows, want %d", span, ts, len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
				h.Fatalf("scan %q at %d: row %d is %q, want %q", span, ts, i, *got[i], want[i])
			}
		}
	}
}

func (h *history) walk(*rapid.T) {
	span, ts := h.span(), h.readTS()
	var want []string
	for _, key := range h.m.keys(span) {
		if v, ok := h.m.at(key, ts); ok && !v.Tombstone {
			want = append(want, key)
		}
	}
	n := 0
	err := h.e.WalkAt(ctx, span, store.Ascending, ts, func(key []byte, got store.VersionedValue) bool {
		if n >= len(want) || string(key) != want[n] {
			h.Fatalf("walk %q at %d comes to %q after %d keys, want %q", span, ts, key, n, want)
		}
		if v, _ := h.m.at(want[n], ts); !sameVersion(got, v) {
			h.Fatalf("walk %q at %d: %q has %+v, want %+v", span, ts, key, got, v)
		}
		n++
		return true
	})
	h.want("WalkAt", err, h.m.readable(ts))
	if err == nil && n != len(want) {
		h.Fatalf("walk %q at %d ends after %d keys, want %q", span, ts, n, want)
	}
}

// invariants compares what can be seen without a key, after every call.
func (h *history) invariants(*rapid.T) {
	if got := h.e.LastCommitTS(); got != h.m.last {
		h.Fatalf("LastCommitTS is %d, want %d", got, h.m.last)
	}
	if got := h.e.MinRetainedTS(); got != h.m.floor {
		h.Fatalf("MinRetainedTS is %d, want %d", got, h.m.floor)
	}
	if got := h.e.LastAppliedIndex(); got != h.m.index {
		h.Fatalf("LastAppliedIndex is %d, want %d", got, h.m.index)
	}
	if got := h.e.WriteConflictCountsByPrefix(); !maps.Equal(got, h.m.conflicts) {
		h.Fatalf("conflict counts are %v, want %v", got, h.m.conflicts)
	}
}

// everyVersion compares every key at every timestamp.
func (h *history) everyVersion() {
	for _, key := range h.space.keys {
		for ts := range h.space.tsMost + 2 {
			h.compareRead(key, ts)
		}
		h.compareRead(key, math.MaxUint64)
	}
}
