package lua

// registers is the window of a frame into its thread's stack. It is good until the stack
// grows: after anything that calls, or pushes.
type registers = [stackSlack]Value

func (th *thread) registers(base int) *registers { return (*registers)(th.stack[base:]) }

// constantOr returns the constant or register that an operand names.
func constantOr(r *registers, k []Value, x uint16) *Value {
	if x < constantBit {
		return &r[x]
	}
	return &k[x-constantBit]
}

// execute runs the topmost frame, and those that it calls, until it returns or the thread
// yields. An instruction that may raise an error or call something first saves pc in the
// frame: errors look there for their line and the names of variables.
func (th *thread) execute() {
	s := th.state
enter:
	f := th.frame()
	fn := f.fn
	code, k := fn.proto.code, fn.proto.constants
	base, pc := f.base, f.pc
	r := th.registers(base)
	for {
		in := code[pc]
		pc++
		switch in.op {
		case opMove:
			r[in.a] = r[uint8(in.b)]
		case opLoadK:
			r[in.a] = k[in.b]
		case opLoadBool:
			r[in.a] = Bool(in.b != 0)
			pc += int(in.c)
		case opLoadNil:
			clear(r[in.a : in.b+1])
		case opGetUpval:
			r[in.a] = *fn.upvalues[in.b].at
		case opSetUpval:
			*fn.upvalues[in.b].at = r[in.a]

		case opGetGlobal:
			v := s.globals.getString(k[in.b])
			if v.IsNil() && s.globals.meta != nil {
				f.pc = pc
				v = th.index(TableValue(s.globals), k[in.b], notRegister)
				r = th.registers(base)
			}
			r[in.a] = v
		case opSetGlobal:
			f.pc = pc
			th.setIndex(TableValue(s.globals), k[in.b], r[in.a], notRegister)
			r = th.registers(base)
		case opGetField:
			if object := &r[uint8(in.b)]; object.isTable() {
				t := object.table()
				if v := t.getString(k[in.c]); !v.IsNil() || t.meta == nil {
					r[in.a] = v
					continue
				}
			}
			f.pc = pc
			v := th.index(r[uint8(in.b)], k[in.c], int(in.b))
			r = th.registers(base)
			r[in.a] = v
		case opGetTable:
			key := constantOr(r, k, in.c)
			if object := &r[uint8(in.b)]; object.isTable() {
				t := object.table()
				if v := t.Get(*key); !v.IsNil() || t.meta == nil {
					r[in.a] = v
					continue
				}
			}
			f.pc = pc
			v := th.index(r[uint8(in.b)], *key, int(in.b))
			r = th.registers(base)
			r[in.a] = v
		case opSetTable:
			key, v := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			f.pc = pc
			if object := &r[in.a]; object.isTable() {
				t := object.table()
				if t.meta == nil && !t.ReadOnly && t.replace(*key, *v) {
					continue
				}
			}
			th.setIndex(r[in.a], *key, *v, int(in.a))
			r = th.registers(base)
		case opSelf:
			object := r[uint8(in.b)]
			f.pc = pc
			v := th.index(object, *constantOr(r, k, in.c), int(in.b))
			r = th.registers(base)
			r[in.a+1] = object
			r[in.a] = v
		case opNewTable:
			f.pc = pc
			r[in.a] = TableValue(s.NewTable(int(in.b), int(in.c)))
		case opSetList:
			f.pc = pc
			th.setList(in, base)

		case opAdd:
			x, y := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			if x.isNumber() && y.isNumber() {
				r[in.a] = Number(x.number() + y.number())
				continue
			}
			goto arith
		case opSub:
			x, y := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			if x.isNumber() && y.isNumber() {
				r[in.a] = Number(x.number() - y.number())
				continue
			}
			goto arith
		case opMul:
			x, y := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			if x.isNumber() && y.isNumber() {
				r[in.a] = Number(x.number() * y.number())
				continue
			}
			goto arith
		case opDiv:
			x, y := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			if x.isNumber() && y.isNumber() {
				r[in.a] = Number(x.number() / y.number())
				continue
			}
			goto arith
		case opMod, opPow:
			x, y := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			if x.isNumber() && y.isNumber() {
				r[in.a] = Number(calculate(in.op, x.number(), y.number()))
				continue
			}
			goto arith
		case opUnm:
			x := r[uint8(in.b)]
			if x.isNumber() {
				r[in.a] = Number(-x.number())
				continue
			}
			in.c = uint16(in.b)
			goto arith
		case opNot:
			r[in.a] = Bool(!r[uint8(in.b)].Truthy())
		case opLen:
			f.pc = pc
			r[in.a] = th.length(r[uint8(in.b)], int(in.b))
		case opConcat:
			f.pc = pc
			v := th.concat(base, int(in.b), int(in.c))
			r = th.registers(base)
			r[in.a] = v

		case opJump:
			goto jump
		case opEq:
			x, y := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			holds := RawEqual(*x, *y)
			if x.ref != y.ref && x.bits == y.bits {
				s.work(*x, *y)
			}
			if !holds && x.isTable() && y.isTable() {
				f.pc = pc
				holds = th.equalByMeta(x.table(), y.table())
				r = th.registers(base)
			}
			if holds == (in.a != 0) {
				in = code[pc]
				pc++
				goto jump
			}
			pc++
		case opLt:
			x, y := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			if x.isNumber() && y.isNumber() {
				if (x.number() < y.number()) == (in.a != 0) {
					in = code[pc]
					pc++
					goto jump
				}
				pc++
				continue
			}
			f.pc = pc
			holds := th.lessThan(*x, *y)
			r = th.registers(base)
			if holds == (in.a != 0) {
				in = code[pc]
				pc++
				goto jump
			}
			pc++
		case opLe:
			x, y := constantOr(r, k, uint16(in.b)), constantOr(r, k, in.c)
			if x.isNumber() && y.isNumber() {
				if (x.number() <= y.number()) == (in.a != 0) {
					in = code[pc]
					pc++
					goto jump
				}
				pc++
				continue
			}
			f.pc = pc
			holds := th.lessEqual(*x, *y)
			r = th.registers(base)
			if holds == (in.a != 0) {
				in = code[pc]
				pc++
				goto jump
			}
			pc++
		case opTest:
			if r[in.a].Truthy() == (in.c != 0) {
				in = code[pc]
				pc++
				goto jump
			}
			pc++
		case opTestSet:
			if v := r[uint8(in.b)]; v.Truthy() == (in.c != 0) {
				r[in.a] = v
				in = code[pc]
				pc++
				goto jump
			}
			pc++

		case opCall:
			if in.b != 0 {
				th.top = base + int(in.a) + int(in.b)
			}
			f.pc = pc
			if th.enter(base+int(in.a), int(in.c)-1) {
				goto enter
			}
			if th.status == statusYielding {
				return
			}
			r = th.registers(base)
		case opTailCall:
			if in.b != 0 {
				th.top = base + int(in.a) + int(in.b)
			}
			f.pc = pc
			if th.enterTail(f, base+int(in.a)) {
				goto enter
			}
			if th.status == statusYielding {
				return
			}
			r = th.registers(base)
		case opReturn:
			n := int(in.b) - 1
			if n == all {
				n = th.top - base - int(in.a)
			}
			if th.leave(f, base+int(in.a), n) {
				return
			}
			goto enter
		case opForPrep:
			f.pc = pc
			th.prepareFor(r[in.a : in.a+3])
			pc += int(in.b)
		case opForLoop:
			step := r[in.a+2].number()
			i := r[in.a].number() + step
			limit := r[in.a+1].number()
			if step > 0 && i <= limit || !(step > 0) && limit <= i {
				r[in.a] = Number(i)
				r[in.a+3] = Number(i)
				goto jump
			}
		case opTForLoop:
			f.pc = pc
			th.iterate(base+int(in.a), int(in.c))
			r = th.registers(base)
			if v := r[in.a+3]; !v.IsNil() {
				r[in.a+2] = v
				in = code[pc]
				pc++
				goto jump
			}
			pc++

		case opClose:
			th.closeUpvalues(base + int(in.a))
		case opClosure:
			f.pc = pc
			r[in.a] = FunctionValue(th.closure(f, int(in.b)))
		case opVararg:
			f.pc = pc
			th.varargs(f, base+int(in.a), int(in.b)-1)
			r = th.registers(base)
		}
		continue

	arith: // of operands that are not both numbers
		f.pc = pc
		{
			v := th.arith(in, *constantOr(r, k, uint16(in.b)), *constantOr(r, k, in.c))
			r = th.registers(base)
			r[in.a] = v
		}
		continue

	jump:
		pc += int(in.b)
		if in.b < 0 {
			if s.budget--; s.budget < 0 {
				f.pc = pc
				s.interrupt()
			}
		}
	}
}
