package bitmap

import (
	"bytes"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// digits is b as a string of 0 and 1, which the tests go by.
func digits(b []byte) []byte {
	var out []byte
	for _, c := range b {
		for i := 7; i >= 0; i-- {
			out = append(out, '0'+c>>i&1)
		}
	}
	return out
}

// bitmaps draws long runs of one bit more often than chance does.
func bitmaps() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		b := bytes.Repeat([]byte{rapid.SampledFrom([]byte{0, 0xff}).Draw(t, "fill")}, rapid.IntRange(0, 40).Draw(t, "length"))
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		return b
	})
}

func drawSpan(t *rapid.T, b []byte) Span {
	first := rapid.IntRange(0, max(8*len(b)-1, 0)).Draw(t, "first")
	return Span{int64(first), int64(rapid.IntRange(-1, 8*len(b)-1).Draw(t, "last"))}
}

func TestCountAndPosition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bitmaps().Draw(t, "bitmap")
		s := drawSpan(t, b)
		var part []byte
		if s.First <= s.Last {
			part = digits(b)[s.First : s.Last+1]
		}
		if got, want := Count(b, s), int64(bytes.Count(part, []byte{'1'})); got != want {
			t.Errorf("Count(%x, %v) = %d, want %d", b, s, got, want)
		}
		for bit := range 2 {
			want := int64(bytes.IndexByte(part, '0'+byte(bit)))
			if want >= 0 {
				want += s.First
			}
			if got := Position(b, s, bit); got != want {
				t.Errorf("Position(%x, %v, %d) = %d, want %d", b, s, bit, got, want)
			}
		}
	})
}

func TestGetAndSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bitmaps().Draw(t, "bitmap")
		want := digits(b)
		at := rapid.IntRange(0, 8*len(b)+8).Draw(t, "at")
		if at >= len(want) {
			if Get(b, uint64(at)) != 0 {
				t.Errorf("Get(%x, %d) is not 0", b, at)
			}
			return
		}
		bit := rapid.IntRange(0, 1).Draw(t, "bit")
		Set(b, uint64(at), bit)
		want[at] = '0' + byte(bit)
		if got := digits(b); !bytes.Equal(got, want) || Get(b, uint64(at)) != bit {
			t.Errorf("Set(%d, %d): %s, want %s", at, bit, got, want)
		}
	})
}

// combine returns what op makes of sources, of which it keeps and changes none.
func combine(op Op, sources ...[]byte) []byte {
	c := NewCombination(op)
	for _, b := range sources {
		copied := bytes.Clone(b)
		c.Add(copied)
		clear(copied)
	}
	return c.Bytes()
}

func TestCombine(t *testing.T) {
	byteByByte := map[Op]func(a, b byte) byte{
		And: func(a, b byte) byte { return a & b },
		Or:  func(a, b byte) byte { return a | b },
		Xor: func(a, b byte) byte { return a ^ b },
	}
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.SliceOfN(bitmaps(), 1, 5).Draw(t, "sources")
		longest := 0
		for _, b := range sources {
			longest = max(longest, len(b))
		}
		at := func(b []byte, i int) byte {
			if i < len(b) {
				return b[i]
			}
			return 0
		}
		for op, do := range byteByByte {
			want := make([]byte, longest)
			for i := range want {
				want[i] = at(sources[0], i)
				for _, b := range sources[1:] {
					want[i] = do(want[i], at(b, i))
				}
			}
			if got := combine(op, sources...); !bytes.Equal(got, want) {
				t.Errorf("combination %d of %x is %x, want %x", op, sources, got, want)
			}
		}
		inverted := combine(Not, sources[0])
		for i, c := range sources[0] {
			if inverted[i] != ^c {
				t.Errorf("not %x is %x", sources[0], inverted)
			}
		}
	})
}

func drawField(t *rapid.T) Field {
	f := Field{At: rapid.Uint64Range(0, 100).Draw(t, "at"), Signed: rapid.Bool().Draw(t, "signed")}
	f.Bits = rapid.IntRange(1, 63).Draw(t, "bits")
	if f.Signed && rapid.Bool().Draw(t, "wide") {
		f.Bits = 64
	}
	return f
}

func TestFieldGetAndSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawField(t)
		b := rapid.SliceOfN(rapid.Byte(), int(f.Size()), 30).Draw(t, "bitmap")
		v, _ := f.Fit(rapid.Int64().Draw(t, "value"), Wrap)
		old := digits(b)
		f.Set(b, v)
		if got := f.Get(b); got != v {
			t.Errorf("%+v: set %d, got %d", f, v, got)
		}
		end := f.At + uint64(f.Bits)
		if now := digits(b); !bytes.Equal(now[:f.At], old[:f.At]) || !bytes.Equal(now[end:], old[end:]) {
			t.Errorf("%+v: Set changed bits beside the field: %s, was %s", f, now, old)
		}
		if got := f.Get(b[:f.At/8]); got != 0 {
			t.Errorf("%+v: got %d from behind the end", f, got)
		}
	})
}

// TestFieldAdd compares with integers that have no limits.
func TestFieldAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawField(t)
		v, _ := f.Fit(rapid.Int64().Draw(t, "value"), Wrap)
		least, most := f.limits()
		n := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{
			least - v, least - v - 1, most - v, most - v + 1, math.MinInt64, math.MaxInt64,
		})).Draw(t, "increment") // some are about as much as there is room for
		sum := new(big.Int).Add(big.NewInt(v), big.NewInt(n))
		fits := sum.Cmp(big.NewInt(least)) >= 0 && sum.Cmp(big.NewInt(most)) <= 0
		nearest := most
		if n < 0 {
			nearest = least
		}
		check := func(o Overflow, want int64, wantOK bool) {
			if got, ok := f.Add(v, n, o); got != want || ok != wantOK {
				t.Errorf("%+v: %d + %d with overflow %d = %d, %v; want %d, %v", f, v, n, o, got, ok, want, wantOK)
			}
		}
		if fits {
			for _, o := range []Overflow{Wrap, Saturate, Fail} {
				check(o, sum.Int64(), true)
			}
			return
		}
		check(Fail, 0, false)
		check(Saturate, nearest, true)
		check(Wrap, wrapped(f, sum), true)
	})
}

// wrapped is the number that a field can hold and that differs from n by a multiple of two
// to the power of the field's width.
func wrapped(f Field, n *big.Int) int64 {
	size := new(big.Int).Lsh(big.NewInt(1), uint(f.Bits))
	out := new(big.Int).Mod(n, size)
	if _, most := f.limits(); out.Cmp(big.NewInt(most)) > 0 {
		out.Sub(out, size)
	}
	return out.Int64()
}

func TestFieldFit(t *testing.T) {
	for _, c := range []struct {
		f         Field
		v         int64
		wrap, sat int64
	}{
		{Field{Bits: 8}, 256, 0, 255},
		{Field{Bits: 8}, -1, 255, 255},
		{Field{Bits: 8, Signed: true}, 128, -128, 127},
		{Field{Bits: 8, Signed: true}, -129, 127, -128},
		{Field{Bits: 1, Signed: true}, 1, -1, 0},
		{Field{Bits: 63}, -1, 1<<63 - 1, 1<<63 - 1},
	} {
		if got, ok := c.f.Fit(c.v, Wrap); got != c.wrap || !ok {
			t.Errorf("%+v wraps %d to %d, want %d", c.f, c.v, got, c.wrap)
		}
		if got, ok := c.f.Fit(c.v, Saturate); got != c.sat || !ok {
			t.Errorf("%+v saturates %d to %d, want %d", c.f, c.v, got, c.sat)
		}
		if got, ok := c.f.Fit(c.v, Fail); ok {
			t.Errorf("%+v holds %d as %d", c.f, c.v, got)
		}
	}
}
