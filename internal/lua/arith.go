package lua

import (
	"math"
	"strings"
)

// calculate applies an arithmetic operator to numbers.
func calculate(op opcode, x, y float64) float64 {
	switch op {
	case opAdd:
		return x + y
	case opSub:
		return x - y
	case opMul:
		return x * y
	case opDiv:
		return x / y
	case opMod:
		return modulo(x, y)
	case opPow:
		return power(x, y)
	default: // opUnm
		return -x
	}
}

// modulo is x - floor(x/y)*y with each step rounded: the conversion keeps Go from fusing
// them.
func modulo(x, y float64) float64 { return x - float64(math.Floor(x/y)*y) }

// arith applies an arithmetic instruction to operands that are not both numbers: strings
// that spell one are converted, and then metamethods are asked.
func (th *thread) arith(in instr, left, right Value) Value {
	th.state.work(left, right)
	x, leftOK := ToNumber(left)
	y, rightOK := ToNumber(right)
	if leftOK && rightOK {
		return Number(calculate(in.op, x, y))
	}
	if h := th.state.binaryMetamethod(left, right, arithNames[in.op-opAdd]); !h.IsNil() {
		return th.callFirst(h, left, right)
	}
	if leftOK {
		th.operandError(right, registerOf(in.c), "perform arithmetic on")
	}
	th.operandError(left, registerOf(uint16(in.b)), "perform arithmetic on")
	return Nil
}

// work accounts for reading two operands, which may be long strings.
func (s *State) work(left, right Value) {
	if left.isString() {
		s.budget -= left.strLen() / bytesPerStep
	}
	if right.isString() {
		s.budget -= right.strLen() / bytesPerStep
	}
}

// registerOf returns the register that an operand names, if it names one.
func registerOf(x uint16) int {
	if x < constantBit {
		return int(x)
	}
	return notRegister
}

// length is #v.
func (th *thread) length(v Value, register int) Value {
	switch {
	case v.isTable():
		return Number(float64(v.table().Len()))
	case v.isString():
		return Number(float64(v.strLen()))
	}
	th.operandError(v, register, "get length of")
	return Nil
}

// lessThan is left < right.
func (th *thread) lessThan(left, right Value) bool {
	switch {
	case left.isNumber() && right.isNumber():
		return left.number() < right.number()
	case left.isString() && right.isString():
		th.state.work(left, right)
		return left.str() < right.str()
	case left.Kind() == right.Kind():
		if result, ok := th.compareMeta(left, right, nameLt); ok {
			return result
		}
	}
	th.compareError(left, right)
	return false
}

// lessEqual is left <= right; without __le it is not (right < left).
func (th *thread) lessEqual(left, right Value) bool {
	switch {
	case left.isNumber() && right.isNumber():
		return left.number() <= right.number()
	case left.isString() && right.isString():
		th.state.work(left, right)
		return left.str() <= right.str()
	case left.Kind() == right.Kind():
		if result, ok := th.compareMeta(left, right, nameLe); ok {
			return result
		}
		if result, ok := th.compareMeta(right, left, nameLt); ok {
			return !result
		}
	}
	th.compareError(left, right)
	return false
}

// equalByMeta asks the metamethod of two tables, which they have to share.
func (th *thread) equalByMeta(a, b *Table) bool {
	if a.meta == nil || b.meta == nil {
		return false
	}
	h := a.meta.getString(nameEq)
	th.state.work(h, Nil)
	if h.IsNil() || a.meta != b.meta && !RawEqual(h, b.meta.getString(nameEq)) {
		return false
	}
	return th.callFirst(h, TableValue(a), TableValue(b)).Truthy()
}

// compareMeta asks the metamethod of a comparison, which both operands have to share.
func (th *thread) compareMeta(left, right, name Value) (result, ok bool) {
	h := th.state.metamethod(left, name)
	th.state.work(h, Nil)
	if h.IsNil() || !RawEqual(h, th.state.metamethod(right, name)) {
		return false, false
	}
	return th.callFirst(h, left, right).Truthy(), true
}

// compareError raises that two values cannot be compared. The reference implementation tells
// kinds apart by the third letter of their names.
func (th *thread) compareError(left, right Value) {
	a, b := left.Kind().String(), right.Kind().String()
	if a[2] == b[2] {
		th.raise("attempt to compare two %s values", a)
	}
	th.raise("attempt to compare %s with %s", a, b)
}

// concat joins the registers from first to last, from the right: as many strings and numbers
// at a time as there are, or two values with a metamethod.
func (th *thread) concat(base, first, last int) Value {
	for last > first {
		left, right := th.stack[base+last-1], th.stack[base+last]
		if !isText(left) || !isText(right) {
			h := th.state.binaryMetamethod(left, right, nameConcat)
			if h.IsNil() {
				th.concatError(left, right, last)
			}
			v := th.callFirst(h, left, right)
			last--
			th.stack[base+last] = v
			continue
		}
		from := last - 1
		for from > first && isText(th.stack[base+from-1]) {
			from--
		}
		th.stack[base+from] = th.join(th.stack[base+from : base+last+1])
		last = from
	}
	return th.stack[base+first]
}

func isText(v Value) bool { return v.isString() || v.isNumber() }

// concatError raises that one of two values, the right one in register last, is no text.
func (th *thread) concatError(left, right Value, last int) {
	if isText(left) {
		th.operandError(right, last, "concatenate")
	}
	th.operandError(left, last-1, "concatenate")
}

// join returns the texts as one string.
func (th *thread) join(vs []Value) Value {
	if len(vs) == 2 && vs[0].isString() && vs[1].isString() {
		if vs[1].strLen() == 0 {
			return vs[0]
		}
		if vs[0].strLen() == 0 {
			return vs[1]
		}
	}
	size := 0
	for _, v := range vs {
		if v.isString() {
			size += v.strLen()
		} else {
			size += numberTextMax
		}
	}
	th.state.charge(size + sizeofValue)
	var b strings.Builder
	b.Grow(size)
	var number [numberTextMax]byte
	for _, v := range vs {
		if v.isString() {
			b.WriteString(v.str())
		} else {
			b.Write(appendNumber(number[:0], v.number()))
		}
	}
	return String(b.String())
}
