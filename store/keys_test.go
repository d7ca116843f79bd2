package store_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// keyTest is what a key is asked for: does it look like one of these, and what
// is its user key?
var keyTests = []struct {
	name    string
	is      func(key []byte) bool
	userKey func(key []byte) []byte
}{
	{"HashMeta", store.IsHashMetaKey, store.ExtractHashUserKeyFromMeta},
	{"HashField", store.IsHashFieldKey, store.ExtractHashUserKeyFromField},
	{"HashMetaDelta", store.IsHashMetaDeltaKey, store.ExtractHashUserKeyFromDelta},
	{"SetMeta", store.IsSetMetaKey, store.ExtractSetUserKeyFromMeta},
	{"SetMember", store.IsSetMemberKey, store.ExtractSetUserKeyFromMember},
	{"SetMetaDelta", store.IsSetMetaDeltaKey, store.ExtractSetUserKeyFromDelta},
	{"ZSetMeta", store.IsZSetMetaKey, store.ExtractZSetUserKeyFromMeta},
	{"ZSetMember", store.IsZSetMemberKey, store.ExtractZSetUserKeyFromMember},
	{"ZSetScore", store.IsZSetScoreKey, store.ExtractZSetUserKeyFromScore},
	{"ZSetMetaDelta", store.IsZSetMetaDeltaKey, store.ExtractZSetUserKeyFromDelta},
	{"ListMeta", store.IsListMetaKey, store.ExtractListUserKey},
	{"ListItem", store.IsListItemKey, store.ExtractListUserKey},
	{"ListMetaDelta", store.IsListMetaDeltaKey, store.ExtractListUserKeyFromDelta},
	{"ListClaim", store.IsListClaimKey, store.ExtractListUserKeyFromClaim},
	{"StreamMeta", store.IsStreamMetaKey, store.ExtractStreamUserKeyFromMeta},
	{"StreamEntry", store.IsStreamEntryKey, store.ExtractStreamUserKeyFromEntry},
}

// keyBuilders take the words of a line of testdata/format/keys.
var keyBuilders = map[string]func(a keyArgs) []byte{
	"HashMetaKey":              func(a keyArgs) []byte { return store.HashMetaKey(a.bytes(0)) },
	"HashFieldKey":             func(a keyArgs) []byte { return store.HashFieldKey(a.bytes(0), a.bytes(1)) },
	"HashFieldScanPrefix":      func(a keyArgs) []byte { return store.HashFieldScanPrefix(a.bytes(0)) },
	"HashMetaDeltaKey":         func(a keyArgs) []byte { return store.HashMetaDeltaKey(a.bytes(0), a.uint(1), uint32(a.uint(2))) },
	"HashMetaDeltaScanPrefix":  func(a keyArgs) []byte { return store.HashMetaDeltaScanPrefix(a.bytes(0)) },
	"SetMetaKey":               func(a keyArgs) []byte { return store.SetMetaKey(a.bytes(0)) },
	"SetMemberKey":             func(a keyArgs) []byte { return store.SetMemberKey(a.bytes(0), a.bytes(1)) },
	"SetMemberScanPrefix":      func(a keyArgs) []byte { return store.SetMemberScanPrefix(a.bytes(0)) },
	"SetMetaDeltaKey":          func(a keyArgs) []byte { return store.SetMetaDeltaKey(a.bytes(0), a.uint(1), uint32(a.uint(2))) },
	"SetMetaDeltaScanPrefix":   func(a keyArgs) []byte { return store.SetMetaDeltaScanPrefix(a.bytes(0)) },
	"ZSetMetaKey":              func(a keyArgs) []byte { return store.ZSetMetaKey(a.bytes(0)) },
	"ZSetMemberKey":            func(a keyArgs) []byte { return store.ZSetMemberKey(a.bytes(0), a.bytes(1)) },
	"ZSetMemberScanPrefix":     func(a keyArgs) []byte { return store.ZSetMemberScanPrefix(a.bytes(0)) },
	"ZSetScoreKey":             func(a keyArgs) []byte { return store.ZSetScoreKey(a.bytes(0), a.float(1), a.bytes(2)) },
	"ZSetScoreScanPrefix":      func(a keyArgs) []byte { return store.ZSetScoreScanPrefix(a.bytes(0)) },
	"ZSetScoreRangeScanPrefix": func(a keyArgs) []byte { return store.ZSetScoreRangeScanPrefix(a.bytes(0), a.float(1)) },
	"ZSetMetaDeltaKey":         func(a keyArgs) []byte { return store.ZSetMetaDeltaKey(a.bytes(0), a.uint(1), uint32(a.uint(2))) },
	"ZSetMetaDeltaScanPrefix":  func(a keyArgs) []byte { return store.ZSetMetaDeltaScanPrefix(a.bytes(0)) },
	"ListMetaKey":              func(a keyArgs) []byte { return store.ListMetaKey(a.bytes(0)) },
	"ListItemKey":              func(a keyArgs) []byte { return store.ListItemKey(a.bytes(0), a.int(1)) },
	"ListMetaDeltaKey":         func(a keyArgs) []byte { return store.ListMetaDeltaKey(a.bytes(0), a.uint(1), uint32(a.uint(2))) },
	"ListMetaDeltaScanPrefix":  func(a keyArgs) []byte { return store.ListMetaDeltaScanPrefix(a.bytes(0)) },
	"ListClaimKey":             func(a keyArgs) []byte { return store.ListClaimKey(a.bytes(0), a.int(1)) },
	"ListClaimScanPrefix":      func(a keyArgs) []byte { return store.ListClaimScanPrefix(a.bytes(0)) },
	"StreamMetaKey":            func(a keyArgs) []byte { return store.StreamMetaKey(a.bytes(0)) },
	"StreamEntryKey":           func(a keyArgs) []byte { return store.StreamEntryKey(a.bytes(0), a.uint(1), a.uint(2)) },
	"StreamEntryScanPrefix":    func(a keyArgs) []byte { return store.StreamEntryScanPrefix(a.bytes(0)) },
	"EncodeStreamID":           func(a keyArgs) []byte { return store.EncodeStreamID(a.uint(0), a.uint(1)) },
	"PrefixScanEnd":            func(a keyArgs) []byte { return store.PrefixScanEnd(a.bytes(0)) },
	"EncodeSortableFloat64": func(a keyArgs) []byte {
		b := store.EncodeSortableFloat64(a.float(0))
		return b[:]
	},
	// raw is a key as it stands, to see what is made of malformed ones.
	"raw": func(a keyArgs) []byte { return a.bytes(0) },
}

// TestKeyFormat holds every key to its golden bytes, and shows beside each what
// the predicates and extractors make of it.
func TestKeyFormat(t *testing.T) {
	datadriven.RunTest(t, "testdata/format/keys", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(strings.Join(append([]string{d.Cmd + args(d.CmdArgs)}, d.Input), "\n")) {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			build, ok := keyBuilders[words[0]]
			if !ok {
				d.Fatalf(t, "unknown builder %q", words[0])
			}
			key := build(keyArgs{t, words[1:]})
			if key == nil {
				fmt.Fprintf(&out, "nil\n")
				continue
			}
			fmt.Fprintf(&out, "%s%s\n", strconv.QuoteToASCII(string(key)), describeKey(key))
		}
		return out.String()
	})
}

func args(a []datadriven.CmdArg) string {
	var b strings.Builder
	for _, arg := range a {
		b.WriteString(" " + arg.String())
	}
	return b.String()
}

func describeKey(key []byte) string {
	var b strings.Builder
	for _, test := range keyTests {
		if !test.is(key) {
			continue
		}
		if userKey := test.userKey(key); userKey == nil {
			fmt.Fprintf(&b, " %s?", test.name)
		} else {
			fmt.Fprintf(&b, " %s(%s)", test.name, strconv.QuoteToASCII(string(userKey)))
		}
	}
	return b.String()
}

// keyArgs are words; bytes are written as in a Go string, "-" is nothing.
type keyArgs struct {
	t     *testing.T
	words []string
}

func (a keyArgs) bytes(i int) []byte {
	if a.words[i] == "-" {
		return nil
	}
	s, err := strconv.Unquote(`"` + a.words[i] + `"`)
	if err != nil {
		a.t.Fatalf("%q: %v", a.words[i], err)
	}
	return []byte(s)
}

func (a keyArgs) uint(i int) uint64 {
	n, err := strconv.ParseUint(a.words[i], 0, 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

func (a keyArgs) int(i int) int64 {
	n, err := strconv.ParseInt(a.words[i], 0, 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

func (a keyArgs) float(i int) float64 {
	f, err := strconv.ParseFloat(a.words[i], 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return f
}

// The append variants add the same bytes behind what is there.
func TestAppendKeys(t *testing.T) {
	u, x := []byte("user\x00key"), []byte("x\xff")
	for name, pair := range map[string]struct {
		plain    []byte
		appended []byte
	}{
		"HashMeta":    {store.HashMetaKey(u), store.AppendHashMetaKey([]byte("dst"), u)},
		"HashField":   {store.HashFieldKey(u, x), store.AppendHashFieldKey([]byte("dst"), u, x)},
		"SetMeta":     {store.SetMetaKey(u), store.AppendSetMetaKey([]byte("dst"), u)},
		"SetMember":   {store.SetMemberKey(u, x), store.AppendSetMemberKey([]byte("dst"), u, x)},
		"ZSetMeta":    {store.ZSetMetaKey(u), store.AppendZSetMetaKey([]byte("dst"), u)},
		"ZSetMember":  {store.ZSetMemberKey(u, x), store.AppendZSetMemberKey([]byte("dst"), u, x)},
		"ZSetScore":   {store.ZSetScoreKey(u, 1.5, x), store.AppendZSetScoreKey([]byte("dst"), u, 1.5, x)},
		"ListMeta":    {store.ListMetaKey(u), store.AppendListMetaKey([]byte("dst"), u)},
		"ListItem":    {store.ListItemKey(u, -7), store.AppendListItemKey([]byte("dst"), u, -7)},
		"StreamMeta":  {store.StreamMetaKey(u), store.AppendStreamMetaKey([]byte("dst"), u)},
		"StreamEntry": {store.StreamEntryKey(u, 5, 6), store.AppendStreamEntryKey([]byte("dst"), u, 5, 6)},
	} {
		if want := "dst" + string(pair.plain); string(pair.appended) != want {
			t.Errorf("%s: got %q, want %q", name, pair.appended, want)
		}
	}
}

var keySink []byte

// A builder allocates its result and nothing else.
func TestKeyBuilderAllocations(t *testing.T) {
	u, x := []byte("user key"), []byte("member")
	for name, build := range map[string]func() []byte{
		"HashMetaKey":      func() []byte { return store.HashMetaKey(u) },
		"HashFieldKey":     func() []byte { return store.HashFieldKey(u, x) },
		"HashMetaDeltaKey": func() []byte { return store.HashMetaDeltaKey(u, 1, 2) },
		"SetMemberKey":     func() []byte { return store.SetMemberKey(u, x) },
		"ZSetMemberKey":    func() []byte { return store.ZSetMemberKey(u, x) },
		"ZSetScoreKey":     func() []byte { return store.ZSetScoreKey(u, 1, x) },
		"ListMetaKey":      func() []byte { return store.ListMetaKey(u) },
		"ListItemKey":      func() []byte { return store.ListItemKey(u, 1) },
		"ListClaimKey":     func() []byte { return store.ListClaimKey(u, 1) },
		"StreamEntryKey":   func() []byte { return store.StreamEntryKey(u, 1, 2) },
		"PrefixScanEnd":    func() []byte { return store.PrefixScanEnd(u) },
	} {
		if n := testing.AllocsPerRun(100, func() { keySink = build() }); n != 1 {
			t.Errorf("%s allocates %v times, want 1", name, n)
		}
	}
}

// What extractors return for keys of another collection, and that an empty
// name is not nil.
func TestExtractNames(t *testing.T) {
	u, other := []byte("k"), []byte("kk")
	for _, c := range []struct {
		name    string
		build   func(userKey, name []byte) []byte
		extract func(key, userKey []byte) []byte
	}{
		{"HashField", store.HashFieldKey, store.ExtractHashFieldName},
		{"SetMember", store.SetMemberKey, store.ExtractSetMemberName},
		{"ZSetMember", store.ZSetMemberKey, store.ExtractZSetMemberName},
		{"ZSetScore", func(u, m []byte) []byte { return store.ZSetScoreKey(u, -2.5, m) },
			func(key, u []byte) []byte {
				score, member, ok := store.ExtractZSetScoreAndMember(key, u)
				if ok != (member != nil) || ok && score != -2.5 {
					t.Errorf("ExtractZSetScoreAndMember = %v, %q, %v", score, member, ok)
				}
				return member
			}},
	} {
		for _, name := range []string{"", "name", "k", "\x00"} {
			key := c.build(u, []byte(name))
			if got := c.extract(key, u); got == nil || string(got) != name {
				t.Errorf("%s: got %#v, want %q", c.name, got, name)
			}
			for _, wrong := range [][]byte{other, nil, []byte("j")} {
				if got := c.extract(key, wrong); got != nil {
					t.Errorf("%s of %q: got %q, want nil", c.name, wrong, got)
				}
			}
		}
		for n := range len(c.build(u, nil)) {
			if got := c.extract(c.build(u, nil)[:n], u); got != nil {
				t.Errorf("%s cut to %d bytes: got %q, want nil", c.name, n, got)
			}
		}
	}
}

// A result that a caller appends to must not run over the key behind it.
func TestExtractClipsCapacity(t *testing.T) {
	key := store.HashFieldKey([]byte("user"), []byte("field"))
	want := string(key)
	_ = append(store.ExtractHashUserKeyFromField(key), "XXXX"...)
	item := store.ListItemKey([]byte("user"), 5)
	_ = append(store.ExtractListUserKey(item), "XXXX"...)
	if string(key) != want || !bytes.Equal(item, store.ListItemKey([]byte("user"), 5)) {
		t.Errorf("appending to a user key has changed the key: %q, %q", key, item)
	}
}

func TestKeyOrder(t *testing.T) {
	userKey := rapid.SliceOfN(rapid.Byte(), 0, 4)
	t.Run("sortable float", rapid.MakeCheck(func(t *rapid.T) {
		a, b := rapid.Float64().Draw(t, "a"), rapid.Float64().Draw(t, "b")
		x, y := store.EncodeSortableFloat64(a), store.EncodeSortableFloat64(b)
		if got, want := bytes.Compare(x[:], y[:]), compare(a, b); got != want {
			t.Fatalf("order %d, want %d", got, want)
		}
		if back := store.DecodeSortableFloat64(x); back != a {
			t.Fatalf("decoded %v, want %v", back, a)
		}
	}))
	t.Run("score then member", rapid.MakeCheck(func(t *rapid.T) {
		u := userKey.Draw(t, "user key")
		a, b := rapid.Float64().Draw(t, "a"), rapid.Float64().Draw(t, "b")
		m, n := userKey.Draw(t, "m"), userKey.Draw(t, "n")
		want := compare(a, b)
		if want == 0 {
			want = bytes.Compare(m, n)
		}
		if got := bytes.Compare(store.ZSetScoreKey(u, a, m), store.ZSetScoreKey(u, b, n)); got != want {
			t.Fatalf("order %d, want %d", got, want)
		}
	}))
	t.Run("list item", rapid.MakeCheck(func(t *rapid.T) {
		u, a, b := userKey.Draw(t, "user key"), rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		for _, key := range []func([]byte, int64) []byte{store.ListItemKey, store.ListClaimKey} {
			if got, want := bytes.Compare(key(u, a), key(u, b)), compare(a, b); got != want {
				t.Fatalf("order %d, want %d", got, want)
			}
		}
		if seq, ok := store.ExtractListItemSeq(store.ListItemKey(u, a), u); !ok || seq != a {
			t.Fatalf("extracted %d, %v; want %d", seq, ok, a)
		}
	}))
	t.Run("stream entry", rapid.MakeCheck(func(t *rapid.T) {
		u := userKey.Draw(t, "user key")
		ms := rapid.SliceOfN(rapid.Uint64(), 2, 2).Draw(t, "ms")
		seq := rapid.SliceOfN(rapid.Uint64(), 2, 2).Draw(t, "seq")
		want := compare(ms[0], ms[1])
		if want == 0 {
			want = compare(seq[0], seq[1])
		}
		a, b := store.StreamEntryKey(u, ms[0], seq[0]), store.StreamEntryKey(u, ms[1], seq[1])
		if got := bytes.Compare(a, b); got != want {
			t.Fatalf("order %d, want %d", got, want)
		}
		if m, s, ok := store.ExtractStreamEntryID(a, u); !ok || m != ms[0] || s != seq[0] {
			t.Fatalf("extracted %d-%d, %v; want %d-%d", m, s, ok, ms[0], seq[0])
		}
	}))
	t.Run("delta", rapid.MakeCheck(func(t *rapid.T) {
		u, ts, seq := userKey.Draw(t, "user key"), rapid.Uint64().Draw(t, "ts"), rapid.Uint32().Draw(t, "seq")
		ts2, seq2 := rapid.Uint64().Draw(t, "ts2"), rapid.Uint32().Draw(t, "seq2")
		want := compare(ts, ts2)
		if want == 0 {
			want = compare(seq, seq2)
		}
		if got := bytes.Compare(store.SetMetaDeltaKey(u, ts, seq), store.SetMetaDeltaKey(u, ts2, seq2)); got != want {
			t.Fatalf("order %d, want %d", got, want)
		}
	}))
}

func compare[T float64 | int64 | uint64 | uint32](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// The rows of one collection never lie among those of another.
func TestKeysOfCollectionsDoNotMix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'b', 0xFF}), 0, 6)
		u, v, name := part.Draw(t, "u"), part.Draw(t, "v"), part.Draw(t, "name")
		if bytes.Equal(u, v) {
			t.Skip("one collection")
		}
		for kind, key := range map[string][]byte{
			"field": store.HashFieldKey(v, name), "member": store.SetMemberKey(v, name),
			"zset member": store.ZSetMemberKey(v, name), "score": store.ZSetScoreKey(v, 1, name),
			"claim": store.ListClaimKey(v, 1), "entry": store.StreamEntryKey(v, 1, 2),
		} {
			for _, prefix := range [][]byte{
				store.HashFieldScanPrefix(u), store.SetMemberScanPrefix(u), store.ZSetMemberScanPrefix(u),
				store.ZSetScoreScanPrefix(u), store.ListClaimScanPrefix(u), store.StreamEntryScanPrefix(u),
				store.HashMetaDeltaScanPrefix(u), store.ListMetaDeltaScanPrefix(u),
			} {
				if bytes.HasPrefix(key, prefix) {
					t.Fatalf("%s key %q of %q begins with the prefix %q of %q", kind, key, v, prefix, u)
				}
			}
		}
	})
}

func TestSortableFloatSpecials(t *testing.T) {
	rising := []float64{math.Inf(-1), -math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64, 1, math.MaxFloat64, math.Inf(1)}
	var encoded [][]byte
	for _, f := range rising {
		b := store.EncodeSortableFloat64(f)
		encoded = append(encoded, b[:])
		if back := store.DecodeSortableFloat64(b); back != f {
			t.Errorf("decoded %v, want %v", back, f)
		}
	}
	if !slices.IsSortedFunc(encoded, bytes.Compare) {
		t.Errorf("not in order: %x", encoded)
	}
	negative := store.EncodeSortableFloat64(math.Copysign(0, -1))
	if negative != store.EncodeSortableFloat64(0) || math.Signbit(store.DecodeSortableFloat64(negative)) {
		t.Error("minus zero is not encoded as zero")
	}
}
