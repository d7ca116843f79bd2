package lua

// matcher matches a pattern at one place of a subject after another. A pattern ends at its
// first zero byte; reading past the end of either gives zero, as in C.
type matcher struct {
	call    *Call
	subject string
	pattern string
	steps   int
	depth   int
	deepest int

	level    int // captures so far, closed or open
	captures [capturesMax]captureSpan
}

// captureSpan is one capture: its start in the subject, and its length or one of those
// below.
type captureSpan struct{ start, size int }

const (
	openCapture     = -1
	positionCapture = -2

	capturesMax = 32

	// matchDepthMax bounds the stack: a pattern needs as much as it has items that may
	// match in several ways.
	matchDepthMax = 100000

	// sizeofMatch is about how much of Go's stack one level takes.
	sizeofMatch = 256

	// itemPerStep is how many bytes of a set are looked at for one step.
	itemPerStep = 16

	// stepsAtOnce is how many steps are counted before the State is told.
	stepsAtOnce = 1024

	// noMatch is the end of a match that there is not.
	noMatch = -1
)

func newMatcher(c *Call, subject, pattern string) *matcher {
	return &matcher{call: c, subject: subject, pattern: pattern}
}

// at returns the byte of the pattern, or 0 behind its end.
func (m *matcher) at(p int) byte {
	if p < len(m.pattern) {
		return m.pattern[p]
	}
	return 0
}

func (m *matcher) subjectAt(s int) byte {
	if s < len(m.subject) {
		return m.subject[s]
	}
	return 0
}

// start matches the pattern from p on at s, and returns where the match ends, or noMatch.
func (m *matcher) start(s, p int) int {
	m.level = 0
	m.depth = 0
	end := m.match(s, p)
	if m.deepest >= stepsAtOnce {
		m.call.state.Unpin(m.deepest / stepsAtOnce * stepsAtOnce * sizeofMatch)
		m.deepest = 0
	}
	return end
}

// done tells the State of the last steps.
func (m *matcher) done() {
	m.call.state.budget -= m.steps
	m.steps = 0
}

// work counts one step, and more for a long item, so that a match that tries very many ways can be
// interrupted.
func (m *matcher) work(size int) {
	m.steps += 1 + size/itemPerStep
	if m.steps >= stepsAtOnce {
		m.call.Step(m.steps)
		m.steps = 0
	}
}

func (m *matcher) match(s, p int) int {
	m.depth++
	if m.depth > m.deepest {
		m.deeper()
	}
	end := m.matchItems(s, p)
	m.depth--
	return end
}

// deeper pays for the stack that one level more takes than any before.
func (m *matcher) deeper() {
	if m.depth > matchDepthMax {
		m.call.Errorf("pattern too complex")
	}
	m.deepest = m.depth
	if m.deepest%stepsAtOnce == 0 {
		m.call.state.Pin(stepsAtOnce * sizeofMatch)
	}
}

func (m *matcher) matchItems(s, p int) int {
	for {
		m.steps++
		if p >= len(m.pattern) {
			return s
		}
		switch m.pattern[p] {
		case '(':
			if m.at(p+1) == ')' {
				return m.open(s, p+2, positionCapture)
			}
			return m.open(s, p+1, openCapture)
		case ')':
			return m.closeCapture(s, p+1)
		case '$':
			if p+1 == len(m.pattern) {
				if s == len(m.subject) {
					return s
				}
				return noMatch
			}
		case '%':
			next := m.at(p + 1)
			switch {
			case next == 'b':
				s = m.balance(s, p+2)
				p += 4
			case next == 'f':
				s, p = m.frontier(s, p+2)
			case isDigit(int(next)):
				s = m.again(s, next)
				p += 2
			default:
				goto item
			}
			if s == noMatch {
				return noMatch
			}
			continue
		}
	item:
		end := m.itemEnd(p)
		m.work(end - p)
		matches := s < len(m.subject) && m.single(m.subject[s], p, end)
		switch m.at(end) {
		case '?':
			if matches {
				if e := m.match(s+1, end+1); e != noMatch {
					return e
				}
			}
			p = end + 1
		case '*':
			return m.longest(s, p, end)
		case '+':
			if !matches {
				return noMatch
			}
			return m.longest(s+1, p, end)
		case '-':
			return m.shortest(s, p, end)
		default:
			if !matches {
				return noMatch
			}
			s++
			p = end
		}
	}
}

// longest matches as many of an item as it can, and then the rest of the pattern.
func (m *matcher) longest(s, p, end int) int {
	n := 0
	for s+n < len(m.subject) && m.single(m.subject[s+n], p, end) {
		n++
		m.work(end - p)
	}
	for ; n >= 0; n-- {
		if e := m.match(s+n, end+1); e != noMatch {
			return e
		}
	}
	return noMatch
}

// shortest matches as few of an item as it can, and then the rest of the pattern.
func (m *matcher) shortest(s, p, end int) int {
	for {
		if e := m.match(s, end+1); e != noMatch {
			return e
		}
		m.work(end - p)
		if s >= len(m.subject) || !m.single(m.subject[s], p, end) {
			return noMatch
		}
		s++
	}
}

func (m *matcher) open(s, p, what int) int {
	if m.level >= capturesMax {
		m.call.Errorf("too many captures")
	}
	m.captures[m.level] = captureSpan{s, what}
	m.level++
	e := m.match(s, p)
	if e == noMatch {
		m.level--
	}
	return e
}

func (m *matcher) closeCapture(s, p int) int {
	i := m.level - 1
	for i >= 0 && m.captures[i].size != openCapture {
		i--
	}
	if i < 0 {
		m.call.Errorf("invalid pattern capture")
	}
	m.captures[i].size = s - m.captures[i].start
	e := m.match(s, p)
	if e == noMatch {
		m.captures[i].size = openCapture
	}
	return e
}

// balance matches %bxy, with x and y at p.
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pattern) {
		m.call.Errorf("unbalanced pattern")
	}
	open, closing := m.pattern[p], m.pattern[p+1]
	if m.subjectAt(s) != open {
		return noMatch
	}
	depth := 1
	for s++; s < len(m.subject); s++ {
		m.work(0)
		switch m.subject[s] {
		case closing:
			depth--
			if depth == 0 {
				return s + 1
			}
		case open:
			depth++
		}
	}
	return noMatch
}

// again matches what a capture has matched.
func (m *matcher) again(s int, digit byte) int {
	i := int(digit) - '1'
	if i < 0 || i >= m.level || m.captures[i].size == openCapture {
		m.call.Errorf("invalid capture index")
	}
	c := m.captures[i]
	if c.size == positionCapture {
		return noMatch
	}
	text := m.subject[c.start : c.start+c.size]
	m.work(c.size / itemPerStep)
	if len(m.subject)-s >= len(text) && m.subject[s:s+len(text)] == text {
		return s + len(text)
	}
	return noMatch
}

// capture returns capture number i of the match of subject[s:e]; without captures, the first
// is the match.
func (m *matcher) capture(i, s, e int) Value {
	if i >= m.level {
		if i > 0 {
			m.call.Errorf("invalid capture index")
		}
		return m.call.substring(m.subject[s:e])
	}
	switch c := m.captures[i]; c.size {
	case openCapture:
		m.call.Errorf("unfinished capture")
		return Nil
	case positionCapture:
		return Number(float64(c.start + 1))
	default:
		return m.call.substring(m.subject[c.start : c.start+c.size])
	}
}

// appendCaptures adds all captures of the match, or the match if there are none.
func (m *matcher) appendCaptures(vs []Value, s, e int) []Value {
	for i := range max(m.level, 1) {
		vs = append(vs, m.capture(i, s, e))
	}
	return vs
}
