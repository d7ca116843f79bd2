package command

// globMatch reports whether s matches a pattern in the style of Redis: * ? [a-c] [^a] and \
// before a character that stands for itself. It takes time linear in
// len(pattern)*len(s) whatever the pattern is: after a mismatch only the last
// star is tried again. Of an empty s Redis does not look at the pattern: only one that is empty, too, matches.
func globMatch(pattern, s []byte) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, i := 0, 0
	star, mark := -1, 0 // the pattern behind the last star, and where in s it was tried last
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, mark = p, i
			continue
		}
		if n, ok := matchOne(pattern[p:], s[i]); ok {
			p += n
			i++
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches b against the first element of pattern and returns the
// length of that element.
func matchOne(pattern []byte, b byte) (int, bool) {
	if len(pattern) == 0 {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return matchClass(pattern, b)
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == b
		}
	}
	return 1, pattern[0] == b
}

// matchClass matches b against the class that pattern begins with. A class that
// is not closed ends with the pattern.
func matchClass(pattern []byte, b byte) (int, bool) {
	i, not, found := 1, false, false
	if i < len(pattern) && pattern[i] == '^' {
		not = true
		i++
	}
	for i < len(pattern) && pattern[i] != ']' {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			found = found || pattern[i] == b
			i++
		case i+2 < len(pattern) && pattern[i+1] == '-':
			lo, hi := min(pattern[i], pattern[i+2]), max(pattern[i], pattern[i+2])
			found = found || lo <= b && b <= hi
			i += 3
		default:
			found = found || pattern[i] == b
			i++
		}
	}
	if i < len(pattern) {
		i++ // the closing bracket
	}
	return i, found != not
}

// literalPrefix returns the bytes that everything matching pattern begins with.
func literalPrefix(pattern []byte) []byte {
	var out []byte
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[':
			return out
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
		}
		out = append(out, pattern[i])
	}
	return out
}

// MatchGlob reports whether s matches a pattern in the style of Redis. It is
// for commands whose rows stand elsewhere.
func MatchGlob(pattern, s []byte) bool { return globMatch(pattern, s) }
