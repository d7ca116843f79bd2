package store

import (
	"bytes"
	"math"
	"testing"
)

func TestRowCopies(t *testing.T) {
	const limit = 700
	row := func(i int) (key, value []byte) {
		switch {
		case i%100 == 7:
			return nil, nil
		case i%50 == 3:
			return []byte{byte(i)}, bytes.Repeat([]byte{byte(i)}, 3*bytesLeast)
		}
		return bytes.Repeat([]byte{byte(i)}, i%40), bytes.Repeat([]byte{byte(i + 1)}, i%200)
	}
	c := rowCopies{limit: limit}
	for i := range limit {
		key, value := row(i)
		c.add(key, value)
		clear(key)
		clear(value)
	}
	if len(c.list) != limit || len(c.pairs) != 0 {
		t.Fatalf("%d rows, and room for %d more", len(c.list), len(c.pairs))
	}
	for _, p := range c.list {
		if p.Key == nil || p.Value == nil {
			t.Fatal("an empty slice is nil")
		}
		_, _ = append(p.Key, "more"...), append(p.Value, "more"...)
	}
	for i, p := range c.list {
		if key, value := row(i); !bytes.Equal(p.Key, key) || !bytes.Equal(p.Value, value) {
			t.Errorf("row %d is %q: %q", i, p.Key, p.Value)
		}
	}
}

// A caller who wants all rows there are gets them in blocks, too.
func TestRowCopiesWithoutLimit(t *testing.T) {
	c := rowCopies{limit: math.MaxInt}
	const rows = 1000
	blocks := 0
	for range rows {
		before := cap(c.bytes) - len(c.bytes)
		c.add(make([]byte, 30), make([]byte, 100))
		if cap(c.bytes)-len(c.bytes) > before {
			blocks++
		}
	}
	if len(c.list) != rows || blocks > 12 {
		t.Errorf("%d rows in %d blocks", len(c.list), blocks)
	}
}

// Rows of one size take little more memory than they have bytes.
func TestRowCopiesFit(t *testing.T) {
	const limit = 100
	key, value := make([]byte, 30), make([]byte, 100)
	room := 0
	c := rowCopies{limit: limit}
	for range limit {
		before := cap(c.bytes)
		c.add(key, value)
		if cap(c.bytes) != before || room == 0 {
			room += cap(c.bytes)
		}
	}
	if most := limit * (len(key) + len(value)) * 5 / 4; room > most {
		t.Errorf("blocks of %d bytes, want at most %d", room, most)
	}
}
