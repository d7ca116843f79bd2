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
func (p *replyReader) table(name string, v lua.Value) lua.Value {
	t := p.c.State().NewTable(0, 1)
	t.SetField(name, v)
	return lua.TableValue(t)
}

func (p *replyReader) value() lua.Value {
	kind, text := p.line()
	switch kind {
	case '+':
		return p.table("ok", p.string(text))
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
		return p.table("double", lua.Number(double(text)))
	case '(':
		return p.table("big_number", p.string(text))
	}
	n, _ := strconv.Atoi(string(text))
	if n < 0 {
		return lua.False
	}
	return p.long(kind, n)
}

func double(text []byte) float64 {
	f, _ := strconv.ParseFloat(string(text), 64)
	return f
}

// long reads what has a length, or a count.
func (p *replyReader) long(kind byte, n int) lua.Value {
	p.c.Step(1)
	switch kind {
	case '$', '=':
		text := p.rest[:n]
		p.rest = p.rest[n+2:]
		if kind == '$' {
			return p.string(text)
		}
		t := p.c.State().NewTable(0, 2)
		t.SetField("string", p.string(text[4:]))
		t.SetField("format", p.string(text[:3]))
		return p.table("verbatim_string", lua.TableValue(t))
	case '%':
		t := p.c.State().NewTable(0, 0)
		for range n {
			k := p.value()
			t.Set(k, p.value())
		}
		return p.table("map", lua.TableValue(t))
	case '~':
		t := p.c.State().NewTable(0, 0)
		for range n {
			t.Set(p.value(), lua.True)
		}
		return p.table("set", lua.TableValue(t))
	}
	t := p.c.State().NewTable(0, 0)
	for i := range n {
		t.SetInt(i+1, p.value())
	}
	return lua.TableValue(t)
}

// errorWithCode returns the text of an error with a code in front, also if it is one word.
func errorWithCode(text string) string {
	code, message, ok := strings.Cut(text, " ")
	if !ok {
		code, message = generalCode, text
	}
	return code + " " + strings.Trim(message, "\r\n")
}

// upToNUL returns s as C sees it.
func upToNUL(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

// replyStackMost is how many values the reference implementation has room for on its stack
// while it turns a value into a reply. It bounds how deep tables may lie within tables.
const replyStackMost = 8000

// replyCheckEvery is how many values are written between two looks at the limits.
const replyCheckEvery = 10000

// replyWriter turns a value of Lua into a reply; see replyReader for how, the other way. Whoever
// said true or false in protocol 2 means 1 or nothing.
type replyWriter struct {
	run   *run
	out   *resp.Writer
	from  int // where the reply begins in out
	stack int
	count int
	err   error // why the reply cannot be finished
}

// reply writes v as the reply of the script.
func (r *run) reply(v lua.Value) error {
	w := &replyWriter{run: r, out: r.ctx.Out, from: r.ctx.Out.Len(), stack: 2}
	w.top(v)
	if w.err == nil {
		return nil
	}
	w.out.Truncate(w.from)
	_, err := r.failed(w.err)
	return err
}

// top writes the value that the script has returned: an error that has been counted is not
// counted again.
func (w *replyWriter) top(v lua.Value) {
	if t := v.AsTable(); t != nil && t.GetField("err").Kind() == lua.KindString {
		w.run.ctx.Counted = t.GetField(countedField).Truthy()
	}
	w.value(v)
}

func (w *replyWriter) value(v lua.Value) {
	if w.count++; w.count%replyCheckEvery == 0 && w.err == nil {
		w.err = w.run.interrupted()
	}
	if int64(w.out.Len()-w.from) > w.run.ctx.Env.MaxBulk {
		w.err = command.ErrReplyTooLong
	}
	if w.err != nil {
		return
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
	if s, ok := t.GetField("err").AsString(); ok {
		w.out.Error(upToNUL(s))
		return
	}
	if s, ok := t.GetField("ok").AsString(); ok {
		w.out.Simple(upToNUL(s))
		return
	}
	if f, ok := t.GetField("double").AsNumber(); ok {
		w.out.Double(f)
		return
	}
	if s, ok := t.GetField("big_number").AsString(); ok {
		w.out.BigNumber(strings.Map(lineEndToSpace, s))
		return
	}
	if w.verbatim(t.GetField("verbatim_string").AsTable()) {
		return
	}
	if m := t.GetField("map").AsTable(); m != nil {
		w.pairs(m)
		return
	}
	if m := t.GetField("set").AsTable(); m != nil {
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
	w.out.Verbatim(upToNUL(format), text)
	return true
}

func (w *replyWriter) pairs(t *lua.Table) {
	w.out.Map(size(t))
	w.stack += 4
	for k, v := t.Next(lua.Nil); !k.IsNil() && w.err == nil; k, v = t.Next(k) {
		w.value(k)
		w.stack--
		w.value(v)
		w.stack++
	}
	w.stack -= 4
}

func (w *replyWriter) members(t *lua.Table) {
	w.out.Set(size(t))
	w.stack += 3
	for k, _ := t.Next(lua.Nil); !k.IsNil() && w.err == nil; k, _ = t.Next(k) {
		w.value(k)
	}
	w.stack -= 3
}

// size returns the number of keys that t has.
func size(t *lua.Table) (n int) {
	for k, _ := t.Next(lua.Nil); !k.IsNil(); k, _ = t.Next(k) {
		n++
	}
	return n
}

// elements writes the values of t from 1 on, up to the first that is nil.
func (w *replyWriter) elements(t *lua.Table) {
	n := 0
	for !t.GetInt(n + 1).IsNil() {
		n++
	}
	w.out.Array(n)
	w.stack++
	for i := 1; i <= n && w.err == nil; i++ {
		w.value(t.GetInt(i))
	}
	w.stack--
}
