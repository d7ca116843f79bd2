package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// The steps of a random history of collections.

// changeOf draws by how much a length that is n changes.
func (h *lengths) changeOf(n int64) int64 {
	return rapid.Int64Range(-min(n, 3), 4).Draw(h.T, "by")
}

// deltas returns parts deltas, of which the first changes the length of k.
func (h *lengths) deltas(k countedKey, by int64, parts int) func(ts uint64) []*store.KVPairMutation {
	return func(ts uint64) (mutations []*store.KVPairMutation) {
		for seq := range parts {
			d := store.ListMetaDelta{LenDelta: by}
			by = 0
			key, value := collections[k.kind].delta([]byte(k.key), ts, uint32(seq), d)
			mutations = append(mutations, &store.KVPairMutation{Key: key, Value: value})
		}
		return mutations
	}
}

// delta commits a change as deltas, now and then more of them than a fold takes
// at once.
func (h *lengths) delta() {
	k := h.countedKey()
	by := h.changeOf(h.lengthAt(k, math.MaxUint64))
	parts := rapid.OneOf(rapid.IntRange(1, 3), rapid.IntRange(1, store.MaxDeltaScanLimit+10)).Draw(h.T, "parts")
	ts, err := h.c.Update(ctx, func(uint64) (store.Change, error) {
		return store.Change{Mutations: h.deltas(k, by, parts)}, nil
	})
	h.must("delta", err)
	h.changes[k] = append(h.changes[k], change{ts, by})
}

// owner adds to the base.
func (h *lengths) owner() {
	k, by := h.countedKey(), rapid.Int64Range(0, 3).Draw(h.T, "by")
	ts, err := h.c.Update(ctx, func(startTS uint64) (store.Change, error) {
		key, _ := collections[k.kind].base([]byte(k.key), 0, 0)
		var base store.HashMeta // the metas of all three kinds are alike
		value, err := h.e.GetAt(ctx, key, startTS)
		if err == nil {
			base, err = store.UnmarshalHashMeta(value)
		}
		if err != nil && !errors.Is(err, store.ErrKeyNotFound) {
			return store.Change{}, err
		}
		_, value = collections[k.kind].base(nil, 0, base.Len+by)
		return store.Change{Mutations: func(uint64) []*store.KVPairMutation {
			return []*store.KVPairMutation{{Key: key, Value: value}}
		}}, nil
	})
	h.must("owner", err)
	h.changes[k] = append(h.changes[k], change{ts, by})
}

// late draws the timestamp of a delta that arrives in a later step.
func (h *lengths) late() {
	k, by, ts := h.countedKey(), rapid.Int64Range(0, 2).Draw(h.T, "by"), h.clock.Now()
	h.waiting = append(h.waiting, func() {
		// Below the floor the store refuses what was checked; this is not.
		m := h.deltas(k, by, 1)(ts)[0]
		if ts < h.e.MinRetainedTS() {
			return
		}
		h.must("late delta", h.e.PutAt(ctx, m.Key, m.Value, ts, 0))
		h.changes[k] = append(h.changes[k], change{ts, by})
	})
}

func (h *lengths) arrive() {
	if len(h.waiting) == 0 {
		h.Skip("nothing is on its way")
	}
	i := rapid.IntRange(0, len(h.waiting)-1).Draw(h.T, "which")
	h.waiting[i]()
	h.waiting = slices.Delete(h.waiting, i, i+1)
}

func (h *lengths) end() store.ListEnd {
	return store.ListEnd(rapid.Bool().Draw(h.T, "tail"))
}

func (h *lengths) push() {
	key, end := h.key(), h.end()
	var elements [][]byte
	for range rapid.IntRange(1, 3).Draw(h.T, "elements") {
		h.pushed++
		elements = append(elements, fmt.Append(nil, h.pushed))
	}
	ts, err := h.c.PushList(ctx, key, end, elements...)
	h.must("push", err)
	list := slices.Clone(h.listAt(string(key), ts))
	for _, element := range elements {
		if end == store.ListTail {
			list = append(list, string(element))
		} else {
			list = slices.Insert(list, 0, string(element))
		}
	}
	h.lists[string(key)] = append(h.lists[string(key)], listState{ts, list})
}

func (h *lengths) pop() {
	key, end, n := h.key(), h.end(), rapid.IntRange(1, 3).Draw(h.T, "n")
	popped, ts, err := h.c.PopList(ctx, key, end, n)
	h.must("pop", err)
	list := slices.Clone(h.listAt(string(key), ts))
	var want [][]byte
	for range min(n, len(list)) {
		at := 0
		if end == store.ListTail {
			at = len(list) - 1
		}
		want = append(want, []byte(list[at]))
		list = slices.Delete(list, at, at+1)
	}
	if !slices.EqualFunc(popped, want, slices.Equal) {
		h.Fatalf("pop of %d of %q at %d: got %q, want %q", n, key, ts, popped, want)
	}
	if len(want) > 0 {
		h.lists[string(key)] = append(h.lists[string(key)], listState{ts, list})
	}
}

// own adds an element at the tail as an owner does, who counts it in the base.
func (h *lengths) own() {
	key := h.key()
	h.pushed++
	element := fmt.Append(nil, h.pushed)
	ts, err := h.c.Update(ctx, func(startTS uint64) (store.Change, error) {
		m, err := store.ListMetaAt(ctx, h.e, key, startTS)
		if err != nil {
			return store.Change{}, err
		}
		var base store.ListMeta
		value, err := h.e.GetAt(ctx, store.ListMetaKey(key), startTS)
		if err == nil {
			base, err = store.UnmarshalListMeta(value)
		}
		if err != nil && !errors.Is(err, store.ErrKeyNotFound) {
			return store.Change{}, err
		}
		baseKey, value := collections["list"].base(key, base.Head, base.Len+1)
		return store.Change{
			ReadKeys: [][]byte{store.ListItemKey(key, m.Tail-1)},
			Mutations: func(uint64) []*store.KVPairMutation {
				return []*store.KVPairMutation{
					{Key: baseKey, Value: value},
					{Key: store.ListItemKey(key, m.Tail), Value: element},
					{Op: store.OpTypeDelete, Key: store.ListClaimKey(key, m.Tail)},
				}
			},
		}, nil
	})
	h.must("own", err)
	list := append(slices.Clone(h.listAt(string(key), ts)), string(element))
	h.lists[string(key)] = append(h.lists[string(key)], listState{ts, list})
}

// remove deletes every row of a list, and its base even if there is none.
func (h *lengths) remove() {
	key := h.key()
	ts, err := h.c.Update(ctx, func(startTS uint64) (store.Change, error) {
		m, err := store.ListMetaAt(ctx, h.e, key, startTS)
		if err != nil {
			return store.Change{}, err
		}
		ends := [][]byte{store.ListItemKey(key, m.Head-1), store.ListItemKey(key, m.Tail)}
		mutations := []*store.KVPairMutation{{Op: store.OpTypeDelete, Key: store.ListMetaKey(key)}}
		for _, prefix := range [][]byte{[]byte(store.ListItemPrefix), store.ListMetaDeltaScanPrefix(key), store.ListClaimScanPrefix(key)} {
			rows, err := h.e.ScanAt(ctx, prefix, store.PrefixScanEnd(prefix), math.MaxInt, startTS)
			if err != nil {
				return store.Change{}, err
			}
			for _, row := range rows {
				if _, ours := store.ExtractListItemSeq(row.Key, key); ours || !store.IsListItemKey(row.Key) {
					mutations = append(mutations, &store.KVPairMutation{Op: store.OpTypeDelete, Key: row.Key})
				}
			}
		}
		return store.Change{ReadKeys: ends, Mutations: func(uint64) []*store.KVPairMutation { return mutations }}, nil
	})
	h.must("remove", err)
	h.lists[string(key)] = append(h.lists[string(key)], listState{ts: ts})
}

func (h *lengths) fold() {
	kind := rapid.SampledFrom([]string{"hash", "set", "zset", "list"}).Draw(h.T, "kind")
	_, err := h.c.Fold(ctx, collections[kind].kind, h.key())
	h.must("fold", err)
}

func (h *lengths) foldAll() {
	alone := len(h.e.plans) == 0
	least := rapid.IntRange(0, 4).Draw(h.T, "least")
	f, err := store.NewDeltaFolder(h.c, store.DeltaFolderOptions{LeastDeltas: least})
	h.must("NewDeltaFolder", err)
	_, err = f.FoldOnce(ctx)
	h.must("FoldOnce", err)
	for kind, c := range collections {
		for _, key := range collectionKeys {
			if n := h.unfolded(c, key, math.MaxUint64); alone && n >= max(least, 1) {
				h.Fatalf("FoldOnce has left %d deltas of the %s %q", n, kind, key)
			}
		}
	}
}

// within does one thing in the middle of another.
func (h *lengths) within() {
	outer := rapid.SampledFrom([]string{"push", "pop", "own", "remove", "fold", "fold all", "owner", "length"}).Draw(h.T, "outer")
	inner := rapid.SampledFrom([]string{"push", "pop", "own", "remove", "fold", "delta", "owner"}).Draw(h.T, "inner")
	method := rapid.SampledFrom([]string{"GetAt", "ScanAt", "LatestCommitTS"}).Draw(h.T, "in")
	steps := map[string]func(){
		"push": h.push, "pop": h.pop, "own": h.own, "remove": h.remove, "fold": h.fold, "fold all": h.foldAll,
		"owner": h.owner, "delta": h.delta, "length": h.length,
	}
	for range rapid.IntRange(0, 4).Draw(h.T, "calls before") {
		h.e.before(method, func() {})
	}
	h.e.before(method, func() {
		h.e.plans = map[string][]func(){}
		steps[inner]()
	})
	steps[outer]()
	h.e.plans = map[string][]func(){}
}

// length reads the newest length of something, which may change meanwhile.
func (h *lengths) length() {
	k := h.countedKey()
	before := h.lengthAt(k, math.MaxUint64)
	n, err := collections[k.kind].len(h.e, []byte(k.key), math.MaxUint64)
	if errors.Is(err, store.ErrDeltaScanTruncated) {
		return
	}
	h.must("length", err)
	if after := h.lengthAt(k, math.MaxUint64); n != before && n != after {
		h.Fatalf("the length of %+v is %d, want %d or %d", k, n, before, after)
	}
}

func (h *lengths) compact() {
	ts := rapid.Uint64Range(0, h.clock.last).Draw(h.T, "ts")
	h.must("compact", h.e.Compact(ctx, ts))
}
