package rdb

import (
	"os"
	"strings"
	"testing"
)

// FuzzParse gives any bytes, with a footer that fits: no panic, no more memory than the
// bytes are worth, and what is taken can be written and read again.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/payloads.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "----\n")[1:] {
		p := Unhex(f, block)
		f.Add(p[:len(p)-footerSize])
	}
	for _, c := range olderPayloads {
		f.Add(c.Payload[:len(c.Payload)-footerSize])
	}
	for _, p := range badPayloads {
		f.Add(p[:len(p)-footerSize])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(appendFooter(b, versionMost))
		if err != nil {
			return
		}
		back, err := Parse(Append(nil, v))
		if err != nil || show(back) != show(v) {
			t.Errorf("written and read again: %v\n%s\nwant %s", err, show(back), show(v))
		}
	})
}

// FuzzLZF gives any bytes and any claim.
func FuzzLZF(f *testing.F) {
	for _, s := range []string{"", "a", strings.Repeat("abc", 100)} {
		b, _ := lzfCompress(nil, []byte(s), -1<<10)
		f.Add(b, uint64(len(s)))
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint64) {
		if out, err := lzfExpand(b, n); err == nil && uint64(len(out)) != n {
			t.Errorf("%d bytes instead of %d", len(out), n)
		}
		packed, ok := lzfCompress(nil, b, -len(b)/16-16)
		if len(b) == 0 {
			return
		}
		if !ok {
			t.Fatal("grew too much")
		}
		if out, err := lzfExpand(packed, uint64(len(b))); err != nil || string(out) != string(b) {
			t.Errorf("compressed and expanded: %v", err)
		}
	})
}
