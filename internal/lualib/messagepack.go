package lualib

import (
	"encoding/binary"
	"math"

	"github.com/elastickv/elastickv/internal/lua"
)

func openMessagePack(s *lua.State) *lua.Table {
	t := s.NewTable(0, 8)
	s.Register(t, []lua.Entry{
		{Name: "pack", Fn: messagePack},
		{Name: "unpack", Fn: func(c *lua.Call) { unpackValues(c, 0, 0) }},
		{Name: "unpack_one", Fn: func(c *lua.Call) { unpackValues(c, 1, c.OptInt(2, 0)) }},
		{Name: "unpack_limit", Fn: func(c *lua.Call) {
			limit := c.CheckInt(2)
			unpackValues(c, limit, c.OptInt(3, 0))
		}},
	})
	for _, word := range [][2]string{
		{"_NAME", "cmsgpack"}, {"_VERSION", "lua-cmsgpack 0.4.0"},
		{"_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"},
		{"_DESCRIPTION", "MessagePack C implementation for Lua"},
	} {
		t.SetField(word[0], lua.String(word[1]))
	}
	return t
}

// packNesting is how deep tables within tables are packed; what lies deeper is nil. So a
// table that holds itself ends somewhere.
const packNesting = 16

// The first bytes of values. Those of small ones hold the value, or its length, too.
const (
	packNil     = 0xc0
	packFalse   = 0xc2
	packTrue    = 0xc3
	packFloat32 = 0xca
	packFloat64 = 0xcb
	packUint8   = 0xcc
	packUint16  = 0xcd
	packUint32  = 0xce
	packUint64  = 0xcf
	packInt8    = 0xd0
	packInt16   = 0xd1
	packInt32   = 0xd2
	packInt64   = 0xd3
	packString8 = 0xd9 // the next ones: 16 and 32 bits of length
	packArray16 = 0xdc // the next one: 32 bits
	packMap16   = 0xde // the next one: 32 bits

	packSmallMap    = 0x80 // up to 15 pairs
	packSmallArray  = 0x90 // up to 15 elements
	packSmallString = 0xa0 // up to 31 bytes
	packNegative    = 0xe0 // -32 to -1
)

func messagePack(c *lua.Call) {
	if c.NArgs() == 0 {
		c.ArgError(0, "MessagePack pack needs input.")
	}
	p := &packer{buffer{c: c}}
	for i := 1; i <= c.NArgs(); i++ {
		p.value(c.Arg(i), 0)
	}
	c.Return(p.buffer.value())
}

type packer struct{ buffer }

// value adds v, which lies in level tables.
func (p *packer) value(v lua.Value, level int) {
	switch v.Kind() {
	case lua.KindString:
		s, _ := v.AsString()
		p.string(s)
	case lua.KindBool:
		if v.Truthy() {
			p.add(packTrue)
		} else {
			p.add(packFalse)
		}
	case lua.KindNumber:
		f, _ := v.AsNumber()
		p.number(f)
	case lua.KindTable:
		if level == packNesting {
			p.add(packNil)
			return
		}
		p.table(v.AsTable(), level)
	default:
		p.add(packNil)
	}
}

func (p *packer) string(s string) {
	switch n := len(s); {
	case n < 32:
		p.add(packSmallString | byte(n))
	case n <= math.MaxUint8:
		p.add(packString8, byte(n))
	default:
		p.length(packString8+1, n)
	}
	p.text(s)
}

// length adds a length of 16 bits behind its first byte, or one of 32 bits behind the
// next first byte.
func (p *packer) length(first byte, n int) {
	if n <= math.MaxUint16 {
		p.add(binary.BigEndian.AppendUint16([]byte{first}, uint16(n))...)
		return
	}
	p.add(binary.BigEndian.AppendUint32([]byte{first + 1}, uint32(n))...)
}

func (p *packer) number(f float64) {
	if n := toInt64(f); float64(n) == f {
		p.integer(n)
		return
	}
	if small := float32(f); float64(small) == f {
		p.add(binary.BigEndian.AppendUint32([]byte{packFloat32}, math.Float32bits(small))...)
		return
	}
	p.add(binary.BigEndian.AppendUint64([]byte{packFloat64}, math.Float64bits(f))...)
}

func (p *packer) integer(n int64) {
	switch {
	case n >= -32 && n <= 127:
		p.add(byte(n))
	case n >= 0 && n <= math.MaxUint8:
		p.add(packUint8, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		p.add(packUint16, byte(n>>8), byte(n))
	case n >= 0 && n <= math.MaxUint32:
		p.add(binary.BigEndian.AppendUint32([]byte{packUint32}, uint32(n))...)
	case n >= 0:
		p.add(binary.BigEndian.AppendUint64([]byte{packUint64}, uint64(n))...)
	case n >= math.MinInt8:
		p.add(packInt8, byte(n))
	case n >= math.MinInt16:
		p.add(packInt16, byte(n>>8), byte(n))
	case n >= math.MinInt32:
		p.add(binary.BigEndian.AppendUint32([]byte{packInt32}, uint32(n))...)
	default:
		p.add(binary.BigEndian.AppendUint64([]byte{packInt64}, uint64(n))...)
	}
}

// table adds a table whose keys are the numbers from 1 on as an array, and any other as a
// map.
func (p *packer) table(t *lua.Table, level int) {
	pairs, array := p.shape(t)
	if array {
		p.aggregate(packSmallArray, packArray16, pairs)
		for i := 1; i <= pairs; i++ {
			p.value(t.GetInt(i), level+1)
		}
		return
	}
	p.aggregate(packSmallMap, packMap16, pairs)
	for k, v := t.Next(lua.Nil); !k.IsNil(); k, v = t.Next(k) {
		p.value(k, level+1)
		p.value(v, level+1)
	}
}

// shape returns how many keys t has, and whether they are 1, 2, 3 and so on.
func (p *packer) shape(t *lua.Table) (pairs int, array bool) {
	most := 0
	array = true
	for k, _ := t.Next(lua.Nil); !k.IsNil(); k, _ = t.Next(k) {
		pairs++
		p.c.Step(1)
		n, ok := k.AsNumber()
		if !ok || n <= 0 || float64(toInt32(n)) != n {
			array = false
			continue
		}
		most = max(most, int(n))
	}
	return pairs, array && most == pairs
}

func (p *packer) aggregate(small, first byte, n int) {
	if n <= 15 {
		p.add(small | byte(n))
		return
	}
	p.length(first, n)
}

// unpackValues returns up to limit values from argument 1, from an offset on, and in front
// of them the offset behind the last, -1 if that is the end. Without limit and offset it
// returns all values, and no offset.
func unpackValues(c *lua.Call, limit, offset int) {
	data := c.CheckString(1)
	switch {
	case offset < 0 || limit < 0:
		c.Errorf("Invalid request to unpack with offset of %d and limit of %d.", int32(offset), len(data))
	case offset > len(data):
		c.Errorf("Start offset %d greater than input length %d.", int32(offset), len(data))
	}
	every := limit == 0 && offset == 0
	if every {
		limit = math.MaxInt32
	}
	d := decoder{c: c, data: data[offset:], stack: 1}
	if every {
		d.stack = c.NArgs()
	}
	if !every {
		c.Return(lua.Nil) // the offset, once it is known
	}
	for n := 0; len(d.data) > 0 && n < limit; n++ {
		d.value(place{})
		d.stack++
	}
	if !every {
		next := len(data) - len(d.data)
		if len(d.data) == 0 {
			next = -1
		}
		c.Results()[0] = lua.Number(float64(next))
	}
}

// decoder takes a message apart.
type decoder struct {
	c     *lua.Call
	data  string
	stack int // values that the reference implementation would have on its stack
}

func (d *decoder) room(n int, what string) {
	if d.stack+n > stackMost {
		d.c.Errorf("stack overflow (%s)", what)
	}
}

// take returns the next n bytes.
func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.data)) {
		d.c.Errorf("Missing bytes in input.")
	}
	s := d.data[:n]
	d.data = d.data[n:]
	return s
}

// unsigned returns the next n bytes as a number.
func (d *decoder) unsigned(n int) uint64 {
	var u uint64
	for _, b := range []byte(d.take(uint64(n))) {
		u = u<<8 | uint64(b)
	}
	return u
}

// value puts the next value in its place. Whatever length a message claims, only what is there
// takes memory.
func (d *decoder) value(at place) {
	first := d.begin()
	switch {
	case first >= 0x80 && first < packSmallArray:
		d.take(1)
		d.pairs(uint64(first&15), at)
	case first >= packSmallArray && first < packSmallString:
		d.take(1)
		d.elements(uint64(first&15), at)
	case first == packArray16 || first == packArray16+1:
		d.take(1)
		d.elements(d.unsigned(2<<(first-packArray16)), at)
	case first == packMap16 || first == packMap16+1:
		d.take(1)
		d.pairs(d.unsigned(2<<(first-packMap16)), at)
	default:
		put(d.c, at, d.scalar(first))
	}
}

// begin returns the first byte of the next value, which is not taken.
func (d *decoder) begin() byte {
	if len(d.data) == 0 {
		d.c.Errorf("Missing bytes in input.")
	}
	d.c.Step(1)
	d.room(1, "too many return values at once; use unpack_one or unpack_limit instead.")
	return d.data[0]
}

func isAggregate(first byte) bool {
	return first >= packSmallMap && first < packSmallString || first >= packArray16 && first <= packMap16+1
}

// scalar reads a value that is no table.
func (d *decoder) scalar(first byte) lua.Value {
	switch {
	case first < 0x80 || first >= packNegative:
		d.take(1)
		return lua.Number(float64(int8(first)))
	case first < packNil:
		d.take(1)
		return d.string(uint64(first & 31))
	}
	return d.long(first)
}

// long reads a value whose length, or which itself, stands behind its first byte.
func (d *decoder) long(first byte) lua.Value {
	known := first == packNil || first == packFalse || first == packTrue ||
		first >= packFloat32 && first <= packInt64 || first >= packString8 && first < packArray16
	if !known {
		d.c.Errorf("Bad data format in input.")
	}
	d.take(1)
	switch first {
	case packNil:
		return lua.Nil
	case packFalse, packTrue:
		return lua.Bool(first == packTrue)
	case packFloat32:
		return lua.Number(float64(math.Float32frombits(uint32(d.unsigned(4)))))
	case packFloat64:
		return lua.Number(math.Float64frombits(d.unsigned(8)))
	case packInt8:
		return lua.Number(float64(int8(d.unsigned(1))))
	case packInt16:
		return lua.Number(float64(int16(d.unsigned(2))))
	case packInt32:
		return lua.Number(float64(int32(d.unsigned(4))))
	case packUint8, packUint16, packUint32:
		return lua.Number(float64(d.unsigned(1 << (first - packUint8))))
	case packUint64, packInt64:
		return lua.Number(float64(int64(d.unsigned(8))))
	default:
		return d.string(d.unsigned(1 << (first - packString8)))
	}
}

func (d *decoder) string(n uint64) lua.Value { return newString(d.c, d.take(n)) }

func (d *decoder) elements(n uint64, at place) {
	t := newTable(d.c, at)
	d.stack++
	d.room(1, "in function mp_decode_to_lua_array")
	d.stack++
	for i := uint64(1); i <= n; i++ {
		d.value(place{t, lua.Number(float64(int32(i)))})
	}
	d.stack -= 2
}

func (d *decoder) pairs(n uint64, at place) {
	t := newTable(d.c, at)
	d.stack++
	for range n {
		k := d.key(t)
		d.stack++
		d.value(place{t, k})
		d.stack--
	}
	d.stack--
}

// key reads the key of a pair of t. An aggregate is for a moment a value in t.
func (d *decoder) key(t *lua.Table) lua.Value {
	var k lua.Value
	if first := d.begin(); isAggregate(first) {
		hold := lua.Number(-1)
		before := t.Get(hold)
		d.value(place{t, hold})
		k = t.Get(hold)
		t.Set(hold, before)
	} else {
		k = d.scalar(first)
	}
	if k.IsNil() {
		d.c.Raise(lua.String("table index is nil"))
	}
	return k
}
