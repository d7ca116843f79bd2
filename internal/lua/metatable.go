package lua

// metatable returns the metatable of v, or nil.
func (s *State) metatable(v Value) *Table {
	switch {
	case v.isTable():
		return v.table().meta
	case v.isString():
		return s.stringsMeta
	}
	return nil
}

// metamethod returns what the metatable of v has under name, or Nil.
func (s *State) metamethod(v Value, name string) Value {
	if m := s.metatable(v); m != nil {
		return m.GetField(name)
	}
	return Nil
}

// typeErrorAt raises that the value at index i of the stack is of the wrong type for an
// operation.
func (th *thread) typeErrorAt(i int, op string) {
	th.raise("attempt to %s a %s value", op, th.stack[i].Kind())
}
