package script

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/lua"
	"github.com/elastickv/elastickv/internal/resp"
)

// replyReader turns a reply, of either protocol, into a value of Lua:
//
//	simple string    {ok = text}                 null, null array    false, in protocol 3 nil
//	error            {err = text}                boolean             a boolean
//	integer          a number                    double              {double = number}
//	bulk string      a string                    big number          {big_number = digits}
//	array            a table                     map, set            {map = table}, {set = table}
//	verbatim string  {verbatim_string = {string = text, format = three letters}}
//
// The reply is one that a resp.Writer has made, so it is whole.
type replyReader struct {
	c    *lua.Call
	rest []byte
}

// place is where a value goes: a key of a table or, if there is no table, the results of the
// call. A table goes there before it is filled, so that what it holds counts as held by the
// program all the time.
type place struct {
	in  *lua.Table
	key lua.Value
}

func (p *replyReader) put(at place, v lua.Value) {
	if at.in == nil {
		p.c.Return(v)
		return
	}
	at.in.Set(at.key, v)
}

func (p *replyReader) newTable(at place) *lua.Table {
	t := p.c.State().NewTable(0, 0)
	p.put(at, lua.TableValue(t))
	return t
}

func (p *replyReader) line() (kind byte, text []byte) {
	i := bytes.IndexByte(p.rest, '\r')
	kind, text = p.rest[0], p.rest[1:i]
	p.rest = p.rest[i+2:]
	return kind, text
}

func (p *replyReader) string(b []byte) lua.Value {
	p.c.State().Charge(len(b))
	return lua.String(string(b))
}

// table returns a table with one field.
func (p *replyReader) table(name, v lua.Value) lua.Value {
	t := p.c.State().NewTable(0, 1)
	t.Set(name, v)
	return lua.TableValue(t)
}

// value puts the next value in its place.
func (p *replyReader) value(at place) {
	kind, text := p.line()
	switch kind {
	case '*', '%', '~':
		if n, _ := strconv.Atoi(string(text)); n >= 0 {
			p.aggregate(kind, n, at)
			return
		}
		p.put(at, lua.False)
	case '|': // attributes of the reply that follows, which programs do not see
		n, _ := strconv.Atoi(string(text))
		p.aggregate('%', n, place{in: p.c.State().NewTable(0, 0), key: lua.True})
		p.value(at)
	default:
		p.put(at, p.scalar(kind, text))
	}
}

func (p *replyReader) scalar(kind byte, text []byte) lua.Value {
	switch kind {
	case '+':
		return p.table(keyOK, p.string(text))
	case '-':
		return countedError(p.c, errorWithCode(string(text)))
	case ':':
		n, _ := strconv.ParseInt(string(text), 10, 64)
		return lua.Number(float64(n))
	case '_':
		return lua.Nil
	case '#':
		return lua.Bool(text[0] == 't')
	case ',':
		return p.table(keyDouble, lua.Number(double(text)))
	case '(':
		return p.table(keyNumber, p.string(text))
	}
	n, _ := strconv.Atoi(string(text))
	if n < 0 {
		return lua.False
	}
	return p.long(kind, n)
}

// aggregate reads n elements, or pairs.
func (p *replyReader) aggregate(kind byte, n int, at place) {
	p.c.Step(n)
	t := p.newTable(at)
	switch kind {
	case '%':
		t = p.newTable(place{t, keyMap})
		for range n {
			k := p.element(t)
			p.value(place{t, k})
		}
	case '~':
		t = p.newTable(place{t, keySet})
		for range n {
			k := p.element(t)
			t.Set(k, lua.True)
		}
	default:
		for i := range n {
			p.value(place{t, lua.Number(float64(i + 1))})
		}
	}
}

// element reads a value that is to be a key of t. An aggregate is for a moment a value in it.
func (p *replyReader) element(t *lua.Table) lua.Value {
	if strings.IndexByte("*%~", p.rest[0]) < 0 {
		kind, text := p.line()
		return p.scalar(kind, text)
	}
	p.value(place{t, lua.False})
	k := t.Get(lua.False)
	t.Set(lua.False, lua.Nil)
	return k
}

func double(text []byte) float64 {
	f, _ := strconv.ParseFloat(string(text), 64)
	return f
}

// long reads what has a length.
func (p *replyReader) long(kind byte, n int) lua.Value {
	text := p.rest[:n]
	p.rest = p.rest[n+2:]
	if kind == '$' {
		return p.string(text)
	}
	t := p.c.State().NewTable(0, 2)
	t.SetField("string", p.string(text[4:]))
	t.SetField("format", p.string(text[:3]))
	return p.table(keyVerbatim, lua.TableValue(t))
}

// errorWithCode returns the text of an error with a code in front, also if it is one word.
func errorWithCode(text string) string {
	code, message, ok := strings.Cut(text, " ")
	if !ok {
		code, message = generalCode, text
	}
	return code + " " + strings.Trim(message, "\r\n")
}

// The fields that say what kind of reply a table stands for.
var (
	keyErr      = lua.String("err")
	keyOK       = lua.String("ok")
	keyDouble   = lua.String("double")
	keyNumber   = lua.String("big_number")
	keyVerbatim = lua.String("verbatim_string")
	keyMap      = lua.String("map")
	keySet      = lua.String("set")
)

// replyStackMost is how many values the reference implementation has room for on its stack
// while it turns a value into a reply. It bounds how deep tables may lie within tables.
const replyStackMost = 8000

// replyWriter turns a value of Lua into a reply; see replyReader for how, the other way. Whoever
// said true or false in protocol 2 means 1 or nothing.
type replyWriter struct {
	c     *lua.Call
	run   *run
	out   *resp.Writer
	from  int // where the reply begins in out
	stack int
}

// reply writes v as the reply of the script. It reports whether the world is as a script should
// leave it.
func (r *run) reply(v lua.Value) (reusable bool, _ error) {
	if f, ok := v.AsNumber(); ok { // as most often, and it takes neither time nor memory
		r.ctx.Out.Int(truncate(f))
		return true, nil
	}
	w := &replyWriter{run: r, out: r.ctx.Out, from: r.ctx.Out.Len(), stack: 2}
	err := r.world.lua.Do(func(c *lua.Call) {
		w.c = c
		w.top(v)
	})
	if err == nil {
		return true, nil
	}
	w.out.Truncate(w.from)
	return r.failed(err)
}

// top writes the value that the script has returned: an error that has been counted is not
// counted again.
func (w *replyWriter) top(v lua.Value) {
	if t := v.AsTable(); t != nil && t.Get(keyErr).Kind() == lua.KindString {
		w.run.ctx.Counted = t.GetField(countedField).Truthy()
	}
	w.value(v)
}

func (w *replyWriter) value(v lua.Value) {
	w.c.Step(1)
	// A reply that is larger than what a script may hold repeats itself, as a table can that holds
	// another many times.
	if most := w.run.world.limit; w.out.Full() || most > 0 && int64(w.out.Len()-w.from) > most {
		w.c.Abort(command.ErrReplyTooLong)
	}
	if w.stack+4 > replyStackMost {
		w.out.Error(string(errTooDeep))
		return
	}
	switch v.Kind() {
	case lua.KindString:
		s, _ := v.AsString()
		w.out.BulkString(s)
	case lua.KindBool:
		w.bool(v.Truthy())
	case lua.KindNumber:
		f, _ := v.AsNumber()
		w.out.Int(truncate(f))
	case lua.KindTable:
		w.table(v.AsTable())
	default:
		w.out.Null()
	}
}

func (w *replyWriter) bool(b bool) {
	switch {
	case w.run.out.Proto() == 3:
		w.out.Bool(b)
	case b:
		w.out.Int(1)
	default:
		w.out.Null()
	}
}

// truncate converts as C does on x86: what does not fit becomes the smallest integer.
func truncate(f float64) int64 {
	if f >= math.MinInt64 && f < 1<<63 {
		return int64(f)
	}
	return math.MinInt64
}

func (w *replyWriter) table(t *lua.Table) {
	if s, ok := t.Get(keyErr).AsString(); ok {
		w.out.Error(command.UpToNUL(s))
		return
	}
	if s, ok := t.Get(keyOK).AsString(); ok {
		w.out.Simple(command.UpToNUL(s))
		return
	}
	if f, ok := t.Get(keyDouble).AsNumber(); ok {
		w.out.Double(f)
		return
	}
	if s, ok := t.Get(keyNumber).AsString(); ok {
		w.out.BigNumber(strings.Map(lineEndToSpace, s))
		return
	}
	if w.verbatim(t.Get(keyVerbatim).AsTable()) {
		return
	}
	if m := t.Get(keyMap).AsTable(); m != nil {
		w.pairs(m)
		return
	}
	if m := t.Get(keySet).AsTable(); m != nil {
		w.members(m)
		return
	}
	w.elements(t)
}

// lineEndToSpace keeps what must be one line in one line.
func lineEndToSpace(r rune) rune {
	if r == '\r' || r == '\n' {
		return ' '
	}
	return r
}

func (w *replyWriter) verbatim(t *lua.Table) bool {
	if t == nil {
		return false
	}
	format, ok := t.GetField("format").AsString()
	text, ok2 := t.GetField("string").AsString()
	if !ok || !ok2 {
		return false
	}
	w.out.Verbatim(command.UpToNUL(format), text)
	return true
}

func (w *replyWriter) pairs(t *lua.Table) {
	w.out.Map(w.size(t))
	w.stack += 4
	for k, v := t.Next(lua.Nil); !k.IsNil(); k, v = t.Next(k) {
		w.value(k)
		w.stack--
		w.value(v)
		w.stack++
	}
	w.stack -= 4
}

func (w *replyWriter) members(t *lua.Table) {
	w.out.Set(w.size(t))
	w.stack += 3
	for k, _ := t.Next(lua.Nil); !k.IsNil(); k, _ = t.Next(k) {
		w.value(k)
	}
	w.stack -= 3
}

// size returns the number of keys that t has.
func (w *replyWriter) size(t *lua.Table) (n int) {
	for k, _ := t.Next(lua.Nil); !k.IsNil(); k, _ = t.Next(k) {
		n++
	}
	w.c.Step(1 + n/replyPerStep)
	return n
}

// replyPerStep is how many elements are counted for one step.
const replyPerStep = 4

// elements writes the values of t from 1 on, up to the first that is nil.
func (w *replyWriter) elements(t *lua.Table) {
	n := 0
	for !t.GetInt(n + 1).IsNil() {
		n++
	}
	w.c.Step(n / replyPerStep)
	w.out.Array(n)
	w.stack++
	for i := 1; i <= n; i++ {
		w.value(t.GetInt(i))
	}
	w.stack--
}
