package lua

import "unsafe"

// account counts what a State holds: what the last census has found to be reachable, and all
// that has been allocated since.
type account struct {
	limit   int64 // 0: none
	used    int64
	trigger int64 // used at which the next census is due
	pinned  int64 // what Go functions in progress hold, which no census sees

	epoch   uint32 // of the current census
	work    []Value
	strings map[unsafe.Pointer]struct{} // long ones that have been counted
}

// longString is the length from which strings are counted once, however many values share
// them. Shorter ones are counted with each value.
const longString = 32

// charge accounts for n bytes that are about to be allocated. While a program runs, it does
// not return if they do not fit.
func (s *State) charge(n int) {
	m := &s.memory
	m.used += int64(n)
	s.budget -= n / bytesPerStep
	if m.used > m.trigger && m.limit > 0 {
		s.memoryDue(int64(n))
	}
}

// Charge accounts for n bytes that a Go function is about to hold for the program. It does
// not return, as an error that no pcall catches, if they do not fit into the limit. Tables and
// functions account for themselves; strings that a Go function makes do not.
func (s *State) Charge(n int) { s.charge(n) }

// memoryDue counts what is really in use, and ends the program if that is too much. Then
// at least half the limit has to be allocated until it counts again, which keeps its cost in
// proportion.
func (s *State) memoryDue(n int64) {
	m := &s.memory
	if s.protections == 0 {
		return // nobody could take the error: the program that comes will
	}
	if n <= m.limit {
		m.used = s.census() + n
	}
	if m.used > m.limit {
		m.used = 0 // what has been used is about to become unreachable
		m.trigger = 0
		panic(errMemory)
	}
	m.trigger = max(m.limit, m.used+m.limit/2)
}

// Pin is Charge for what the State does not see, because only Go refers to it. Unpin takes it
// back when nobody does any more, or a value of the program holds it; an error that ends the Go
// function does so, too.
func (s *State) Pin(n int) {
	s.memory.pinned += int64(n)
	s.charge(n)
}

// Unpin takes back what Pin has accounted for.
func (s *State) Unpin(n int) { s.memory.pinned -= int64(n) }

// newString returns s as a value that the program pays for.
func (s *State) newString(str string) Value {
	s.charge(len(str) + sizeofValue)
	return String(str)
}

// census returns how many bytes can be reached. It also forgets what stacks still hold above
// their tops, so that Go can collect it.
func (s *State) census() int64 {
	m := &s.memory
	m.epoch++
	m.strings = make(map[unsafe.Pointer]struct{})
	m.work = append(m.work[:0], TableValue(s.globals), TableValue(s.stringsMeta), threadValue(s.main), threadValue(s.running))
	if s.options.Roots != nil {
		s.options.Roots(func(f *Function) { m.work = append(m.work, FunctionValue(f)) })
	}
	for _, c := range s.calls[s.callsInUse:] {
		*c = Call{state: s}
	}
	size := m.pinned
	for _, c := range s.calls[:s.callsInUse] {
		size += m.addHeld(c.results) + m.addHeld(c.called)
	}
	for len(m.work) > 0 {
		v := m.work[len(m.work)-1]
		m.work = m.work[:len(m.work)-1]
		size += m.count(v)
	}
	m.work, m.strings = nil, nil
	return size
}

// count returns the size of the object in v, and adds what it refers to to the work.
func (m *account) count(v Value) int64 {
	switch v.Kind() {
	case KindTable:
		return m.countTable(v.table())
	case KindFunction:
		return m.countFunction(v.function())
	case KindThread:
		return m.countThread(v.thread())
	}
	return 0
}

// add counts a string, and adds another object to the work.
func (m *account) add(v Value) int64 {
	switch v.Kind() {
	case KindTable, KindFunction, KindThread:
		m.work = append(m.work, v)
	case KindString:
		n := v.strLen()
		if n >= longString {
			if _, counted := m.strings[v.ref]; counted {
				return 0
			}
			m.strings[v.ref] = struct{}{}
		}
		return int64(n)
	}
	return 0
}

func (m *account) addAll(vs []Value) int64 {
	size := int64(0)
	for i := range vs {
		size += m.add(vs[i])
	}
	return size
}

// addHeld is addAll for a slice of values that is used again and again.
func (m *account) addHeld(vs []Value) int64 {
	clear(vs[len(vs):cap(vs)])
	return int64(sizeofValue*cap(vs)) + m.addAll(vs)
}

// seen reports whether an object has been counted, and notes that it has.
func (m *account) seen(epoch *uint32) bool {
	if *epoch == m.epoch {
		return true
	}
	*epoch = m.epoch
	return false
}

func (m *account) countTable(t *Table) int64 {
	if m.seen(&t.epoch) {
		return 0
	}
	size := int64(sizeofTable + sizeofValue*len(t.array) + sizeofNode*len(t.nodes))
	size += m.addAll(t.array) + m.add(TableValue(t.meta))
	for i := range t.nodes {
		size += m.add(t.nodes[i].key) + m.add(t.nodes[i].val)
	}
	return size
}

func (m *account) countFunction(f *Function) int64 {
	if m.seen(&f.epoch) {
		return 0
	}
	size := int64(sizeofFunction) + m.addAll(f.holds)
	for _, u := range f.upvalues {
		if u != nil && !m.seen(&u.epoch) {
			size += sizeofUpvalue + m.add(*u.at)
		}
	}
	if f.proto != nil {
		size += m.countProto(f.proto)
	}
	return size
}

func (m *account) countProto(p *proto) int64 {
	if m.seen(&p.epoch) {
		return 0
	}
	size := p.size() + m.addAll(p.constants) + m.add(String(p.chunk))
	for _, inner := range p.protos {
		size += m.countProto(inner)
	}
	return size
}

func (m *account) countThread(th *thread) int64 {
	if m.seen(&th.epoch) {
		return 0
	}
	top := th.top
	size := int64(sizeofThread + sizeofValue*len(th.stack))
	for _, f := range th.frames[1:] {
		size += m.add(FunctionValue(f.fn))
		if f.fn.proto != nil {
			top = max(top, f.base+f.fn.proto.registers)
		}
	}
	for i, f := range th.frames[:cap(th.frames)] {
		switch {
		case f == nil || i < len(th.frames):
		case i < framesKept:
			*f = frame{}
		default:
			th.frames[:cap(th.frames)][i] = nil
		}
	}
	size += int64(sizeofFrame * max(len(th.frames), framesKept))
	clear(th.stack[top:])
	return size + m.addAll(th.stack[:top]) + m.addHeld(th.yielded)
}
