package lualib

import (
	"strings"

	"github.com/elastickv/elastickv/internal/lua"
)

func (cfg *jsonConfig) decode(c *lua.Call) {
	if c.NArgs() != 1 {
		c.ArgError(1, "expected 1 argument")
	}
	text := c.CheckString(1)
	if len(text) >= 2 && (text[0] == 0 || text[1] == 0) {
		c.Errorf("JSON parser does not support UTF-16 or UTF-32")
	}
	read(c, text)
	p := &parser{c: c, cfg: cfg, text: text, stack: 1}
	p.value(p.next(), place{})
	if t := p.next(); t.kind != tokenEnd {
		p.fail("the end", t)
	}
}

// tokenKind is the kind of a token, by the name that errors give it.
type tokenKind string

const (
	tokenObjectBegin tokenKind = "T_OBJ_BEGIN"
	tokenObjectEnd   tokenKind = "T_OBJ_END"
	tokenArrayBegin  tokenKind = "T_ARR_BEGIN"
	tokenArrayEnd    tokenKind = "T_ARR_END"
	tokenString      tokenKind = "T_STRING"
	tokenNumber      tokenKind = "T_NUMBER"
	tokenBool        tokenKind = "T_BOOLEAN"
	tokenNull        tokenKind = "T_NULL"
	tokenColon       tokenKind = "T_COLON"
	tokenComma       tokenKind = "T_COMMA"
	tokenEnd         tokenKind = "T_END"
	tokenError       tokenKind = "T_ERROR"
)

var singleTokens = map[byte]tokenKind{
	'{': tokenObjectBegin, '}': tokenObjectEnd, '[': tokenArrayBegin, ']': tokenArrayEnd, ',': tokenComma, ':': tokenColon,
}

// token is one token: its place in the text, and its value.
type token struct {
	kind tokenKind
	at   int
	what string // of an error
	val  lua.Value
}

// parser reads a JSON text. A NUL ends the text, as the end does.
type parser struct {
	c     *lua.Call
	cfg   *jsonConfig
	text  string
	at    int
	depth int
	stack int // values that the reference implementation would have on its stack
}

// peek returns the byte n bytes ahead, 0 behind the end.
func (p *parser) peek(n int) byte {
	if p.at+n < len(p.text) {
		return p.text[p.at+n]
	}
	return 0
}

func (p *parser) fail(want string, t token) {
	found := string(t.kind)
	if t.kind == tokenError {
		found = t.what
	}
	p.c.Errorf("Expected %s but found %s at character %d", want, found, t.at+1)
}

func (p *parser) bad(what string) token { return token{kind: tokenError, at: p.at, what: what} }

func (p *parser) next() token {
	p.c.Step(1)
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
	b := p.peek(0)
	if b == 0 {
		return token{kind: tokenEnd, at: p.at}
	}
	if kind, ok := singleTokens[b]; ok {
		p.at++
		return token{kind: kind, at: p.at - 1}
	}
	switch {
	case b == '"':
		return p.string()
	case b == '-' || b >= '0' && b <= '9':
		if !p.cfg.decodeInvalid && p.invalidNumber() {
			return p.bad("invalid number")
		}
		return p.number()
	}
	return p.word()
}

func (p *parser) word() token {
	for _, w := range []struct {
		text string
		kind tokenKind
		val  lua.Value
	}{{"true", tokenBool, lua.True}, {"false", tokenBool, lua.False}, {"null", tokenNull, lua.Null}} {
		if strings.HasPrefix(p.text[p.at:], w.text) {
			p.at += len(w.text)
			return token{kind: w.kind, at: p.at - len(w.text), val: w.val}
		}
	}
	if p.cfg.decodeInvalid && strings.IndexByte("+iInN", p.peek(0)) >= 0 && p.invalidNumber() {
		return p.number()
	}
	return p.bad("invalid token")
}

// invalidNumber reports whether what follows may be a number to C, but none to JSON.
func (p *parser) invalidNumber() bool {
	if p.peek(0) == '+' {
		return true
	}
	rest := p.text[p.at:]
	if rest[0] == '-' {
		rest = rest[1:]
	}
	switch {
	case rest == "":
		return false
	case rest[0] == '0':
		return len(rest) > 1 && (rest[1]|0x20 == 'x' || rest[1] >= '0' && rest[1] <= '9')
	case rest[0] <= '9':
		return false
	}
	word := strings.ToLower(rest[:min(3, len(rest))])
	return word == "inf" || word == "nan"
}

func (p *parser) number() token {
	n := numberLength(p.text[p.at:])
	f, ok := lua.ToNumber(lua.String(p.text[p.at : p.at+n]))
	if n == 0 || !ok {
		return p.bad("invalid number")
	}
	p.at += n
	return token{kind: tokenNumber, at: p.at - n, val: lua.Number(f)}
}

// string reads a string that begins here.
func (p *parser) string() token {
	begin := p.at
	p.at++
	n := p.plain()
	if p.peek(n) == '"' { // nothing to decode, as nearly always
		p.at += n + 1
		return token{kind: tokenString, at: begin, val: newString(p.c, p.text[begin+1:p.at-1])}
	}
	b := &buffer{c: p.c}
	for ; ; n = p.plain() {
		b.text(p.text[p.at : p.at+n])
		p.at += n
		switch p.peek(0) {
		case '"':
			p.at++
			return token{kind: tokenString, at: begin, val: b.value()}
		case 0:
			return p.bad("unexpected end of string")
		}
		if what := p.escape(b); what != "" {
			return p.bad(what)
		}
	}
}

// plain returns how many bytes follow that stand for themselves.
func (p *parser) plain() int {
	for i := p.at; i < len(p.text); i++ {
		if c := p.text[i]; c == '"' || c == '\\' || c == 0 {
			return i - p.at
		}
	}
	return len(p.text) - p.at
}

var jsonUnescapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r'}

// escape adds what the escape that begins here stands for, or returns what is wrong with it.
func (p *parser) escape(b *buffer) string {
	if p.peek(1) == 'u' {
		return p.unicode(b)
	}
	c, ok := jsonUnescapes[p.peek(1)]
	if !ok {
		return "invalid escape code"
	}
	b.add(c)
	p.at += 2
	return ""
}

// unicode is escape for \uXXXX, and for two of those that are a pair of surrogates.
func (p *parser) unicode(b *buffer) string {
	const wrong = "invalid unicode escape code"
	r, ok := p.hex4(2)
	if !ok {
		return wrong
	}
	size := 6
	if r&0xf800 == 0xd800 {
		low, ok := p.hex4(8)
		if r&0x400 != 0 || p.peek(6) != '\\' || p.peek(7) != 'u' || !ok || low&0xfc00 != 0xdc00 {
			return wrong
		}
		r = (r&0x3ff<<10 | low&0x3ff) + 0x10000
		size = 12
	}
	b.text(string(rune(r)))
	p.at += size
	return ""
}

// hex4 returns the four hexadecimal digits n bytes ahead.
func (p *parser) hex4(n int) (r int, ok bool) {
	for i := range 4 {
		c := p.peek(n + i)
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | int(c)
	}
	return r, true
}

// value puts the value that begins with t in its place.
func (p *parser) value(t token, at place) {
	switch t.kind {
	case tokenString, tokenNumber, tokenBool, tokenNull:
		put(p.c, at, t.val)
	case tokenObjectBegin:
		p.object(at)
	case tokenArrayBegin:
		p.array(at)
	default:
		p.fail("value", t)
	}
}

// descend enters an array or an object, which takes so many places of the stack.
func (p *parser) descend(slots int) {
	p.depth++
	if p.depth > int(p.cfg.decodeDepth) || p.stack+slots > stackMost {
		p.c.Errorf("Found too many nested data structures (%d) at character %d", p.depth, p.at)
	}
	p.stack += slots - 1
}

func (p *parser) ascend(slots int) {
	p.depth--
	p.stack -= slots - 1
}

func (p *parser) array(at place) {
	const slots = 2
	p.descend(slots)
	defer p.ascend(slots)
	out := newTable(p.c, at)
	t := p.next()
	if t.kind == tokenArrayEnd {
		return
	}
	for i := 1; ; i++ {
		p.value(t, place{out, lua.Number(float64(i))})
		switch t = p.next(); t.kind {
		case tokenArrayEnd:
			return
		case tokenComma:
		default:
			p.fail("comma or array end", t)
		}
		t = p.next()
	}
}

func (p *parser) object(at place) {
	const slots = 3
	p.descend(slots)
	defer p.ascend(slots)
	out := newTable(p.c, at)
	t := p.next()
	if t.kind == tokenObjectEnd {
		return
	}
	for {
		if t.kind != tokenString {
			p.fail("object key string", t)
		}
		key := t.val
		if t = p.next(); t.kind != tokenColon {
			p.fail("colon", t)
		}
		p.value(p.next(), place{out, key})
		switch t = p.next(); t.kind {
		case tokenObjectEnd:
			return
		case tokenComma:
		default:
			p.fail("comma or object end", t)
		}
		t = p.next()
	}
}
