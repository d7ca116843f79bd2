package resp

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is the type of a reply.
type Kind uint8

// The kinds of replies, and the fields of a Value that they use. Protocol 3 has
// one null and one kind of error; a blob error is a KindError.
const (
	KindNull      Kind = iota // none
	KindNullArray             // none; protocol 2 only
	KindSimple                // Str
	KindError                 // Str, code first
	KindInt                   // Int
	KindBulk                  // Str
	KindArray                 // Elems
	KindMap                   // Elems: key, value, key, value …
	KindSet                   // Elems
	KindPush                  // Elems
	KindDouble                // Float, and Str as it was written
	KindBool                  // Bool
	KindBigNumber             // Str, in decimal
	KindVerbatim              // Str, and Format
)

// Value is a reply. Which fields are set depends on Kind; the zero Value is null.
type Value struct {
	Kind   Kind
	Bool   bool
	Int    int64
	Float  float64
	Str    string
	Format string // three bytes, such as "txt"
	Elems  []Value
}

// IsNull reports whether v stands for nothing: a null or a null array.
func (v Value) IsNull() bool { return v.Kind == KindNull || v.Kind == KindNullArray }

// String renders v for people as redis-cli does on a terminal, without a line end
// behind it. What redis-cli leaves looking alike is told apart: a null array, a
// push, a big number and a verbatim string have a mark of their own.
func (v Value) String() string {
	var b strings.Builder
	v.render(&b, "")
	return b.String()
}

// render writes v. Every line but the first begins with indent.
func (v Value) render(b *strings.Builder, indent string) {
	switch v.Kind {
	case KindNull:
		b.WriteString("(nil)")
	case KindNullArray:
		b.WriteString("(nil array)")
	case KindSimple:
		b.WriteString(v.Str)
	case KindError:
		b.WriteString("(error) " + v.Str)
	case KindInt:
		b.WriteString("(integer) " + strconv.FormatInt(v.Int, 10))
	case KindBulk:
		quote(b, v.Str)
	case KindDouble:
		b.WriteString("(double) " + v.Str)
	case KindBool:
		b.WriteString("(" + strconv.FormatBool(v.Bool) + ")")
	case KindBigNumber:
		b.WriteString("(big number) " + v.Str)
	case KindVerbatim:
		b.WriteString("(verbatim " + v.Format + ") ")
		quote(b, v.Str)
	case KindArray:
		v.renderElems(b, indent, "array", ')')
	case KindMap:
		v.renderElems(b, indent, "hash", '#')
	case KindSet:
		v.renderElems(b, indent, "set", '~')
	case KindPush:
		const mark = "(push) "
		b.WriteString(mark)
		v.renderElems(b, indent+strings.Repeat(" ", len(mark)), "push", ')')
	default:
		fmt.Fprintf(b, "(kind %d)", v.Kind)
	}
}

// renderElems writes the elements of v, numbered, one (of a map: one pair) a line.
func (v Value) renderElems(b *strings.Builder, indent, name string, mark byte) {
	if len(v.Elems) == 0 {
		b.WriteString("(empty " + name + ")")
		return
	}
	step := 1
	if v.Kind == KindMap {
		step = 2
	}
	width := len(strconv.Itoa(len(v.Elems) / step))
	inner := indent + strings.Repeat(" ", width+len("# "))
	for i := 0; i < len(v.Elems); i += step {
		if i > 0 {
			b.WriteString("\n" + indent)
		}
		fmt.Fprintf(b, "%*d%c ", width, i/step+1, mark)
		v.Elems[i].render(b, inner)
		if step == 2 && i+1 < len(v.Elems) {
			b.WriteString(" => ")
			v.Elems[i+1].render(b, inner)
		}
	}
}

// quote writes s in double quotes, every byte that is not printable ASCII escaped.
func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\a':
			b.WriteString(`\a`)
		case c == '\b':
			b.WriteString(`\b`)
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(b, `\x%02x`, c)
		}
	}
	b.WriteByte('"')
}
