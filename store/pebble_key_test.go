package store

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"pgregory.net/rapid"
)

func TestKeyBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"bound of empty key", appendKeyBound(nil, nil), "01" + "00000000" + "00"},
		{"bound", appendKeyBound(nil, []byte("ab")), "01" + "00000000" + "6162" + "00"},
		{"version", appendVersionKey(nil, []byte("ab"), 0x0102030405060708), "01" + "00000000" + "6162" + "00" + "fefdfcfbfaf9f8f7" + "09"},
		{"version at 0", appendVersionKey(nil, []byte("a"), 0), "01" + "00000000" + "61" + "00" + "ffffffffffffffff" + "09"},
		{"version at most", appendVersionKey(nil, []byte("a"), math.MaxUint64), "01" + "00000000" + "61" + "00" + "0000000000000000" + "09"},
		{"version of empty key", appendVersionKey(nil, nil, 1), "01" + "00000000" + "00" + "fffffffffffffffe" + "09"},
		{"end of data", appendDataEnd(nil), "01" + "00000001" + "00"},
		{"last commit timestamp", metaLastCommitTS, "00" + hex.EncodeToString([]byte("lastCommitTS")) + "00"},
		{"retention floor", metaRetentionFloor, "00" + hex.EncodeToString([]byte("retentionFloor")) + "00"},
		{"applied index", metaAppliedIndex, "00" + hex.EncodeToString([]byte("appliedIndex")) + "00"},
		{"compaction cursor", metaCompactionCursor, "00" + hex.EncodeToString([]byte("compactionCursor")) + "00"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestParseVersionKeyRefuses(t *testing.T) {
	good := appendVersionKey(nil, []byte("k"), 7)
	if key, ts, err := parseVersionKey(good); err != nil || string(key) != "k" || ts != 7 {
		t.Fatalf("got %q @%d %v, want k @7", key, ts, err)
	}
	for name, bad := range map[string][]byte{
		"empty":             {},
		"bound":             appendKeyBound(nil, []byte("k")),
		"own row":           metaLastCommitTS,
		"no sentinel":       bytes.Replace(good, []byte("k\x00"), []byte("kk"), 1),
		"other namespace":   append([]byte{2}, good[1:]...),
		"too short":         good[len(good)-keySuffixSize:],
		"without key bytes": append([]byte{namespaceData, 0, 0, 0, 0}, good[len(good)-keySuffixSize:]...),
	} {
		if key, ts, err := parseVersionKey(bad); err == nil {
			t.Errorf("%s: got %q @%d, want an error", name, key, ts)
		}
	}
}

// sharpKeys are user keys that are prefixes of one another, end like suffixes,
// or look like row keys.
func sharpKeys() [][]byte {
	keys := [][]byte{
		{}, []byte("a"), []byte("a\x00"), []byte("a\x00\x00"), []byte("a\x00b"), []byte("aa"), []byte("a\xff"), []byte("a\xff\xff"), []byte("b"),
		{0}, {0, 0}, {9}, {0, 9}, {0xff}, bytes.Repeat([]byte{9}, 9), bytes.Repeat([]byte{9}, 20), bytes.Repeat([]byte{0}, 9),
	}
	for n := range 20 {
		keys = append(keys, append(bytes.Repeat([]byte("x"), n), 9))
	}
	return append(keys, appendVersionKey(nil, []byte("a"), 5), appendVersionKey(nil, nil, 5)[1:])
}

func TestComparerSuite(t *testing.T) {
	// The suite takes every tail of every prefix and compares all with all.
	var prefixes [][]byte
	for _, k := range []string{"", "a", "a\x00", "a\x00b", "a\xff", "\x09", strings.Repeat("\x09", 9)} {
		prefixes = append(prefixes, appendKeyBound(nil, []byte(k)))
	}
	var suffixes [][]byte
	for _, ts := range []uint64{0, 9, 0x0909090909090909, math.MaxUint64} {
		suffixes = append(suffixes, appendKeySuffix(nil, ts))
	}
	if err := pebble.CheckComparer(keyComparer, prefixes, suffixes); err != nil {
		t.Fatal(err)
	}
}

// All sharp keys in one order, bounds and versions alike.
func TestComparerSorts(t *testing.T) {
	var keys []rowKey
	for _, user := range sharpKeys() {
		keys = append(keys, rowKey{user: user, bound: true})
		for _, ts := range []uint64{0, 1, 9, 0x0909090909090909, math.MaxUint64} {
			keys = append(keys, rowKey{user: user, ts: ts})
		}
	}
	slices.SortFunc(keys, rowKey.compare)
	for i := range keys {
		for j := range keys {
			if got, want := compareKeys(keys[i].encode(), keys[j].encode()), cmp.Compare(i, j); got != want && keys[i].compare(keys[j]) != 0 {
				t.Fatalf("%+v and %+v: got %d, want %d", keys[i], keys[j], got, want)
			}
		}
	}
}

// rowKey is what a row's key stands for; bounds sort before versions.
type rowKey struct {
	user  []byte
	bound bool
	ts    uint64
}

func (k rowKey) encode() []byte {
	if k.bound {
		return appendKeyBound(nil, k.user)
	}
	return appendVersionKey(nil, k.user, k.ts)
}

func (k rowKey) compare(o rowKey) int {
	if c := bytes.Compare(k.user, o.user); c != 0 {
		return c
	}
	if k.bound || o.bound {
		return cmp.Compare(btoi(o.bound), btoi(k.bound))
	}
	return cmp.Compare(o.ts, k.ts)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func drawRowKey(t *rapid.T, label string) rowKey {
	user := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 9, 'a', 'b', 0xfe, 0xff}), 0, 24).Draw(t, label)
	if rapid.IntRange(0, 3).Draw(t, label+" sharp") == 0 {
		user = rapid.SampledFrom(sharpKeys()).Draw(t, label+" sharp key")
	}
	return rowKey{
		user:  user,
		bound: rapid.Bool().Draw(t, label+" bound"),
		ts: rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, 9, 10, math.MaxUint64})).
			Draw(t, label+" ts"),
	}
}

func TestComparerAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawRowKey(t, "x"), drawRowKey(t, "y")
		if rapid.IntRange(0, 4).Draw(t, "same user key") == 0 {
			y.user = x.user
		}
		a, b := x.encode(), y.encode()
		want := x.compare(y)
		if got := compareKeys(a, b); got != want {
			t.Fatalf("compare(%x, %x) = %d, want %d", a, b, got, want)
		}
		if got := keyComparer.Equal(a, b); got != (want == 0) {
			t.Fatalf("equal(%x, %x) = %t", a, b, got)
		}
		if got, want := splitKey(a), len(appendKeyBound(nil, x.user)); got != want {
			t.Fatalf("split(%x) = %d, want %d", a, got, want)
		}
		if err := validateKey(a); err != nil {
			t.Fatal(err)
		}
		if ax, ay := abbreviateKey(a), abbreviateKey(b); ax < ay && want >= 0 || ax > ay && want <= 0 {
			t.Fatalf("abbreviations %x and %x of %x and %x", ax, ay, a, b)
		}
		if want < 0 {
			k := separateKeys([]byte("dst"), a, b)[3:]
			if validateKey(k) != nil || compareKeys(a, k) > 0 || compareKeys(k, b) >= 0 {
				t.Fatalf("separator %x of %x and %x", k, a, b)
			}
		}
		if k := succeedKey([]byte("dst"), a)[3:]; validateKey(k) != nil || compareKeys(a, k) > 0 {
			t.Fatalf("successor %x of %x", k, a)
		}
		bound := boundOf(a)
		next := keyComparer.ImmediateSuccessor(nil, bound)
		if splitKey(next) != len(next) || compareKeys(bound, next) >= 0 {
			t.Fatalf("immediate successor %x of %x", next, bound)
		}
		if y.bound && compareKeys(bound, b) < 0 && compareKeys(b, next) < 0 {
			t.Fatalf("bound %x lies between %x and its immediate successor", b, bound)
		}
	})
}

// The order of whatever bytes may come from a damaged disk is still an order.
func FuzzComparerIsTotal(f *testing.F) {
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		if compareKeys(a, b) != -compareKeys(b, a) {
			t.Fatalf("compare(%x, %x) is not antisymmetric", a, b)
		}
		if (compareKeys(a, b) == 0) != bytes.Equal(a, b) {
			t.Fatalf("compare(%x, %x) disagrees with equal", a, b)
		}
		if compareKeys(a, b) <= 0 && compareKeys(b, c) <= 0 && compareKeys(a, c) > 0 {
			t.Fatalf("compare is not transitive over %x, %x, %x", a, b, c)
		}
		_, _, _ = parseVersionKey(a)
		_ = fmt.Sprint(keyComparer.FormatKey(a))
	})
}

func TestFormatKey(t *testing.T) {
	for want, key := range map[string][]byte{
		`0/"a\x00"@7`:            appendVersionKey(nil, []byte("a\x00"), 7),
		`0/"a"`:                  appendKeyBound(nil, []byte("a")),
		`"\x00appliedIndex\x00"`: metaAppliedIndex,
	} {
		if got := fmt.Sprint(keyComparer.FormatKey(key)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestPrefixDeleteSpans(t *testing.T) {
	universe := sharpKeys()
	for _, prefix := range universe {
		for _, exclude := range universe {
			var got, want []string
			for _, key := range universe {
				if bytes.HasPrefix(key, prefix) && (len(exclude) == 0 || !bytes.HasPrefix(key, exclude)) {
					want = append(want, string(key))
				}
				for _, span := range (prefixDelete{prefix: prefix, exclude: exclude}).spans() {
					if bytes.Compare(span.Start, key) <= 0 && (span.End == nil || bytes.Compare(key, span.End) < 0) {
						got = append(got, string(key))
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("prefix %q exclude %q: got %q, want %q", prefix, exclude, got, want)
			}
		}
	}
}
