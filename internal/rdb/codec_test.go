package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestChecksum(t *testing.T) {
	if got := checksum([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("CRC-64 of the check string is %x", got)
	}
}

func TestLZF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "aaaaaaaa", "abc", "xyz\x00", strings.Repeat("q", 300), "\xff\xfe"}), 1, 400).Draw(t, "words")
		src := []byte(strings.Join(words, ""))
		packed, ok := lzfCompress([]byte("before"), src, 0)
		if !ok {
			return
		}
		if !bytes.HasPrefix(packed, []byte("before")) || len(packed)-6 > len(src) {
			t.Fatalf("%d bytes of %d", len(packed), len(src))
		}
		got, err := lzfExpand(packed[6:], uint64(len(src)))
		if err != nil || !bytes.Equal(got, src) {
			t.Fatalf("%v: got %d bytes, want %d", err, len(got), len(src))
		}
		if _, err := lzfExpand(packed[6:], uint64(len(src)+1)); err == nil {
			t.Fatal("a longer length was taken")
		}
	})
}

func TestLZFCompresses(t *testing.T) {
	src := bytes.Repeat([]byte("0123456789"), 1000)
	got, ok := lzfCompress(nil, src, compressGain)
	if !ok || len(got) > len(src)/50 {
		t.Errorf("%d bytes became %d", len(src), len(got))
	}
}

// TestListpackNumbers goes to the bounds of every form of a number.
func TestListpackNumbers(t *testing.T) {
	var want []int64
	for _, bit := range []int{0, 7, 12, 13, 15, 16, 23, 24, 31, 32, 63} {
		n := int64(1) << bit
		want = append(want, n-1, n, -n, -n-1, -n+1)
	}
	l := newListpack()
	for _, n := range want {
		l.addInt(n)
	}
	r := &reader{memory: memoryMost}
	got := r.listpack(l.finish())
	if r.err != nil || len(got) != len(want) {
		t.Fatalf("%d elements, %v", len(got), r.err)
	}
	for i, e := range got {
		if !e.isNum || e.num != want[i] {
			t.Errorf("%d became %d", want[i], e.num)
		}
	}
}

func TestListpackStrings(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 125, 126, 4095, 4096, 16380, 16381, 16382, 2097150, 2097151} {
		l := newListpack()
		want := bytes.Repeat([]byte("x"), n)
		l.add(want)
		l.add([]byte("end"))
		r := &reader{memory: memoryMost}
		got := r.listpack(l.finish())
		if r.err != nil || len(got) != 2 || !bytes.Equal(got[0].str, want) || string(got[1].str) != "end" {
			t.Errorf("%d bytes: %v", n, r.err)
		}
	}
}

// ziplistOf makes a ziplist of raw elements, each without the length of the one before.
func ziplistOf(elements ...string) []byte {
	b := make([]byte, ziplistHeader)
	last, before := ziplistHeader, 0
	for _, e := range elements {
		last = len(b)
		if before < 254 {
			b = append(b, byte(before))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, ziplistLong), uint32(before))
		}
		b = append(b, e...)
		before = len(b) - last
	}
	b = append(b, ziplistEnd)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], uint32(last))
	binary.LittleEndian.PutUint16(b[8:], uint16(len(elements)))
	return b
}

// listpackOf makes a listpack of strings.
func listpackOf(elements ...string) []byte {
	l := newListpack()
	for _, e := range elements {
		l.add([]byte(e))
	}
	return l.finish()
}

// payloadOf makes a payload of a type and strings.
func payloadOf(kind byte, strs ...[]byte) []byte {
	w := &writer{}
	w.kind(kind)
	for _, s := range strs {
		w.length(uint64(len(s)))
		w.b = append(w.b, s...)
	}
	return appendFooter(w.b, versionMost)
}

// raw makes a payload of a type and bytes.
func raw(kind byte, b ...byte) []byte {
	return appendFooter(append([]byte{kind}, b...), versionWritten)
}

// long is a ziplist element whose successor needs five bytes to say how long it is.
var long = "\x41\x00" + strings.Repeat("y", 256)

// OlderPayload is one that Redis 7.0 does not write any more, or not yet.
type OlderPayload struct {
	Name    string
	Payload []byte
	Want    string
	Newer   bool // than redis-server 7.0 reads
}

var olderPayloads = []OlderPayload{
	{"list", raw(typeList, 2, 1, 'a', 0xc0, 5), `list "a" "5"`, false},
	{"set", raw(typeSet, 1, 1, 'a'), `set "a"`, false},
	{"zset in digits", raw(typeZSet, 3, 1, 'a', 3, '1', '.', '5', 1, 'b', scoreInf, 1, 'c', scoreMinusInf), `zset "c"=-Inf "a"=1.5 "b"=+Inf`, false},
	{"zipmap", payloadOf(typeHashZipmap, []byte("\x02\x01a\x01\x001\x01b\x02\x01xyz\xff")), `hash "a"="1" "b"="xy"`, false},
	{"ziplist of a list", payloadOf(typeListZiplist, ziplistOf("\x01a", "\xf1", "\xfd", "\xfe\xff", "\xc0\x00\x80", "\xf0\x00\x00\x80", "\xd0\x00\x00\x00\x80", "\xe0\x00\x00\x00\x00\x00\x00\x00\x80", long, "\x80\x00\x00\x00\x01z")),
		`list "a" "0" "12" "-1" "-32768" "-8388608" "-2147483648" "-9223372036854775808" "yyyyyyyyyyyyyyyy"…(256) "z"`, false},
	{"ziplist of a zset", payloadOf(typeZSetZiplist, ziplistOf("\x01a", "\xf2", "\x01b", "\x032.5")), `zset "a"=1 "b"=2.5`, false},
	{"ziplist of a hash", payloadOf(typeHashZiplist, ziplistOf("\x01a", "\xf2", "\x01b", "\x032.5")), `hash "a"="1" "b"="2.5"`, false},
	{"quicklist", appendFooter(append([]byte{typeListQuick, 2}, quickNodes(ziplistOf("\x01a"), ziplistOf("\x01b", "\xf2"))...), versionWritten), `list "a" "b" "1"`, false},
	{"listpack of a set", payloadOf(typeSetListpack, listpackOf("a", "1")), `set "a" "1"`, true},
	{"hash with expiries", raw(typeHashExpiring, 100, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 'a', 1, 'x', 1, 1, 'b', 1, 'y', 11, 1, 'c', 1, 'z'), `hash "a"="x" "b"="y"@100 "c"="z"@110`, true},
	{"listpack of a hash with expiries", appendFooter(append([]byte{typeHashListpackEx, 100, 0, 0, 0, 0, 0, 0, 0}, quickNodes(listpackOf("b", "y", "100", "a", "x", "0"))...), versionMost), `hash "b"="y"@100 "a"="x"`, true},
	{"hash with the last expiries", raw(typeHashExpiring, 254, 255, 255, 255, 255, 0x3f, 0, 0, 2, 1, 1, 'a', 1, 'x', 2, 1, 'b', 1, 'y'), `hash "a"="x"@70368744177662 "b"="y"@70368744177663`, true},
	{"stream of Redis 5", raw(typeStream, oldStream()...), "stream last 1-2 deleted 0-0 added 2\n  1-1 \"a\" \"1\"\n  1-2 \"b\" \"2\"\n  group \"g\" last 1-1 read 1 consumer \"c\"\n    pending 1-1 of \"c\" deliveries 3", false},
}

func quickNodes(nodes ...[]byte) []byte {
	w := &writer{}
	for _, n := range nodes {
		w.length(uint64(len(n)))
		w.b = append(w.b, n...)
	}
	return w.b
}

func oldStream() []byte {
	w := &writer{}
	w.length(1)
	w.b = append(w.b, quickNodes(appendID(nil, ID{1, 1}),
		listpackOf("2", "1", "1", "a", "0", "2", "0", "0", "1", "4", "1", "0", "0", "1", "x", "y", "6", "0", "0", "1", "1", "b", "2", "6"))...)
	w.length(2)
	w.id(ID{1, 2})
	w.length(1)
	w.string([]byte("g"))
	w.id(ID{1, 1})
	w.length(1)
	w.b = appendID(w.b, ID{1, 1})
	w.moment(1000)
	w.length(3)
	w.length(1)
	w.string([]byte("c"))
	w.moment(2000)
	w.length(1)
	w.b = appendID(w.b, ID{1, 1})
	return w.b
}

func TestOlderPayloads(t *testing.T) {
	for _, c := range olderPayloads {
		v, err := Parse(c.Payload)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if got := show(v); got != c.Want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.Name, got, c.Want)
		}
		back, err := Parse(Append(nil, v))
		if err != nil || show(back) != c.Want {
			t.Errorf("%s: written and read again: %v", c.Name, err)
		}
	}
}

// badPayloads are well sealed and wrong inside.
var badPayloads = map[string][]byte{
	"nothing":                       appendFooter(nil, versionWritten),
	"no value":                      raw(typeString),
	"unknown type":                  raw(8, 1, 'a'),
	"module":                        raw(7, 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 0),
	"a string cut off":              raw(typeString, 5, 'a'),
	"bytes left over":               raw(typeString, 1, 'a', 'b'),
	"length form 0x82":              raw(typeString, 0x82, 1),
	"string form 5":                 raw(typeString, 0xc5, 1),
	"empty list":                    raw(typeList, 0),
	"claims many elements":          raw(typeList, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'),
	"claims a long string":          raw(typeString, 0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a'),
	"claims much compressed":        raw(typeString, 0xc3, 2, 0x80, 0x3f, 0xff, 0xff, 0xff, 0, 'a'),
	"compressed, refers before":     raw(typeString, 0xc3, 4, 4, 0, 'a', 0x20, 5),
	"compressed, cut off":           raw(typeString, 0xc3, 2, 10, 0xe0, 5),
	"set with a member twice":       raw(typeSet, 2, 1, 'a', 1, 'a'),
	"zset with NaN":                 raw(typeZSet, 1, 1, 'a', scoreNaN),
	"zset with NaN bits":            raw(typeZSet2, 1, 1, 'a', 1, 0, 0, 0, 0, 0, 0xf8, 0x7f),
	"zset with no number":           raw(typeZSet, 1, 1, 'a', 1, 'x'),
	"hash with a field twice":       raw(typeHash, 2, 1, 'a', 1, 'x', 1, 'a', 1, 'y'),
	"listpack with a field twice":   payloadOf(typeHashListpack, listpackOf("a", "x", "a", "y")),
	"listpack with a number twice":  payloadOf(typeHashListpack, listpackOf("1", "x", "1", "y")),
	"listpack of odd length":        payloadOf(typeHashListpack, listpackOf("a", "x", "b")),
	"listpack with a member twice":  payloadOf(typeZSetListpack, listpackOf("a", "1", "a", "2")),
	"listpack with a word as score": payloadOf(typeZSetListpack, listpackOf("a", "x")),
	"set listpack twice":            payloadOf(typeSetListpack, listpackOf("a", "a")),
	"empty listpack":                payloadOf(typeHashListpack, listpackOf()),
	"zipmap with a field twice":     payloadOf(typeHashZipmap, []byte("\x02\x01a\x01\x001\x01a\x01\x002\xff")),
	"zipmap that miscounts":         payloadOf(typeHashZipmap, []byte("\x01\x01a\x01\x001\x01b\x01\x002\xff")),
	"zipmap cut off":                payloadOf(typeHashZipmap, []byte("\x01\x05a\x01\x001\xff")),
	"intset of width 3":             payloadOf(typeSetIntset, []byte("\x03\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00")),
	"intset out of order":           payloadOf(typeSetIntset, []byte("\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x01\x00")),
	"intset with a number twice":    payloadOf(typeSetIntset, []byte("\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x02\x00")),
	"intset that miscounts":         payloadOf(typeSetIntset, []byte("\x02\x00\x00\x00\xff\xff\xff\xff\x02\x00\x02\x00")),
	"ziplist that miscounts":        payloadOf(typeListZiplist, badZiplist(8, 5)),
	"ziplist with a wrong tail":     payloadOf(typeListZiplist, badZiplist(4, 1)),
	"ziplist with a wrong size":     payloadOf(typeListZiplist, badZiplist(0, 200)),
	"ziplist that looks back wrong": payloadOf(typeListZiplist, badZiplist(13, 9)),
	"quicklist of empty nodes":      append([]byte{}, raw(typeListQuick, append([]byte{1}, quickNodes(ziplistOf())...)...)...),
	"node of kind 3":                raw(typeListQuick2, 1, 3, 1, 'a'),
	"hash, expiry too late":         raw(typeHashExpiring, 0, 0, 0, 0, 0, 0x40, 0, 0, 1, 1, 1, 'a', 1, 'x'),
	"hash, sum of expiry too late":  raw(typeHashExpiring, 255, 255, 255, 255, 255, 0x3f, 0, 0, 1, 2, 1, 'a', 1, 'x'),
	"listpack, expiry too late":     appendFooter(append([]byte{typeHashListpackEx, 1, 0, 0, 0, 0, 0, 0, 0}, quickNodes(listpackOf("a", "x", "70368744177664"))...), versionMost),
	"stream that miscounts":         raw(typeStream, 0, 1, 0, 0, 0),
	"stream, entry above the last":  raw(typeStream, append(append([]byte{1}, quickNodes(appendID(nil, ID{5, 0}), listpackOf("1", "0", "1", "a", "0", "2", "0", "0", "1", "4"))...), 1, 4, 0, 0)...),
	"stream, pending nobody's":      raw(typeStream, append(append([]byte{0, 0, 5, 0, 1, 1, 'g', 0, 0, 1}, make([]byte, 25)...), 0)...),
	"stream, group twice":           raw(typeStream, 0, 0, 5, 0, 2, 1, 'g', 0, 0, 0, 0, 1, 'g', 0, 0, 0, 0),
}

// badZiplist has one byte that is wrong.
func badZiplist(at int, with byte) []byte {
	b := ziplistOf("\x01a", "\x01b")
	b[at] = with
	return b
}

func TestBadPayloads(t *testing.T) {
	for name, p := range badPayloads {
		if v, err := Parse(p); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func TestFooter(t *testing.T) {
	good := Append(nil, String("value"))
	newer := appendFooter(append([]byte{}, good[:len(good)-footerSize]...), versionMost+1)
	for name, p := range map[string][]byte{"empty": nil, "short": good[:9], "newer": newer} {
		if _, err := Parse(p); !errors.Is(err, ErrFooter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := Parse(bad); !errors.Is(err, ErrFooter) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

// TestBomb gives a payload that would become more than anyone can store.
func TestBomb(t *testing.T) {
	const size = 1 << 16
	zeros, ok := lzfCompress(nil, make([]byte, size), 0)
	if !ok {
		t.Fatal("zeros do not compress")
	}
	const times = 400
	w := &writer{}
	w.kind(typeList)
	w.length(times)
	for range times {
		w.b = append(w.b, lenForm<<6|formLZF)
		w.length(uint64(len(zeros)))
		w.length(size)
		w.b = append(w.b, zeros...)
	}
	if _, err := parse(w.b, times/2*size); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := parse(w.b, times*2*size); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestScores(t *testing.T) {
	for _, f := range []float64{0, 1, -1, 0.1, 1 << 52, 1<<53 + 2, 1e100, -1e-300, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1)} {
		for _, compact := range []bool{true, false} {
			v, err := Parse(Append(nil, ZSet{[]Member{{[]byte("m"), f}}, compact}))
			if err != nil || v.(ZSet).Members[0].Score != f {
				t.Errorf("%g, compact %v: %v, %v", f, compact, v, err)
			}
		}
	}
}
