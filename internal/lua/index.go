package lua

const (
	// notRegister is the register of an operand that is in none: errors have no name for it.
	notRegister = -1

	// metaLoopMax is how long a chain of __index or __newindex may be.
	metaLoopMax = 100
)

// index is object[key], with metamethods. register is where object is.
func (th *thread) index(object, key Value, register int) Value {
	for range metaLoopMax {
		var h Value
		if object.isTable() {
			t := object.table()
			v := t.Get(key)
			if !v.IsNil() || t.meta == nil {
				return v
			}
			if h = t.meta.getString(nameIndex); h.IsNil() {
				return Nil
			}
		} else if h = th.state.metamethod(object, nameIndex); h.IsNil() {
			th.operandError(object, register, "index")
		}
		if h.isFunction() {
			return th.callFirst(h, object, key)
		}
		object, register = h, notRegister
	}
	th.raise("loop in gettable")
	return Nil
}

// setIndex is object[key] = v, with metamethods.
func (th *thread) setIndex(object, key, v Value, register int) {
	for range metaLoopMax {
		var h Value
		if object.isTable() {
			t := object.table()
			if t.ReadOnly {
				th.raise("Attempt to modify a readonly table")
			}
			th.checkKey(key)
			slot := t.slot(key)
			if slot.IsNil() && t.meta != nil {
				h = t.meta.getString(nameNewIndex)
			}
			if h.IsNil() {
				*slot = v
				return
			}
		} else if h = th.state.metamethod(object, nameNewIndex); h.IsNil() {
			th.operandError(object, register, "index")
		}
		if h.isFunction() {
			th.callFirst(h, object, key, v)
			return
		}
		object, register = h, notRegister
	}
	th.raise("loop in settable")
}

// checkKey raises the errors of Table.Set with the program's position.
func (th *thread) checkKey(key Value) {
	if key.IsNil() {
		th.raise("table index is nil")
	}
	if key.isNumber() && key.number() != key.number() {
		th.raise("table index is NaN")
	}
}

// replace gives key k, which has a value, another one. It reports false if it has none.
func (t *Table) replace(k, v Value) bool {
	if k.isNumber() {
		f := k.number()
		if n := int(f); uint(n-1) < uint(len(t.array)) && float64(n) == f {
			t.array[n-1] = v
			return true
		}
	}
	if k.IsNil() {
		return false
	}
	if n := t.find(k); n != nil {
		n.val = v
		return true
	}
	return false
}

// setList puts the values of a table constructor into the table.
func (th *thread) setList(in instr, base int) {
	at := base + int(in.a)
	n := int(in.c)
	if n == 0 {
		n = th.top - at - 1
	}
	t := th.stack[at].table()
	first := (int(in.b) - 1) * fieldsPerFlush
	t.growArray(first + n)
	for i := n; i > 0; i-- {
		t.SetInt(first+i, th.stack[at+i])
	}
}
