package lualib

import (
	"fmt"
	"math"
	"strconv"

	"github.com/elastickv/elastickv/internal/lua"
)

func (cfg *jsonConfig) encode(c *lua.Call) {
	if c.NArgs() != 1 {
		c.ArgError(1, "expected 1 argument")
	}
	e := &encoder{buffer: buffer{c: c}, cfg: cfg, stack: 1}
	e.value(c.Arg(1), 0)
	c.Return(e.buffer.value())
}

// encoder makes a JSON text.
type encoder struct {
	buffer
	cfg   *jsonConfig
	stack int // values that the reference implementation would have on its stack
}

func (e *encoder) fail(v lua.Value, why string) {
	e.c.Errorf("Cannot serialise %s: %s", v.Kind(), why)
}

// value adds v, which lies in depth tables.
func (e *encoder) value(v lua.Value, depth int) {
	switch v.Kind() {
	case lua.KindString:
		s, _ := v.AsString()
		e.string(s)
	case lua.KindNumber:
		e.number(v)
	case lua.KindBool:
		e.text(strconv.FormatBool(v.Truthy()))
	case lua.KindNil:
		e.text("null")
	case lua.KindTable:
		e.table(v, depth+1)
	default:
		if !lua.RawEqual(v, lua.Null) {
			e.fail(v, "type not supported")
		}
		e.text("null")
	}
}

func (e *encoder) table(v lua.Value, depth int) {
	if depth > int(e.cfg.encodeDepth) || e.stack+3 > stackMost {
		e.c.Errorf("Cannot serialise, excessive nesting (%d)", depth)
	}
	if n := e.arrayLength(v); n > 0 {
		e.array(v.AsTable(), n, depth)
		return
	}
	e.object(v.AsTable(), depth)
}

// arrayLength returns the highest index of a table that is an array, and else 0 or less.
func (e *encoder) arrayLength(v lua.Value) int {
	t := v.AsTable()
	var highest, items int32
	for k, _ := t.Next(lua.Nil); !k.IsNil(); k, _ = t.Next(k) {
		e.c.Step(1)
		f, ok := k.AsNumber()
		if !ok || math.Floor(f) != f || f < 1 {
			return -1
		}
		if f > float64(highest) {
			highest = toInt32(f)
		}
		items++
	}
	if e.cfg.sparseRatio > 0 && highest > items*e.cfg.sparseRatio && highest > e.cfg.sparseSafe {
		if !e.cfg.sparseConvert {
			e.fail(v, "excessively sparse array")
		}
		return -1
	}
	return int(highest)
}

func (e *encoder) array(t *lua.Table, n, depth int) {
	e.add('[')
	e.stack++
	for i := 1; i <= n; i++ {
		if i > 1 {
			e.add(',')
		}
		e.value(t.GetInt(i), depth)
	}
	e.stack--
	e.add(']')
}

func (e *encoder) object(t *lua.Table, depth int) {
	e.add('{')
	e.stack += 2
	comma := false
	for k, v := t.Next(lua.Nil); !k.IsNil(); k, v = t.Next(k) {
		if comma {
			e.add(',')
		}
		comma = true
		switch k.Kind() {
		case lua.KindNumber:
			e.add('"')
			e.number(k)
			e.add('"')
		case lua.KindString:
			s, _ := k.AsString()
			e.string(s)
		default:
			e.fail(k, "table key must be a number or string")
		}
		e.add(':')
		e.value(v, depth)
	}
	e.stack -= 2
	e.add('}')
}

func (e *encoder) number(v lua.Value) {
	f, _ := v.AsNumber()
	if math.IsInf(f, 0) || math.IsNaN(f) {
		switch {
		case e.cfg.encodeInvalid == invalidOff:
			e.fail(v, "must not be NaN or Inf")
		case e.cfg.encodeInvalid == invalidNull:
			e.text("null")
		case math.IsNaN(f):
			e.text("nan")
		case f < 0:
			e.text("-inf")
		default:
			e.text("inf")
		}
		return
	}
	e.text(strconv.FormatFloat(f, 'g', int(e.cfg.precision), 64))
}

// jsonEscapes is what stands for a byte in a string; "" for the byte itself.
var jsonEscapes = func() (out [256]string) {
	for i := range ' ' {
		out[i] = fmt.Sprintf(`\u%04x`, i)
	}
	out[127] = `\u007f`
	for b, letter := range map[byte]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', '"': '"', '/': '/', '\\': '\\'} {
		out[b] = `\` + string([]byte{letter})
	}
	return out
}()

func (e *encoder) string(s string) {
	e.add('"')
	from := 0
	for i := range len(s) {
		if esc := jsonEscapes[s[i]]; esc != "" {
			e.text(s[from:i])
			e.text(esc)
			from = i + 1
		}
	}
	e.text(s[from:])
	e.add('"')
}
