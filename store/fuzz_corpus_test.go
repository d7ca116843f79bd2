package store

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/internal/testkit/corpus"
)

// TestFuzzCorpus holds the seeds of the fuzz targets of this package: what the encoders make, the
// same cut and flipped, and what a decoder has to look at twice.
func TestFuzzCorpus(t *testing.T) {
	corpus.Check(t, map[string][]corpus.Seed{
		"FuzzParseVersionKey":          versionKeySeeds(),
		"FuzzComparerIsTotal":          comparerSeeds(),
		"FuzzParseRangeKey":            rangeKeySeeds(),
		"FuzzParseExpiryKey":           expiryKeySeeds(),
		"FuzzParseWriterRow":           writerRowSeeds(),
		"FuzzParseCompactionPass":      compactionPassSeeds(),
		"FuzzParseResealCursor":        resealCursorSeeds(),
		"FuzzParseValue":               valueSeeds(),
		"FuzzSealedRow":                sealedRowSeeds(t),
		"FuzzFormatFile":               formatFileSeeds(),
		"FuzzFSMSyncMode":              textSeeds("", "sync", "nosync", " NoSync\n", "no sync", "\x00nosync", "nosync\u00a0"),
		"FuzzReadSnapshot":             snapshotSeeds(t),
		"FuzzSnapshotContent":          snapshotContentSeeds(),
		"FuzzOpenSnapshot":             sealedSnapshotSeeds(t),
		"FuzzExtract":                  collectionKeySeeds(),
		"FuzzUnmarshal":                metaSeeds(t),
		"FuzzSortableFloat":            floatSeeds(),
		"FuzzDecodeWriteConflictLabel": textSeeds("write|hash", "read|other", "||", "", "|", "write|", "|hash", "a|b|c"),
		"FuzzPrefixEnds":               prefixSeeds(),
	})
}

// numbered returns a seed for each input, under its number.
func numbered(inputs ...[]byte) (seeds []corpus.Seed) {
	for i, b := range inputs {
		seeds = append(seeds, corpus.Of(fmt.Sprintf("n%02d", i), b))
	}
	return seeds
}

func textSeeds(texts ...string) (seeds []corpus.Seed) {
	for i, text := range texts {
		seeds = append(seeds, corpus.Of(fmt.Sprintf("n%02d", i), text))
	}
	return seeds
}

func versionKeySeeds() []corpus.Seed {
	keys := [][]byte{metaAppliedIndex}
	for _, user := range sharpKeys()[:17] {
		keys = append(keys, appendVersionKey(nil, user, 0x0909090909090909), appendKeyBound(nil, user))
	}
	return append(numbered(keys...), corpus.Bent("key", appendVersionKey(nil, []byte("key"), 7))...)
}

func comparerSeeds() []corpus.Seed {
	a, b := appendVersionKey(nil, []byte("a"), 1), appendVersionKey(nil, []byte("a\x00"), 2)
	return append(corpus.Bent("versions", a, b, appendKeyBound(nil, []byte("a"))),
		corpus.Of("damaged", []byte{}, []byte{9}, a),
		corpus.Of("nines", bytes.Repeat([]byte{9}, 9), bytes.Repeat([]byte{9}, 10), []byte{0}))
}

func rangeKeySeeds() (seeds []corpus.Seed) {
	for i, r := range []rangeTombstone{
		{span: Span{Start: []byte{}}, ts: math.MaxUint64, expired: true},
		{span: Span{[]byte("a"), []byte("b\x00")}, ts: 0x0102},
		{span: Span{[]byte("a"), []byte("b")}, ts: 7, expired: true},
		{span: Span{bytes.Repeat([]byte{9}, 20), bytes.Repeat([]byte{9}, 21)}, ts: 9},
	} {
		seeds = append(seeds, corpus.Bent(fmt.Sprintf("range%d", i), appendRangeKey(nil, r))...)
	}
	return append(seeds, corpus.Of("hostile-length", []byte("\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x02\xff\xff\xff\xffab\x00")))
}

func expiryKeySeeds() []corpus.Seed {
	seeds := append(corpus.Bent("key", appendExpiryKey(nil, 0x0102, []byte("key"))),
		corpus.Bent("empty-key", appendExpiryKey(nil, math.MaxUint64, nil))...)
	return append(seeds, corpus.Of("bound", appendKeyBound(nil, []byte("key"))))
}

func writerRowSeeds() []corpus.Seed {
	w := encryption.WriterRow{KeyID: 7, NodeID: 0x0102030405060708, FirstEpoch: 3, LastEpoch: 4}
	row := appendWriterRow(nil, w)
	return append(corpus.Bent("row", appendWriterKey(nil, w.KeyID, encryption.FoldNodeID(w.NodeID)), row),
		corpus.Of("other-node", appendWriterKey(nil, w.KeyID, 1), row))
}

func compactionPassSeeds() []corpus.Seed {
	first := compactionPass{begin: []byte{}, next: []byte{}}
	wrapped := compactionPass{floor: math.MaxUint64, begin: []byte("b"), next: []byte("a\x00"), wrapped: true}
	seeds := append(corpus.Bent("first", first.append(nil)), corpus.Bent("wrapped", wrapped.append(nil))...)
	return append(seeds, corpus.Of("hostile-length", append(make([]byte, 3*8), "\x00\xff\xff\xff\xffkey"...)))
}

func resealCursorSeeds() []corpus.Seed {
	cursor := func(next []byte) []byte { return (&resealPass{below: 2, next: next}).appendCursor(nil) }
	tombstone := rangeTombstone{span: Span{[]byte("a"), []byte("b")}, ts: 7}
	seeds := append(corpus.Bent("version", cursor(appendVersionKey(nil, []byte("key"), 7))),
		corpus.Bent("tombstone", cursor(appendRangeKey(nil, tombstone)))...)
	return append(seeds,
		corpus.Of("begin", cursor(appendKeyBound(nil, nil))),
		corpus.Of("end", cursor(resealEnd())),
		corpus.Of("behind-end", cursor([]byte{0xff, keySentinel})),
		corpus.Of("before-begin", cursor(metaAppliedIndex)),
		corpus.Of("no-key", cursor(nil)),
		corpus.Of("below-nothing", append(make([]byte, 4), appendKeyBound(nil, nil)...)),
		corpus.Of("empty", []byte{}))
}

func valueSeeds() (seeds []corpus.Seed) {
	for _, g := range goldenVersions {
		row := append(appendValueHeader(nil, g.v, valueStateClear), g.v.Value...)
		seeds = append(seeds, corpus.Bent(fileName(g.name), row)...)
	}
	return append(seeds, numbered([]byte{}, []byte{0x02}, []byte{0x04}, []byte{0x06}, []byte{0x10}, []byte("\x01x"),
		[]byte("\x08\x00\x00\x00\x00\x00\x00\x00\x00x"), []byte("\x09\x00\x00\x00\x00\x00\x00\x00\x01"))...)
}

// fileName turns a name of several words into one of a file.
func fileName(words string) string { return strings.ReplaceAll(words, " ", "-") }

func sealedRowSeeds(t *testing.T) (seeds []corpus.Seed) {
	_, _, sealed := sealedRows(t)
	for i, row := range sealed {
		name := fileName(goldenVersions[i].name)
		seeds = append(seeds, corpus.Bent(name, row)...)
		seeds = append(seeds, corpus.Of(name+"-marked-clear", append([]byte{0}, row[1:]...)))
	}
	return append(seeds, numbered([]byte{}, []byte{0}, []byte{1}, []byte{2}, []byte("\x0a\x00\x00\x00\x00\x00\x00\x00\x01"),
		[]byte("\x02\x01\x00\x00\x00\x00\x01\x00"))...)
}

func formatFileSeeds() []corpus.Seed {
	var texts [][]byte
	for _, text := range []string{
		"", "elastickv store\nformat 1\n", "elastickv store\nformat 1\nmore", "elastickv store\nformat 2\n", "elastickv store\nformat 1",
		"elastickv store\nformat +1\n", "elastickv store\nformat 0\n", "elastickv store\nformat 4294967296\n", "elastickv store\nformat 01\n",
		"elastickv store\n", "opening hours\n", strings.Repeat("x", formatSizeMost+1), formatHead + strings.Repeat("0", formatSizeMost) + "1\n",
		"elastickv store\nformat 3\n",
	} {
		texts = append(texts, []byte(text))
	}
	return numbered(texts...)
}

func snapshotSeeds(t *testing.T) []corpus.Seed {
	return append(corpus.Bent("entries", writeEntries(t, sampleHeader, sampleEntries())),
		corpus.Bent("empty", writeEntries(t, snapshotHeader{}, nil))...)
}

func snapshotContentSeeds() []corpus.Seed {
	one, two := uint64(1), uint64(2)
	value := []byte("\x01\x00\x00\x00\x01a\x02\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01v")
	return append(corpus.Bent("value", value, one, one),
		corpus.Of("tombstone", []byte("\x01\x00\x00\x00\x01a\x03\x00\x00\x00\x00\x00\x00\x00\x05"), one, one),
		corpus.Of("ranges", []byte("\x04\x02\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x01a\x00\x00\x00\x01b"+
			"\x04\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), uint64(0), uint64(0)),
		corpus.Of("empty-key", []byte("\x01\x00\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00"), one, one),
		corpus.Of("miscounted", value, two, one),
		corpus.Of("hostile-key", []byte("\x01\xff\xff\xff\xffa"), one, one),
		corpus.Of("nothing", []byte{}, uint64(0), uint64(0)))
}

func sealedSnapshotSeeds(t *testing.T) []corpus.Seed {
	s := openSealedSnapshots(t, newSealer(t))
	fillOld(t, s)
	image := imageOf(t, s)
	return append(corpus.Bent("image", image),
		corpus.Of("head", image[:40]),
		corpus.Of("older", []byte(snapshotMagic+"\x00\x00\x00\x01")))
}

func collectionKeySeeds() (seeds []corpus.Seed) {
	u, x := []byte("user"), []byte("name")
	for i, key := range [][]byte{
		HashMetaKey(u), HashFieldKey(u, x), HashMetaDeltaKey(u, 1, 2),
		SetMetaKey(u), SetMemberKey(u, x), SetMetaDeltaKey(u, 1, 2),
		ZSetMetaKey(u), ZSetMemberKey(u, x), ZSetScoreKey(u, 1, x), ZSetMetaDeltaKey(u, 1, 2),
		ListMetaKey(u), ListItemKey(u, 1), ListMetaDeltaKey(u, 1, 2), ListClaimKey(u, 1),
		StreamMetaKey(u), StreamEntryKey(u, 1, 2),
		[]byte("!hs|fld|\xff\xff\xff\xffuser"), []byte("!zs|scr|\x00\x00\x00\x04user1234567"), []byte("!lst|itm|"),
		[]byte("!lst|meta|d|\xff\xff\xff\xf0"), []byte("!stream|entry|\xff\xff\xff\xf0user1234567890123456"),
	} {
		seeds = append(seeds, corpus.Of(fmt.Sprintf("n%02d", i), key, u), corpus.Of(fmt.Sprintf("n%02d-cut", i), key[:len(key)-1], []byte{}))
	}
	return append(seeds, corpus.Bent("score", ZSetScoreKey(u, -1.5, x), u)...)
}

func metaSeeds(t *testing.T) (seeds []corpus.Seed) {
	list, err := MarshalListMeta(ListMeta{Head: -3, Tail: 4, Len: 7})
	must(t, err)
	stream, err := MarshalStreamMeta(StreamMeta{Length: 1, LastMs: 2, LastSeq: 3})
	must(t, err)
	for _, of := range []struct {
		name string
		b    []byte
	}{
		{"hash", MarshalHashMeta(HashMeta{Len: 5})}, {"set", MarshalSetMeta(SetMeta{Len: 6})}, {"zset", MarshalZSetMeta(ZSetMeta{Len: 7})},
		{"list", list}, {"stream", stream}, {"hash-delta", MarshalHashMetaDelta(HashMetaDelta{LenDelta: -1})},
		{"list-delta", MarshalListMetaDelta(ListMetaDelta{HeadDelta: -1, LenDelta: 1})}, {"id", EncodeStreamID(1, 2)},
	} {
		seeds = append(seeds, corpus.Bent(of.name, of.b)...)
	}
	for _, n := range []int{0, 7, 8, 16, 24, 25} {
		seeds = append(seeds, corpus.Of(fmt.Sprintf("zeros%d", n), make([]byte, n)), corpus.Of(fmt.Sprintf("ones%d", n), bytes.Repeat([]byte{0xff}, n)))
	}
	return append(seeds, corpus.Of("list-of-other-lengths", slices.Concat(
		MarshalHashMeta(HashMeta{Len: 5}), MarshalHashMeta(HashMeta{Len: 8}), MarshalHashMeta(HashMeta{Len: 3}))))
}

func floatSeeds() (seeds []corpus.Seed) {
	for i, x := range []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN()} {
		b := EncodeSortableFloat64(x)
		seeds = append(seeds, corpus.Of(fmt.Sprintf("n%02d", i), b[:], x))
	}
	return append(seeds, corpus.Of("short", []byte("1234"), 2.0))
}

func prefixSeeds() (seeds []corpus.Seed) {
	for i, pair := range [][2]string{
		{"a", "a\xff\xff"}, {"a\xff", "b"}, {"\xff\xff", "\xff\xff\xff"}, {"", "x"}, {"a\xff\xff", "b\x00\x00"}, {"a\x00", "a"},
	} {
		seeds = append(seeds, corpus.Of(fmt.Sprintf("n%02d", i), []byte(pair[0]), []byte(pair[1])))
	}
	return seeds
}
