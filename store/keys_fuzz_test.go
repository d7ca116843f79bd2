package store_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// deltaTail is the commit timestamp and the number in its transaction that a delta
// key ends with.
const deltaTail = 8 + 4

// rebuilders take a key apart and build it again; nil says that the key is not of
// their kind. userKey is that of the collection which the key is asked for.
var rebuilders = map[string]func(key, userKey []byte) []byte{
	"hash meta":  rebuildMeta(store.ExtractHashUserKeyFromMeta, store.HashMetaKey),
	"hash field": rebuildNamed(store.ExtractHashUserKeyFromField, store.ExtractHashFieldName, store.HashFieldKey),
	"hash delta": rebuildDelta(store.ExtractHashUserKeyFromDelta, store.HashMetaDeltaKey),
	"set meta":   rebuildMeta(store.ExtractSetUserKeyFromMeta, store.SetMetaKey),
	"set member": rebuildNamed(store.ExtractSetUserKeyFromMember, store.ExtractSetMemberName, store.SetMemberKey),
	"set delta":  rebuildDelta(store.ExtractSetUserKeyFromDelta, store.SetMetaDeltaKey),
	"zset meta":  rebuildMeta(store.ExtractZSetUserKeyFromMeta, store.ZSetMetaKey),
	"zset member": rebuildNamed(store.ExtractZSetUserKeyFromMember, store.ExtractZSetMemberName,
		store.ZSetMemberKey),
	"zset delta":  rebuildDelta(store.ExtractZSetUserKeyFromDelta, store.ZSetMetaDeltaKey),
	"list delta":  rebuildDelta(store.ExtractListUserKeyFromDelta, store.ListMetaDeltaKey),
	"stream meta": rebuildMeta(store.ExtractStreamUserKeyFromMeta, store.StreamMetaKey),
	"zset score": func(key, _ []byte) []byte {
		score, member, ok := store.ExtractZSetScoreAndMember(key, store.ExtractZSetUserKeyFromScore(key))
		if !ok || score == 0 || math.IsNaN(score) { // of a zero the sign is dropped, of a NaN the rest
			return nil
		}
		return store.ZSetScoreKey(store.ExtractZSetUserKeyFromScore(key), score, member)
	},
	"list meta or item": func(key, _ []byte) []byte {
		u := store.ExtractListUserKey(key)
		switch seq, ok := store.ExtractListItemSeq(key, u); {
		case u == nil:
			return nil
		case ok && store.IsListItemKey(key):
			return store.ListItemKey(u, seq)
		}
		return store.ListMetaKey(u)
	},
	"list item of": func(key, userKey []byte) []byte {
		seq, ok := store.ExtractListItemSeq(key, userKey)
		if !ok {
			return nil
		}
		return store.ListItemKey(userKey, seq)
	},
	"list claim": func(key, _ []byte) []byte {
		u := store.ExtractListUserKeyFromClaim(key)
		if u == nil {
			return nil
		}
		// A claim ends as an item of the same number does.
		seq, _ := store.ExtractListItemSeq(append([]byte(store.ListItemPrefix), key[len(key)-8:]...), nil)
		return store.ListClaimKey(u, seq)
	},
	"stream entry": func(key, _ []byte) []byte {
		u := store.ExtractStreamUserKeyFromEntry(key)
		if u == nil {
			return nil
		}
		ms, seq, ok := store.ExtractStreamEntryID(key, u)
		if !ok {
			return []byte("an entry without an ID")
		}
		return store.StreamEntryKey(u, ms, seq)
	},
	"stream entry of": func(key, userKey []byte) []byte {
		ms, seq, ok := store.ExtractStreamEntryID(key, userKey)
		if !ok {
			return nil
		}
		return store.StreamEntryKey(userKey, ms, seq)
	},
}

func rebuildMeta(extract func([]byte) []byte, build func([]byte) []byte) func(key, _ []byte) []byte {
	return func(key, _ []byte) []byte {
		u := extract(key)
		if u == nil {
			return nil
		}
		return build(u)
	}
}

func rebuildNamed(extract func([]byte) []byte, name, build func(a, b []byte) []byte) func(key, _ []byte) []byte {
	return func(key, _ []byte) []byte {
		u := extract(key)
		if u == nil {
			return nil
		}
		return build(u, name(key, u))
	}
}

func rebuildDelta(extract func([]byte) []byte, build func([]byte, uint64, uint32) []byte) func(key, _ []byte) []byte {
	return func(key, _ []byte) []byte {
		u := extract(key)
		if u == nil {
			return nil
		}
		// The number of a delta has four bytes, which are the lower half of eight.
		tail := key[len(key)-deltaTail:]
		ts, seq, _ := store.DecodeStreamID(append(append(bytes.Clone(tail[:8]), 0, 0, 0, 0), tail[8:]...))
		return build(u, ts, uint32(seq))
	}
}

func sampleKeys(u, x []byte) [][]byte {
	return [][]byte{
		store.HashMetaKey(u), store.HashFieldKey(u, x), store.HashMetaDeltaKey(u, 1, 2),
		store.SetMetaKey(u), store.SetMemberKey(u, x), store.SetMetaDeltaKey(u, 1, 2),
		store.ZSetMetaKey(u), store.ZSetMemberKey(u, x), store.ZSetScoreKey(u, 1, x), store.ZSetMetaDeltaKey(u, 1, 2),
		store.ListMetaKey(u), store.ListItemKey(u, 1), store.ListMetaDeltaKey(u, 1, 2), store.ListClaimKey(u, 1),
		store.StreamMetaKey(u), store.StreamEntryKey(u, 1, 2),
	}
}

// FuzzExtract takes any bytes for a key: what is taken apart is built again as it
// was, lies inside the key, and is clipped so that appending to it cannot reach
// what stands behind it.
func FuzzExtract(f *testing.F) {
	f.Fuzz(func(t *testing.T, key, userKey []byte) {
		before := bytes.Clone(key)
		for _, test := range keyTests {
			got := test.userKey(key)
			if got == nil {
				continue
			}
			if !test.is(key) && test.name != "ListMeta" && test.name != "ListItem" {
				t.Errorf("%s: user key %q of a key of another kind, %q", test.name, got, key)
			}
			if !bytes.Contains(key, got) || cap(got) != len(got) {
				t.Errorf("%s: user key %q with %d bytes of room is not in %q", test.name, got, cap(got), key)
			}
		}
		for name, rebuild := range rebuilders {
			if again := rebuild(key, userKey); again != nil && !bytes.Equal(again, key) {
				t.Errorf("%s: %q was taken apart, but is built as %q", name, key, again)
			}
		}
		for name, part := range map[string][]byte{
			"field":       store.ExtractHashFieldName(key, userKey),
			"member":      store.ExtractSetMemberName(key, userKey),
			"zset member": store.ExtractZSetMemberName(key, userKey),
		} {
			if part != nil && (!bytes.HasSuffix(key, part) || cap(part) != len(part)) {
				t.Errorf("%s %q of %q is not the end of the key %q", name, part, userKey, key)
			}
		}
		if _, member, ok := store.ExtractZSetScoreAndMember(key, userKey); ok != (member != nil) || !bytes.HasSuffix(key, member) {
			t.Errorf("score of %q in %q: member %q, %t", userKey, key, member, ok)
		}
		if !bytes.Equal(key, before) {
			t.Errorf("%q was changed to %q", before, key)
		}
	})
}

// What is asked of every key that passes by must cost no memory.
func TestExtractAllocatesNothing(t *testing.T) {
	u := []byte("user")
	keys := append(sampleKeys(u, []byte("name")), []byte("!hs|fld|\xff\xff\xff\xffuser"), []byte("other"), nil)
	n := testing.AllocsPerRun(10, func() {
		for _, key := range keys {
			for _, test := range keyTests {
				if test.is(key) {
					keySink = test.userKey(key)
				}
			}
			keySink = store.ExtractHashFieldName(key, u)
			keySink = store.ExtractSetMemberName(key, u)
			keySink = store.ExtractZSetMemberName(key, u)
			_, keySink, _ = store.ExtractZSetScoreAndMember(key, u)
			_, _ = store.ExtractListItemSeq(key, u)
			_, _, _ = store.ExtractStreamEntryID(key, u)
		}
	})
	if n != 0 {
		t.Errorf("taking %d keys apart allocates %v times", len(keys), n)
	}
}

// FuzzSortableFloat decodes any eight bytes: what is a number is encoded as it was.
func FuzzSortableFloat(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte, y float64) {
		var a [8]byte
		copy(a[:], raw)
		x := store.DecodeSortableFloat64(a)
		b := store.EncodeSortableFloat64(y)
		if math.IsNaN(x) || math.IsNaN(y) {
			return
		}
		if again := store.EncodeSortableFloat64(x); again != a && x != 0 {
			t.Errorf("%x is decoded as %v and encoded as %x", a, x, again)
		}
		if x != 0 && bytes.Compare(a[:], b[:]) != compare(x, y) {
			t.Errorf("%v and %v: order of %x and %x is %d", x, y, a, b, bytes.Compare(a[:], b[:]))
		}
	})
}
