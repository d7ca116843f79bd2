package rdb

// nameSet finds names that come twice.
type nameSet map[string]struct{}

// add fails the reader if the name is already there.
func (s nameSet) add(r *reader, name []byte) {
	if r.err != nil {
		return
	}
	if r.take(int64(len(name)) + nameSize); r.err != nil {
		return
	}
	_, twice := s[string(name)]
	r.check(!twice)
	s[string(name)] = struct{}{}
}
