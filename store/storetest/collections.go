package storetest

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// RunCollections drives random histories of collections: changes by deltas and by
// owners, pushes and pops, folds between any two steps and within them, and
// compactions. Every length, at every moment, is compared with the sum of all
// changes up to it, and every list with a slice.
func RunCollections(t *testing.T, open func(t *testing.T) store.Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		e := interrupt(open(t))
		defer func() { _ = e.Close() }()
		h := &lengths{T: rt, e: e, changes: map[countedKey][]change{}, lists: map[string][]listState{}}
		h.c = store.NewCommitter(e, &h.clock)
		rt.Repeat(map[string]func(*rapid.T){
			"":         func(*rapid.T) { h.compare(math.MaxUint64) },
			"delta":    func(*rapid.T) { h.delta() },
			"owner":    func(*rapid.T) { h.owner() },
			"late":     func(*rapid.T) { h.late() },
			"arrive":   func(*rapid.T) { h.arrive() },
			"push":     func(*rapid.T) { h.push() },
			"pop":      func(*rapid.T) { h.pop() },
			"own":      func(*rapid.T) { h.own() },
			"remove":   func(*rapid.T) { h.remove() },
			"fold":     func(*rapid.T) { h.fold() },
			"fold all": func(*rapid.T) { h.foldAll() },
			"within":   func(*rapid.T) { h.within() },
			"compact":  func(*rapid.T) { h.compact() },
			"past":     func(*rapid.T) { h.compare(rapid.Uint64Range(0, h.clock.last).Draw(h.T, "ts")) },
		})
		for len(h.waiting) > 0 {
			h.arrive()
		}
		h.everyChange()
	})
}

// countedKey is one collection that is not a list.
type countedKey struct{ kind, key string }

// change is what one transaction has made of a length.
type change struct {
	ts uint64
	by int64
}

// listState is a list from ts on.
type listState struct {
	ts       uint64
	elements []string
}

// lengths is one random run, and what is to come out.
type lengths struct {
	*rapid.T
	e     *interrupted
	c     *store.Committer
	clock counter

	changes map[countedKey][]change
	lists   map[string][]listState
	waiting []func() // transactions with a timestamp that have not arrived yet
	pushed  int
}

// The keys are few, so that changes meet, and lie close together.
var collectionKeys = []string{"", "a", "a\x00", "\xff"}

func (h *lengths) key() []byte {
	return []byte(rapid.SampledFrom(collectionKeys).Draw(h.T, "key"))
}

func (h *lengths) countedKey() countedKey {
	return countedKey{rapid.SampledFrom([]string{"hash", "set", "zset"}).Draw(h.T, "kind"), string(h.key())}
}

// lengthAt is the naive sum.
func (h *lengths) lengthAt(k countedKey, ts uint64) (n int64) {
	for _, c := range h.changes[k] {
		if c.ts <= ts {
			n += c.by
		}
	}
	return n
}

func (h *lengths) listAt(key string, ts uint64) (elements []string) {
	for _, s := range h.lists[key] {
		if s.ts <= ts {
			elements = s.elements
		}
	}
	return elements
}

func (h *lengths) must(call string, err error) {
	if err != nil {
		h.Fatalf("%s: %v", call, err)
	}
}

// everyChange compares the moments before and at every change.
func (h *lengths) everyChange() {
	moments := map[uint64]bool{}
	for _, changes := range h.changes {
		for _, c := range changes {
			moments[c.ts-1], moments[c.ts] = true, true
		}
	}
	for _, states := range h.lists {
		for _, s := range states {
			moments[s.ts-1], moments[s.ts] = true, true
		}
	}
	for ts := range moments {
		h.compare(ts)
	}
}

// compare looks at everything at ts.
func (h *lengths) compare(ts uint64) {
	for kind, c := range collections {
		for _, key := range collectionKeys {
			want := int64(len(h.listAt(key, ts)))
			if kind != "list" {
				want = h.lengthAt(countedKey{kind, key}, ts)
			}
			got, err := c.len(h.e, []byte(key), ts)
			wantErr := h.wantError(c, key, ts)
			if !sameError(err, wantErr) || err == nil && got != want {
				h.Fatalf("the length of the %s %q at %d is %d, %v; want %d, %v", kind, key, ts, got, err, want, wantErr)
			}
			if kind == "list" && err == nil {
				h.compareElements(key, ts)
			}
		}
	}
}

// wantError returns what a reader of a length at ts is told.
func (h *lengths) wantError(c collection, key string, ts uint64) error {
	if ts != 0 && ts != math.MaxUint64 && ts < h.e.MinRetainedTS() {
		return store.ErrReadTSCompacted
	}
	if h.unfolded(c, key, ts) > store.MaxDeltaScanLimit {
		return store.ErrDeltaScanTruncated
	}
	return nil
}

// unfolded counts the deltas of a collection at ts.
func (h *lengths) unfolded(c collection, key string, ts uint64) int {
	deltaKey, _ := c.delta([]byte(key), 0, 0, store.ListMetaDelta{})
	prefix := deltaKey[:len(deltaKey)-12]
	rows, err := h.e.Engine.ScanAt(ctx, prefix, store.PrefixScanEnd(prefix), math.MaxInt, ts)
	h.must("scan of deltas", err)
	return len(rows)
}

func (h *lengths) compareElements(key string, ts uint64) {
	m, err := store.ListMetaAt(ctx, h.e, []byte(key), ts)
	h.must("ListMetaAt", err)
	for i, want := range h.listAt(key, ts) {
		got, err := h.e.GetAt(ctx, store.ListItemKey([]byte(key), m.Head+int64(i)), ts)
		if err != nil || string(got) != want {
			h.Fatalf("element %d of the list %q at %d is %q, %v; want %q", i, key, ts, got, err, want)
		}
	}
}
