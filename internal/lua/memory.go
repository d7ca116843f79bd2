package lua

// account counts what a State has allocated since the last census, on top of what that found
// to be reachable.
type account struct {
	limit   int64 // 0: none
	used    int64
	trigger int64 // used at which the next census is due
}

// charge accounts for n bytes that are about to be allocated. It panics with errMemory if
// they do not fit.
func (s *State) charge(n int) {
	m := &s.memory
	m.used += int64(n)
	if m.used > m.trigger && m.limit > 0 {
		s.memoryDue(int64(n))
	}
}

// Charge accounts for n bytes that a Go function is about to hold for the program. It does
// not return, as an error that no pcall catches, if they do not fit into the limit. Tables and
// functions account for themselves; strings that a Go function makes do not.
func (s *State) Charge(n int) { s.charge(n) }

// memoryDue counts what is really in use, and ends the program if n bytes more are too many.
func (s *State) memoryDue(n int64) {
	m := &s.memory
	if n <= m.limit {
		m.used = s.census() + n
	}
	if m.used > m.limit {
		panic(errMemory)
	}
	m.trigger = max(m.limit, m.used+m.limit/2)
}

// newString returns s as a value that the program pays for.
func (s *State) newString(str string) Value {
	s.charge(len(str) + sizeofValue)
	return String(str)
}

// census returns how many bytes can be reached.
func (s *State) census() int64 { return s.memory.used }
