package lualib

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/elastickv/elastickv/internal/lua"
)

func openStruct(s *lua.State) *lua.Table {
	t := s.NewTable(0, 4)
	s.Register(t, []lua.Entry{{Name: "pack", Fn: structPack}, {Name: "unpack", Fn: structUnpack}, {Name: "size", Fn: structSize}})
	return t
}

// structIntMost is the size, in bytes, of the largest integer that a format may have.
const structIntMost = 32

// structAlign is the alignment that ! without a number asks for.
const structAlign = 8

// layout is a format while it is read.
//
//	> <          big endian, little endian
//	! or !n      align to at most n bytes
//	b B h H l L T i In   integers, signed if lower case
//	f d          floats
//	x            a zero byte
//	cn           n characters; n may be 0: see structPack and structUnpack
//	s            characters and a zero byte
type layout struct {
	c      *lua.Call
	format string // what is left of it
	big    bool
	align  uint64
}

func newLayout(c *lua.Call) *layout {
	format := c.CheckString(1)
	read(c, format)
	return &layout{c: c, format: cString(format), align: 1}
}

// next returns the next option, its size in bytes, and how many bytes align it at pos. The
// size of c0, s and of all that is no data is 0.
func (l *layout) next(pos uint64) (opt byte, size, pad uint64) {
	l.c.Step(1)
	opt = l.format[0]
	l.format = l.format[1:]
	size = l.size(opt)
	if size == 0 || opt == 'c' {
		return opt, size, 0
	}
	n := min(size, l.align)
	return opt, size, (n - pos&(n-1)) & (n - 1)
}

func (l *layout) size(opt byte) uint64 {
	switch opt {
	case 'b', 'B', 'x':
		return 1
	case 'h', 'H':
		return 2
	case 'f':
		return 4
	case 'l', 'L', 'T', 'd':
		return 8
	case 'c':
		return uint64(l.number(1))
	case 'i', 'I':
		n := l.number(4)
		if n > structIntMost {
			l.c.Errorf("integral size %d is larger than limit of %d", n, structIntMost)
		}
		return uint64(n)
	}
	return 0
}

// number reads a number at the head of the format, if there is one.
func (l *layout) number(def int) int {
	if !l.digit() {
		return def
	}
	n := 0
	for l.digit() {
		d := int(l.format[0] - '0')
		if n*10 > math.MaxInt32-d {
			l.c.Errorf("integral size overflow")
		}
		n = n*10 + d
		l.format = l.format[1:]
	}
	return n
}

func (l *layout) digit() bool {
	return l.format != "" && l.format[0] >= '0' && l.format[0] <= '9'
}

// control carries out an option that is no data.
func (l *layout) control(opt byte) {
	switch opt {
	case ' ':
	case '>':
		l.big = true
	case '<':
		l.big = false
	case '!':
		n := l.number(structAlign)
		if n <= 0 || n&(n-1) != 0 {
			l.c.Errorf("alignment %d is not a power of 2", n)
		}
		l.align = uint64(n)
	default:
		l.c.ArgError(1, fmt.Sprintf("invalid format option '%s'", []byte{opt}))
	}
}

// ordered returns little-endian bytes in the order of the layout.
func (l *layout) ordered(little []byte) []byte {
	if l.big {
		slices.Reverse(little)
	}
	return little
}

func structPack(c *lua.Call) {
	l := newLayout(c)
	b := &buffer{c: c}
	total, arg := uint64(0), 2
	for l.format != "" {
		opt, size, pad := l.next(total)
		total += pad
		b.add(make([]byte, pad)...)
		switch opt {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			var buf [structIntMost]byte
			binary.LittleEndian.PutUint64(buf[:], integerOf(packNumber(c, arg)))
			b.add(l.ordered(buf[:size])...)
			arg++
		case 'x':
			b.add(0)
		case 'f':
			b.add(l.ordered(binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(packNumber(c, arg)))))...)
			arg++
		case 'd':
			b.add(l.ordered(binary.LittleEndian.AppendUint64(nil, math.Float64bits(packNumber(c, arg))))...)
			arg++
		case 'c', 's':
			packArgument(c, arg, "string")
			s := c.CheckString(arg)
			arg++
			if size == 0 {
				size = uint64(len(s))
			}
			if uint64(len(s)) < size {
				c.ArgError(arg, "string too short")
			}
			b.text(s[:size])
			if opt == 's' {
				b.add(0)
				size++
			}
		default:
			l.control(opt)
		}
		total += size
	}
	c.Return(b.value())
}

// packArgument fails if there is no argument n: it is said to be nil.
func packArgument(c *lua.Call, n int, want string) {
	if n > c.NArgs() {
		c.ArgError(n, want+" expected, got nil")
	}
}

func packNumber(c *lua.Call, n int) float64 {
	packArgument(c, n, "number")
	return c.CheckNumber(n)
}

func integerOf(f float64) uint64 {
	if f < 0 {
		return uint64(toInt64(f))
	}
	return toUint64(f)
}

func structUnpack(c *lua.Call) {
	l := newLayout(c)
	data := c.CheckString(2)
	pos := uint64(c.OptInt(3, 1))
	if pos == 0 {
		c.ArgError(3, "offset must be 1 or greater")
	}
	pos--
	u := unpacker{layout: l, data: data, args: c.NArgs()}
	for l.format != "" {
		opt, size, pad := l.next(pos)
		pos += pad
		u.check(pos, size)
		pos += u.read(opt, pos, size)
	}
	c.Return(u.values...)
	c.State().Unpin(u.held)
	c.Return(lua.Number(float64(int64(pos + 1))))
}

// unpacker takes data apart.
type unpacker struct {
	*layout
	data   string
	args   int
	values []lua.Value
	held   int // bytes of strings among the values
}

// text adds a copy of s to the values.
func (u *unpacker) text(s string) {
	u.c.State().Pin(len(s))
	read(u.c, s)
	u.held += len(s)
	u.values = append(u.values, lua.String(strings.Clone(s)))
}

// check fails unless size bytes lie at pos and there is room for one more value.
func (u *unpacker) check(pos, size uint64) {
	n := uint64(len(u.data))
	if size > n || pos > n-size {
		u.c.ArgError(2, "data string too short")
	}
	if u.args+len(u.values)+2 > stackMost {
		u.c.Errorf("stack overflow (too many results)")
	}
}

// read reads what stands at pos and returns how many bytes it has taken.
func (u *unpacker) read(opt byte, pos, size uint64) uint64 {
	switch opt {
	case 'b', 'h', 'l', 'i', 'B', 'H', 'L', 'T', 'I':
		u.values = append(u.values, lua.Number(u.integer(opt >= 'a', u.data[pos:pos+size])))
	case 'x':
	case 'f':
		b := u.ordered([]byte(u.data[pos : pos+size]))
		u.values = append(u.values, lua.Number(float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))))
	case 'd':
		b := u.ordered([]byte(u.data[pos : pos+size]))
		u.values = append(u.values, lua.Number(math.Float64frombits(binary.LittleEndian.Uint64(b))))
	case 'c':
		if size == 0 {
			size = u.previous()
			u.check(pos, size)
		}
		u.text(u.data[pos : pos+size])
	case 's':
		n := strings.IndexByte(u.data[pos:], 0)
		if n < 0 {
			read(u.c, u.data[pos:])
		}
		if n < 0 {
			u.c.Errorf("unfinished string in data")
		}
		u.text(u.data[pos : pos+uint64(n)])
		size = uint64(n) + 1
	default:
		u.control(opt)
	}
	return size
}

// previous takes the value that was read last as a size.
func (u *unpacker) previous() uint64 {
	n := len(u.values)
	if n == 0 {
		u.c.Errorf("format 'c0' needs a previous size")
	}
	f, ok := lua.ToNumber(u.values[n-1])
	if !ok {
		u.c.Errorf("format 'c0' needs a previous size")
	}
	u.values = u.values[:n-1]
	return toUint64(f)
}

// integer reads an integer, of which only the lower 64 bits count. A sign that would
// stand above those is taken from the bit that C's shift by so many finds.
func (u *unpacker) integer(signed bool, data string) float64 {
	n := uint64(0)
	for i := range len(data) {
		b := data[len(data)-1-i]
		if u.big {
			b = data[i]
		}
		n = n<<8 | uint64(b)
	}
	if !signed {
		return float64(n)
	}
	if mask := uint64(math.MaxUint64) << ((len(data)*8 - 1) & 63); n&mask != 0 {
		n |= mask
	}
	return float64(int64(n))
}

func structSize(c *lua.Call) {
	l := newLayout(c)
	pos := uint64(0)
	for l.format != "" {
		opt, size, pad := l.next(pos)
		switch {
		case opt == 's':
			c.ArgError(1, "option 's' has no fixed size")
		case opt == 'c' && size == 0:
			c.ArgError(1, "option 'c0' has no fixed size")
		case !alphanumeric(opt):
			l.control(opt)
		}
		pos += pad + size
	}
	c.Return(lua.Number(float64(int64(pos))))
}

func alphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
