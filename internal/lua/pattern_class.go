package lua

// itemEnd returns where the single character or class that begins at p ends.
func (m *matcher) itemEnd(p int) int {
	c := m.at(p)
	p++
	switch c {
	case '%':
		if p >= len(m.pattern) {
			m.call.Errorf("malformed pattern (ends with '%%')")
		}
		return p + 1
	case '[':
		if m.at(p) == '^' {
			p++
		}
		for {
			if p >= len(m.pattern) {
				m.call.Errorf("malformed pattern (missing ']')")
			}
			c := m.pattern[p]
			p++
			if c == '%' && p < len(m.pattern) {
				p++
			}
			if m.at(p) == ']' {
				return p + 1
			}
		}
	}
	return p
}

// single reports whether c matches the item in pattern[p:end].
func (m *matcher) single(c byte, p, end int) bool {
	switch m.pattern[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pattern[p+1])
	case '[':
		return m.inSet(c, p, end-1)
	default:
		return m.pattern[p] == c
	}
}

// inSet reports whether c is in the set whose brackets are at p and end.
func (m *matcher) inSet(c byte, p, end int) bool {
	found := true
	if m.at(p+1) == '^' {
		found = false
		p++
	}
	for p++; p < end; p++ {
		switch {
		case m.pattern[p] == '%':
			p++
			if inClass(c, m.at(p)) {
				return found
			}
		case m.at(p+1) == '-' && p+2 < end:
			p += 2
			if m.pattern[p-2] <= c && c <= m.pattern[p] {
				return found
			}
		case m.pattern[p] == c:
			return found
		}
	}
	return !found
}

// inClass reports whether c is in the class of a letter; in none of it, if the letter is
// a capital. What is no class stands for itself.
func inClass(c, class byte) bool {
	var in bool
	switch class | 0x20 {
	case 'a':
		in = isLetter(c)
	case 'c':
		in = c < 32 || c == 127
	case 'd':
		in = isDigit(int(c))
	case 'l':
		in = 'a' <= c && c <= 'z'
	case 'p':
		in = 32 < c && c < 127 && !isLetter(c) && !isDigit(int(c))
	case 's':
		in = isSpace(int(c))
	case 'u':
		in = 'A' <= c && c <= 'Z'
	case 'w':
		in = isLetter(c) || isDigit(int(c))
	case 'x':
		in = isDigit(int(c)) || 'a' <= c|0x20 && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if !isLetter(class) {
		return class == c
	}
	return in == (class >= 'a')
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// frontier matches %f[set], with the set at p: the place between a byte that is not in the
// set and one that is. It returns where the set ends.
func (m *matcher) frontier(s, p int) (at, end int) {
	if m.at(p) != '[' {
		m.call.Errorf("missing '[' after '%%f' in pattern")
	}
	end = m.itemEnd(p)
	m.work(end - p)
	before := byte(0)
	if s > 0 {
		before = m.subject[s-1]
	}
	if m.inSet(before, p, end-1) || !m.inSet(m.subjectAt(s), p, end-1) {
		return noMatch, end
	}
	return s, end
}
