package lua

// setResults makes a call or ... have count values; all is any number.
func (b *builder) setResults(e *operand, count int) {
	switch e.kind {
	case kindCallValue:
		b.at(e).c = uint16(count + 1)
	case kindVarargs:
		b.at(e).b = int32(count + 1)
		b.at(e).a = uint8(b.free)
		b.reserve(1)
	}
}

func (b *builder) setOneResult(e *operand) {
	switch e.kind {
	case kindCallValue:
		e.kind = kindRegister
		e.index = int(b.at(e).a)
	case kindVarargs:
		b.at(e).b = 2
		e.kind = kindPending
	}
}

// fetch adds the code that reads a variable, so that e is a value.
func (b *builder) fetch(e *operand) {
	switch e.kind {
	case kindLocal:
		e.kind = kindRegister
	case kindUpvalue:
		e.index = b.emit(opGetUpval, 0, e.index, 0)
		e.kind = kindPending
	case kindGlobal:
		e.index = b.emit(opGetGlobal, 0, e.index, 0)
		e.kind = kindPending
	case kindIndexed:
		b.release(e.key)
		b.release(e.index)
		e.index = b.emit(opGetTable, 0, e.index, e.key)
		e.kind = kindPending
	case kindCallValue, kindVarargs:
		b.setOneResult(e)
	}
}

// load puts the value into a register, but for what its jumps carry.
func (b *builder) load(e *operand, register int) {
	b.fetch(e)
	switch e.kind {
	case kindNilConst:
		b.loadNil(register, 1)
	case kindTrue:
		b.emit(opLoadBool, register, 1, 0)
	case kindFalse:
		b.emit(opLoadBool, register, 0, 0)
	case kindConstant:
		b.emit(opLoadK, register, e.index, 0)
	case kindNumeral:
		b.emit(opLoadK, register, b.constant(Number(e.number)), 0)
	case kindPending:
		b.at(e).a = uint8(register)
	case kindRegister:
		if e.index != register {
			b.emit(opMove, register, e.index, 0)
		}
	default: // kindVoid and kindJump
		return
	}
	e.kind = kindRegister
	e.index = register
}

func (b *builder) loadAnywhere(e *operand) {
	if e.kind != kindRegister {
		b.reserve(1)
		b.load(e, b.free-1)
	}
}

// settle puts the value into a register, whichever way it is reached.
func (b *builder) settle(e *operand, register int) {
	b.load(e, register)
	if e.kind == kindJump {
		e.ifTrue = append(e.ifTrue, e.index)
	}
	if e.hasJumps() {
		loadFalse, loadTrue := -1, -1
		if b.lacksValue(e.ifTrue) || b.lacksValue(e.ifFalse) {
			var over jumps
			if e.kind != kindJump {
				over = b.jump()
			}
			b.label()
			loadFalse = b.emit(opLoadBool, register, 0, 1)
			b.label()
			loadTrue = b.emit(opLoadBool, register, 1, 0)
			b.jumpHere(over)
		}
		end := b.label()
		b.patch(e.ifFalse, end, register, loadFalse)
		b.patch(e.ifTrue, end, register, loadTrue)
	}
	*e = operand{kind: kindRegister, index: register}
}

// toNext puts the value into the next free register.
func (b *builder) toNext(e *operand) {
	b.fetch(e)
	b.releaseOperand(e)
	b.reserve(1)
	b.settle(e, b.free-1)
}

// toAny puts the value into some register and returns it.
func (b *builder) toAny(e *operand) int {
	b.fetch(e)
	if e.kind == kindRegister {
		if !e.hasJumps() {
			return e.index
		}
		if e.index >= len(b.active) {
			b.settle(e, e.index)
			return e.index
		}
	}
	b.toNext(e)
	return e.index
}

func (b *builder) toValue(e *operand) {
	if e.hasJumps() {
		b.toAny(e)
		return
	}
	b.fetch(e)
}

// toOperand makes the value a constant or puts it into a register, and returns which, as
// instructions name it.
func (b *builder) toOperand(e *operand) int {
	b.toValue(e)
	switch e.kind {
	case kindNilConst, kindTrue, kindFalse, kindNumeral:
		if len(b.p.constants) < constantBit {
			var v Value
			switch e.kind {
			case kindTrue:
				v = True
			case kindFalse:
				v = False
			case kindNumeral:
				v = Number(e.number)
			}
			e.index = b.constant(v)
			e.kind = kindConstant
			return e.index + constantBit
		}
	case kindConstant:
		if e.index < constantBit {
			return e.index + constantBit
		}
	}
	return b.toAny(e)
}

// store assigns the value to a variable.
func (b *builder) store(variable, e *operand) {
	switch variable.kind {
	case kindLocal:
		b.releaseOperand(e)
		b.settle(e, variable.index)
		return
	case kindUpvalue:
		b.emit(opSetUpval, b.toAny(e), variable.index, 0)
	case kindGlobal:
		b.emit(opSetGlobal, b.toAny(e), variable.index, 0)
	case kindIndexed:
		b.emit(opSetTable, variable.index, variable.key, b.toOperand(e))
	}
	b.releaseOperand(e)
}

// index makes t the value of its field key. t is in a register.
func (b *builder) index(t, key *operand) {
	t.key = b.toOperand(key)
	t.kind = kindIndexed
}

// self makes e the method key of e, with e behind it as the first argument.
func (b *builder) self(e, key *operand) {
	b.toAny(e)
	b.releaseOperand(e)
	at := b.free
	b.reserve(2)
	b.emit(opSelf, at, e.index, b.toOperand(key))
	b.releaseOperand(key)
	*e = operand{kind: kindRegister, index: at}
}
