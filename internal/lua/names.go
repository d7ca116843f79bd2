package lua

import (
	"strconv"
	"strings"
)

// position returns the chunk and the line of the function at a level: 0 is the running one.
func (th *thread) position(level int) (chunk string, line int, ok bool) {
	i := th.frameAt(level)
	if i < 0 {
		return "", 0, false
	}
	f := th.frames[i]
	if f.fn == nil {
		return "=(tail call)", -1, true
	}
	if f.fn.native != nil {
		return "=[C]", -1, true
	}
	return f.fn.proto.chunk, f.fn.proto.line(f.pc - 1), true
}

// frameAt returns the index of the frame at a level, 0 for a caller that a tail call has
// replaced, or -1. The frame at index 0 is nobody's.
func (th *thread) frameAt(level int) int {
	for i := len(th.frames) - 1; i > 0; i-- {
		if level == 0 {
			return i
		}
		level -= 1 + th.frames[i].tailCalls
		if level < 0 {
			return 0
		}
	}
	return -1
}

// The longest name of a chunk in an error, with a zero byte of C: of one at run time, and of
// one in the text.
const (
	displayNameMax = 60
	syntaxNameMax  = 80
)

// displayName returns the name of a chunk as errors show it.
func displayName(chunk string) string { return displayNameIn(chunk, displayNameMax) }

func displayNameIn(chunk string, size int) string {
	chunk = cutAtZero(chunk)
	switch {
	case strings.HasPrefix(chunk, "="):
		return chunk[1:min(len(chunk), size)]
	case strings.HasPrefix(chunk, "@"):
		name, room := chunk[1:], size-len(" '...' ")-1
		if len(name) > room {
			return "..." + name[len(name)-room:]
		}
		return name
	}
	cut := strings.IndexAny(chunk, "\n\r")
	if cut < 0 {
		cut = len(chunk)
	}
	cut = min(cut, size-len(` [string "..."] `)-1)
	if cut < len(chunk) {
		return `[string "` + chunk[:cut] + `..."]`
	}
	return `[string "` + chunk + `"]`
}

// cutAtZero returns what C sees of a text that it takes for a string of its own.
func cutAtZero(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

// calledAs returns the name under which the running function was called, and whether as a
// method; "" if there is none.
func (th *thread) calledAs() (name string, method bool) {
	n := len(th.frames)
	if n < 3 || th.frames[n-1].tailCalls > 0 {
		return "", false
	}
	caller := th.frames[n-2]
	if caller.fn.native != nil {
		return "", false
	}
	p := caller.fn.proto
	switch in := p.code[caller.pc-1]; in.op {
	case opCall, opTailCall, opTForLoop:
		th.state.budget -= caller.pc / 16
		what, name := p.nameOf(int(in.a), caller.pc-1)
		return name, what == "method"
	}
	return "", false
}

// operandError raises that an operation does not work on v, which is in a register of the
// running function, or in none.
func (th *thread) operandError(v Value, register int, operation string) {
	if f := th.frame(); register != notRegister && f.fn != nil && f.fn.native == nil {
		th.state.budget -= f.pc / 16
		if what, name := f.fn.proto.nameOf(register, f.pc-1); what != "" {
			th.raise("attempt to %s %s '%s' (a %s value)", operation, what, name, v.Kind())
		}
	}
	th.raise("attempt to %s a %s value", operation, v.Kind())
}

// nameOf returns what the program calls the value that a register holds before the
// instruction at pc: local, global, field, upvalue or method, and its name; or "".
func (p *proto) nameOf(register, pc int) (what, name string) {
	if name := p.localName(register, pc); name != "" {
		return "local", name
	}
	in := p.setter(register, pc)
	switch in.op {
	case opGetGlobal:
		return "global", p.constants[in.b].str()
	case opMove:
		if int(in.b) < int(in.a) {
			return p.nameOf(int(in.b), pc)
		}
	case opGetField:
		return "field", p.constants[in.c].str()
	case opGetTable:
		return "field", p.keyName(in.c)
	case opGetUpval:
		return "upvalue", p.upvalueNames[in.b]
	case opSelf:
		return "method", p.keyName(in.c)
	}
	return "", ""
}

// keyName returns the string constant that an operand names, or "?".
func (p *proto) keyName(x uint16) string {
	if x >= constantBit && p.constants[x-constantBit].isString() {
		return p.constants[x-constantBit].str()
	}
	return "?"
}

// localName returns the name of the local variable in a register at an instruction, or "".
func (p *proto) localName(register, pc int) string {
	for i := range p.locals {
		v := &p.locals[i]
		if v.from > pc {
			break
		}
		if pc < v.to {
			if register == 0 {
				return v.name
			}
			register--
		}
	}
	return ""
}

// setter returns the instruction that gave a register its value before the one at pc, as far
// as jumps forward tell; opReturn if there is none.
func (p *proto) setter(register, pc int) instr {
	last := instr{op: opReturn}
	for i := 0; i < pc; i++ {
		in := p.code[i]
		if in.sets(register) {
			last = in
		}
		if in.op == opJump || in.op == opForLoop || in.op == opForPrep {
			if to := i + 1 + int(in.b); to > i && to <= pc {
				i = to - 1
			}
		}
	}
	return last
}

// sets reports whether the instruction changes a register.
func (in instr) sets(register int) bool {
	a := int(in.a)
	switch in.op {
	case opLoadNil:
		return a <= register && register <= int(in.b)
	case opSelf:
		return register == a || register == a+1
	case opCall, opTailCall:
		return register >= a
	case opTForLoop:
		return register >= a+2
	case opSetGlobal, opSetUpval, opSetTable, opJump, opEq, opLt, opLe, opReturn, opSetList, opClose:
		return false
	}
	return register == a
}

// where returns "chunk:line: " for the function at a level, or "" if it is not one of Lua.
func (th *thread) where(level int) string {
	i := th.frameAt(level)
	if i <= 0 || th.frames[i].fn.native != nil {
		return ""
	}
	p := th.frames[i].fn.proto
	line := p.line(th.frames[i].pc - 1)
	if line <= 0 {
		return ""
	}
	return p.name + ":" + strconv.Itoa(line) + ": "
}
