package lua

// The names of the events that metatables handle.
var (
	nameIndex     = String("__index")
	nameNewIndex  = String("__newindex")
	nameCall      = String("__call")
	nameConcat    = String("__concat")
	nameEq        = String("__eq")
	nameLt        = String("__lt")
	nameLe        = String("__le")
	nameToString  = String("__tostring")
	nameMetatable = String("__metatable")

	// arithNames are in the order of the instructions.
	arithNames = [...]Value{
		String("__add"), String("__sub"), String("__mul"), String("__div"), String("__mod"), String("__pow"), String("__unm"),
	}
)

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
func (s *State) metamethod(v, name Value) Value {
	if m := s.metatable(v); m != nil {
		return m.getString(name)
	}
	return Nil
}

// binaryMetamethod returns the metamethod of the left operand, or else the right one.
func (s *State) binaryMetamethod(left, right, name Value) Value {
	if h := s.metamethod(left, name); !h.IsNil() {
		return h
	}
	return s.metamethod(right, name)
}
