package lua

import "strings"

const patternSpecials = "^$*+?.([%-"

func findOrMatch(c *Call, find bool) {
	s, p := c.CheckString(1), c.CheckString(2)
	from := min(max(stringPosition(c.OptInt(3, 1), len(s))-1, 0), len(s))
	if find && (c.Arg(4).Truthy() || !strings.ContainsAny(cutAtZero(p), patternSpecials)) {
		c.Step((len(s) - from + len(p)) / bytesPerStep)
		at := strings.Index(s[from:], p)
		if at < 0 {
			c.Return(Nil)
			return
		}
		c.Return(Number(float64(from+at+1)), Number(float64(from+at+len(p))))
		return
	}
	p = cutAtZero(p)
	start := 0
	if strings.HasPrefix(p, "^") {
		start = 1
	}
	m := newMatcher(c, s, p)
	for at := from; at <= len(s); at++ {
		if end := m.start(at, start); end != noMatch {
			m.done()
			m.returnMatch(at, end, find)
			return
		}
		if start == 1 {
			break
		}
	}
	m.done()
	c.Return(Nil)
}

// returnMatch returns what find or match do.
func (m *matcher) returnMatch(at, end int, find bool) {
	c := m.call
	if !find {
		c.results = m.appendCaptures(c.results, at, end)
		return
	}
	c.Return(Number(float64(at+1)), Number(float64(end)))
	if m.level > 0 {
		c.results = m.appendCaptures(c.results, at, end)
	}
}

func stringGmatch(c *Call) {
	s, p := c.CheckString(1), cutAtZero(c.CheckString(2))
	at := 0
	next := c.state.NewFunction(func(c *Call) {
		m := newMatcher(c, s, p)
		defer m.done()
		for ; at <= len(s); at++ {
			end := m.start(at, 0)
			if end == noMatch {
				continue
			}
			from := at
			at = end
			if end == from {
				at++
			}
			c.results = m.appendCaptures(c.results, from, end)
			return
		}
	})
	next.holds = []Value{c.Arg(1), c.Arg(2)}
	c.Return(FunctionValue(next))
}

func stringGsub(c *Call) {
	s, p := c.CheckString(1), cutAtZero(c.CheckString(2))
	limit := c.optInt32(4, len(s)+1)
	switch c.Arg(3).Kind() {
	case KindNumber, KindString, KindTable, KindFunction:
	default:
		c.ArgError(3, "string/function/table expected")
	}
	start := 0
	if strings.HasPrefix(p, "^") {
		start = 1
	}
	g := &substitution{matcher: newMatcher(c, s, p), out: textBuilder{state: c.state}, by: c.Arg(3)}
	at, count := 0, 0
	for count < limit {
		end := g.start(at, start)
		if end != noMatch {
			count++
			g.replace(at, end)
		}
		if end > at {
			at = end
		} else if at < len(s) {
			g.out.addByte(s[at])
			at++
		} else {
			break
		}
		if start == 1 {
			break
		}
	}
	g.done()
	g.out.add(s[at:])
	c.Return(g.out.value(), Number(float64(count)))
}

// substitution is gsub at work.
type substitution struct {
	*matcher
	out textBuilder
	by  Value
}

// replace adds what replaces the match of subject[s:e].
func (g *substitution) replace(s, e int) {
	var v Value
	switch g.by.Kind() {
	case KindFunction:
		v = g.call.CallFirst(g.by, g.appendCaptures(nil, s, e)...)
	case KindTable:
		v = g.call.thread.index(g.by, g.capture(0, s, e), notRegister)
	default:
		g.expand(s, e)
		return
	}
	if !v.Truthy() {
		g.out.add(g.subject[s:e])
		return
	}
	text, ok := ToString(v)
	if !ok {
		g.call.Errorf("invalid replacement value (a %s)", v.Kind())
	}
	g.out.add(text)
}

// expand adds the replacement string, in which %1 to %9 are captures and %0 is the match.
func (g *substitution) expand(s, e int) {
	text, _ := ToString(g.by)
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			g.out.addByte(text[i])
			continue
		}
		i++
		switch {
		case i >= len(text):
			g.out.addByte(0)
		case !isDigit(int(text[i])):
			g.out.addByte(text[i])
		case text[i] == '0':
			g.out.add(g.subject[s:e])
		default:
			part, _ := ToString(g.capture(int(text[i]-'1'), s, e))
			g.out.add(part)
		}
	}
}
