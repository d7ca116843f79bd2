package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// snapshotEntry is a version, or a range tombstone.
type snapshotEntry struct {
	key    string
	v      VersionedValue
	ranged *rangeTombstone
}

func (e snapshotEntry) String() string {
	if e.ranged != nil {
		return fmt.Sprintf("%q @%d, expired too: %t", e.ranged.span, e.ranged.ts, e.ranged.expired)
	}
	return fmt.Sprintf("%q %d %q %t %d", e.key, e.v.TS, e.v.Value, e.v.Tombstone, e.v.ExpireAt)
}

func writeEntries(t testing.TB, h snapshotHeader, entries []snapshotEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	sw := newSnapshotWriter(&b, h)
	for _, e := range entries {
		err := error(nil)
		if e.ranged != nil {
			err = sw.addRange(*e.ranged)
		} else {
			err = sw.add([]byte(e.key), e.v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := sw.close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readEntries(r io.Reader) (h snapshotHeader, entries []snapshotEntry, err error) {
	err = readSnapshot(r, snapshotSink{
		header: func(got snapshotHeader) error { h = got; return nil },
		ranged: func(r rangeTombstone) error {
			entries = append(entries, snapshotEntry{ranged: &r})
			return nil
		},
		version: func(key []byte, v VersionedValue) error {
			entries = append(entries, snapshotEntry{key: string(key), v: v})
			return nil
		},
	})
	return h, entries, err
}

var sampleHeader = snapshotHeader{LastCommitTS: 0x11, Floor: 0x22, AppliedIndex: 0x33}

func sampleEntries() []snapshotEntry {
	return []snapshotEntry{
		{ranged: &rangeTombstone{span: Span{[]byte("a"), []byte("b\x00")}, ts: 0x0102}},
		{ranged: &rangeTombstone{span: Span{[]byte{}, nil}, ts: math.MaxUint64, expired: true}},
		{key: "", v: VersionedValue{TS: 9, Value: []byte{}}},
		{key: "a", v: VersionedValue{TS: 5, Value: []byte("v"), ExpireAt: 7}},
		{key: "a", v: VersionedValue{TS: 4, Tombstone: true}},
		{key: "a", v: VersionedValue{TS: 0, Value: []byte("old")}},
		{key: "a\x00", v: VersionedValue{TS: 3, Tombstone: true}},
	}
}

func TestSnapshotBytes(t *testing.T) {
	got := writeEntries(t, sampleHeader, sampleEntries())
	content := "04" + "02" + "0000000000000102" + "00000001" + "61" + "00000002" + "6200" +
		"04" + "01" + "ffffffffffffffff" + "00000000" +
		"01" + "00000000" + // key ""
		"02" + "00" + "0000000000000009" + "00000000" +
		"01" + "00000001" + "61" + // key "a"
		"02" + "01" + "0000000000000005" + "0000000000000007" + "00000001" + "76" +
		"03" + "0000000000000004" +
		"02" + "00" + "0000000000000000" + "00000003" + "6f6c64" +
		"01" + "00000002" + "6100" + // key "a\x00"
		"03" + "0000000000000003"
	parts := []string{
		hex.EncodeToString([]byte("EKVSNAP\n")) + "00000001" + "0000000000000011" + "0000000000000022" + "0000000000000033",
		fmt.Sprintf("%08x", len(content)/2) + content,
		"00000000" + "0000000000000003" + "0000000000000005" + fmt.Sprintf("%016x", len(content)/2),
	}
	var want []byte
	sum := uint32(0)
	for _, p := range parts {
		raw, err := hex.DecodeString(p)
		if err != nil {
			t.Fatal(err)
		}
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), raw)
		want = binary.BigEndian.AppendUint32(append(want, raw...), sum)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
	// The sums too are the format: this is the whole stream's own.
	if all := crc32.ChecksumIEEE(got); all != 0x7b72ba5d {
		t.Errorf("checksum of the stream: got %#08x", all)
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 3*snapshotBlockSize/16)
	entries := append(sampleEntries(),
		snapshotEntry{key: "b" + big, v: VersionedValue{TS: 1, Value: []byte(big)}},
		snapshotEntry{key: "c", v: VersionedValue{TS: 2, Value: []byte(big[:snapshotBlockSize])}},
		snapshotEntry{key: "c", v: VersionedValue{TS: 1, Value: []byte(big[:snapshotBlockSize+1])}})
	for name, entries := range map[string][]snapshotEntry{"empty": nil, "sample": sampleEntries(), "large": entries} {
		stream := writeEntries(t, sampleHeader, entries)
		for how, r := range map[string]io.Reader{
			"whole": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)),
			"early EOF": iotest.DataErrReader(bytes.NewReader(stream)),
		} {
			h, got, err := readEntries(r)
			if err != nil || h != sampleHeader || !reflect.DeepEqual(got, entries) {
				t.Errorf("%s, %s: got %+v with %d entries, %v", name, how, h, len(got), err)
			}
		}
	}
}

func TestSnapshotCutAndFlipped(t *testing.T) {
	stream := writeEntries(t, sampleHeader, sampleEntries())
	for n := range stream {
		if _, _, err := readEntries(bytes.NewReader(stream[:n])); !errors.Is(err, ErrSnapshotTruncated) {
			t.Fatalf("cut at %d: got %v", n, err)
		}
	}
	for n := range stream {
		for bit := range 8 {
			bad := bytes.Clone(stream)
			bad[n] ^= 1 << bit
			if _, _, err := readEntries(bytes.NewReader(bad)); err == nil {
				t.Fatalf("byte %d bit %d flipped: no error", n, bit)
			}
		}
	}
	if _, _, err := readEntries(bytes.NewReader(append(bytes.Clone(stream), 0))); !errors.Is(err, ErrSnapshotMalformed) {
		t.Errorf("trailing byte: got %v", err)
	}
}

func TestSnapshotErrors(t *testing.T) {
	stream := writeEntries(t, sampleHeader, sampleEntries())
	flip := func(n int) []byte { b := bytes.Clone(stream); b[n] ^= 0x40; return b }
	newer := bytes.Clone(stream[:snapshotHeaderSize])
	newer[11] = 2
	newer = binary.BigEndian.AppendUint32(newer, crc32.Checksum(newer, castagnoli))
	broken := errors.New("broken pipe")
	for _, c := range []struct {
		name string
		r    io.Reader
		want error
	}{
		{"other file", strings.NewReader("#!/bin/sh\nexit 1\n and so on, and so on, and so on"), ErrNotSnapshot},
		{"nothing", strings.NewReader(""), ErrSnapshotTruncated},
		{"newer", bytes.NewReader(newer), ErrSnapshotTooNew},
		{"header", bytes.NewReader(flip(20)), ErrInvalidChecksum},
		{"content", bytes.NewReader(flip(snapshotHeaderSize + 4 + 4 + 3)), ErrInvalidChecksum},
		{"trailer", bytes.NewReader(flip(len(stream) - 10)), ErrInvalidChecksum},
		{"last byte", bytes.NewReader(flip(len(stream) - 1)), ErrInvalidChecksum},
		{"reader", io.MultiReader(bytes.NewReader(stream[:60]), iotest.ErrReader(broken)), broken},
		{"reader after the trailer", io.MultiReader(bytes.NewReader(stream), iotest.ErrReader(broken)), broken},
	} {
		if _, _, err := readEntries(c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// forge builds a stream with right sums around any content and counts.
func forge(content []byte, keys, versions uint64) []byte {
	var b bytes.Buffer
	sw := newSnapshotWriter(&b, sampleHeader)
	sw.put(content)
	sw.keys, sw.versions = keys, versions
	if err := sw.close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestSnapshotForged(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const keyA, keyB, at5 = "01 00000001 61", "01 00000001 62", "03 0000000000000005"
	const rangeAB = "04 02 0000000000000005 00000001 61 00000001 62"
	const rangeAll = "04 01 0000000000000006 00000000"
	for _, c := range []struct {
		name, content  string
		keys, versions uint64
		want           error
	}{
		{"good", keyA + at5, 1, 1, nil},
		{"key too long", "01 00100001" + at5, 1, 1, ErrSnapshotKeyTooLarge},
		{"value too long", keyA + "02 00 0000000000000005 10000001", 1, 1, ErrValueTooLarge},
		{"largest claims", keyA + "02 00 0000000000000005 10000000 00", 1, 1, ErrSnapshotMalformed},
		{"keys fall", keyB + at5 + keyA + at5, 2, 2, ErrSnapshotMalformed},
		{"key twice", keyA + at5 + keyA + "03 0000000000000004", 2, 2, ErrSnapshotMalformed},
		{"versions rise", keyA + at5 + "03 0000000000000006", 1, 2, ErrSnapshotMalformed},
		{"version twice", keyA + at5 + at5, 1, 2, ErrSnapshotMalformed},
		{"version without key", at5, 0, 1, ErrSnapshotMalformed},
		{"key without version", keyA + keyB + at5, 2, 1, ErrSnapshotMalformed},
		{"last key without version", keyA + at5 + keyB, 2, 1, ErrSnapshotMalformed},
		{"unknown record", keyA + "04 0000000000000005", 1, 1, ErrSnapshotMalformed},
		{"unknown flag", keyA + "02 02 0000000000000005 00000000", 1, 1, ErrSnapshotMalformed},
		{"expiry of 0", keyA + "02 01 0000000000000005 0000000000000000 00000000", 1, 1, ErrSnapshotMalformed},
		{"cut record", keyA + "03 00000000000000", 1, 1, ErrSnapshotMalformed},
		{"range tombstones", rangeAB + rangeAll + keyA + at5, 1, 1, nil},
		{"range tombstone behind a key", keyA + at5 + rangeAB, 1, 1, ErrSnapshotMalformed},
		{"range tombstone twice", rangeAB + rangeAB, 0, 0, ErrSnapshotMalformed},
		{"range tombstones fall", rangeAll + rangeAB, 0, 0, ErrSnapshotMalformed},
		{"empty range tombstone", "04 02 0000000000000005 00000001 61 00000001 61", 0, 0, ErrSnapshotMalformed},
		{"unknown flag of a range tombstone", "04 04 0000000000000005 00000001 61", 0, 0, ErrSnapshotMalformed},
		{"bound too long", "04 02 0000000000000005 00100002", 0, 0, ErrSnapshotKeyTooLarge},
		{"end too long", "04 02 0000000000000005 00000000 00100002", 0, 0, ErrSnapshotKeyTooLarge},
		{"cut range tombstone", "04 02 0000000000000005 00000001 61 000000", 0, 0, ErrSnapshotMalformed},
		{"wrong keys", keyA + at5, 2, 1, ErrSnapshotMalformed},
		{"wrong versions", keyA + at5, 1, 2, ErrSnapshotMalformed},
	} {
		if _, _, err := readEntries(bytes.NewReader(forge(unhex(c.content), c.keys, c.versions))); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSnapshotVersionCount(t *testing.T) {
	skipUnderRace(t)
	content := []byte{snapshotRecordKey, 0, 0, 0, 0}
	for ts := uint64(maxVersionsPerKey); ; ts-- {
		content = binary.BigEndian.AppendUint64(append(content, snapshotRecordTombstone), ts)
		if ts == 0 {
			break
		}
	}
	_, _, err := readEntries(bytes.NewReader(forge(content, 1, maxVersionsPerKey+1)))
	if !errors.Is(err, ErrSnapshotVersionCountTooLarge) {
		t.Errorf("read: got %v", err)
	}
	sw := newSnapshotWriter(io.Discard, sampleHeader)
	for ts := uint64(maxVersionsPerKey); ; ts-- {
		err = sw.add([]byte("k"), VersionedValue{TS: ts, Tombstone: true})
		if err != nil || ts == 0 {
			break
		}
	}
	if !errors.Is(err, ErrSnapshotVersionCountTooLarge) {
		t.Errorf("write: got %v", err)
	}
}

// A claim of 256 MiB with nothing behind it must not cost 256 MiB.
func TestSnapshotHostileLengthAllocates(t *testing.T) {
	content, err := hex.DecodeString("0100000001" + "61" + "02000000000000000005" + "10000000")
	if err != nil {
		t.Fatal(err)
	}
	stream := forge(append(content, make([]byte, 100)...), 1, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err = readEntries(bytes.NewReader(stream))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrSnapshotMalformed) {
		t.Fatalf("got %v", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("allocated %d bytes", got)
	}
}

func TestSnapshotWriterRefusesDisorder(t *testing.T) {
	for name, entries := range map[string][]snapshotEntry{
		"keys":     {{key: "b", v: VersionedValue{TS: 1}}, {key: "a", v: VersionedValue{TS: 1}}},
		"versions": {{key: "a", v: VersionedValue{TS: 1}}, {key: "a", v: VersionedValue{TS: 2}}},
		"twice":    {{key: "a", v: VersionedValue{TS: 1}}, {key: "a", v: VersionedValue{TS: 1}}},
		"too long": {{key: "a", v: VersionedValue{TS: 1}}, {key: strings.Repeat("k", maxKeySize+1), v: VersionedValue{TS: 1}}},
	} {
		sw := newSnapshotWriter(io.Discard, sampleHeader)
		if err := sw.add([]byte(entries[0].key), entries[0].v); err != nil {
			t.Fatal(err)
		}
		if err := sw.add([]byte(entries[1].key), entries[1].v); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := sw.close(); err == nil {
			t.Errorf("%s: closed without an error", name)
		}
	}
}

func FuzzReadSnapshot(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream []byte) {
		h, entries, err := readEntries(bytes.NewReader(stream))
		if err != nil {
			return
		}
		// There is one way only to write what was read, but for where blocks end.
		_, again, err := readEntries(bytes.NewReader(writeEntries(t, h, entries)))
		if err != nil || !reflect.DeepEqual(again, entries) {
			t.Fatalf("read back %v, %v, want %v", again, err, entries)
		}
	})
}

// FuzzSnapshotContent gets past the sums, to the decoder of records.
func FuzzSnapshotContent(f *testing.F) {
	f.Fuzz(func(t *testing.T, content []byte, keys, versions uint64) {
		h, entries, err := readEntries(bytes.NewReader(forge(content, keys, versions)))
		if err == nil && !bytes.Equal(writeEntries(t, h, entries), forge(content, keys, versions)) {
			t.Fatalf("%x reads as %v", content, entries)
		}
	})
}
