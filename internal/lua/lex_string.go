package lua

// comment skips a comment, after its two dashes.
func (l *lexer) comment() {
	if l.peek() == '[' {
		level := l.bracketLevel()
		l.raw = l.raw[:0]
		if level >= 0 {
			l.longText(level, false)
			l.raw = l.raw[:0]
			return
		}
	}
	for c := l.peek(); c != '\n' && c != '\r' && c != endOfText; c = l.peek() {
		l.pos++
	}
}

// bracketLevel reads [ or ] with the equal signs behind it. It returns their number if the
// same bracket follows, and less than zero otherwise: -1 for a lone bracket.
func (l *lexer) bracketLevel() int {
	bracket, level := l.peek(), 0
	l.save()
	for l.peek() == '=' {
		l.save()
		level++
	}
	if l.peek() == bracket {
		return level
	}
	return -level - 1
}

func (l *lexer) longString(level int) string {
	l.longText(level, true)
	return string(l.raw[2+level : len(l.raw)-2-level])
}

// longText reads a long string or comment from its second bracket on. A string is kept in
// raw.
func (l *lexer) longText(level int, keep bool) {
	l.save()
	if c := l.peek(); c == '\n' || c == '\r' {
		l.newLine()
	}
	for {
		switch c := l.peek(); c {
		case endOfText:
			if keep {
				l.fail("unfinished long string", tokEOF)
			}
			l.fail("unfinished long comment", tokEOF)
		case ']':
			if l.bracketLevel() == level {
				l.save()
				return
			}
		case '\n', '\r':
			l.raw = append(l.raw, '\n')
			l.newLine()
			if !keep {
				l.raw = l.raw[:0]
			}
		default:
			l.save()
			if !keep {
				l.raw = l.raw[:0]
			}
		}
	}
}

func (l *lexer) shortString(quote int) string {
	l.save()
	for c := l.peek(); c != quote; c = l.peek() {
		switch c {
		case endOfText:
			l.fail("unfinished string", tokEOF)
		case '\n', '\r':
			l.fail("unfinished string", tokString)
		case '\\':
			l.pos++
			l.escape()
		default:
			l.save()
		}
	}
	l.save()
	return string(l.raw[1 : len(l.raw)-1])
}

// escapes are the letters that stand for control characters behind a backslash.
var escapes = map[int]byte{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// escape reads what follows a backslash.
func (l *lexer) escape() {
	c := l.peek()
	if b, ok := escapes[c]; ok {
		l.raw = append(l.raw, b)
		l.pos++
		return
	}
	switch {
	case c == '\n' || c == '\r':
		l.raw = append(l.raw, '\n')
		l.newLine()
	case c == endOfText: // shortString reports it
	case isDigit(c):
		code := 0
		for i := 0; i < 3 && isDigit(l.peek()); i++ {
			code = 10*code + l.peek() - '0'
			l.pos++
		}
		if code > 255 {
			l.fail("escape sequence too large", tokString)
		}
		l.raw = append(l.raw, byte(code))
	default:
		l.save()
	}
}
