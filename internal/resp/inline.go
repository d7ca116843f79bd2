package resp

import "bytes"

// SplitWords splits a line into words as Redis splits inline commands, quotes and
// escapes included. It reports false when a quote is not closed, or closed in the
// middle of a word. The words share no memory with line.
func SplitWords(line []byte) ([][]byte, bool) {
	line = bytes.Clone(line)
	spans, ok := splitInline(line, nil)
	if !ok {
		return nil, false
	}
	words := make([][]byte, len(spans))
	for i, s := range spans {
		words[i] = line[s.from:s.to:s.to]
	}
	return words, true
}

// splitInline splits a line into words as sdssplitargs of Redis does and appends
// where they lie in line to args. Quotes and escapes are decoded in place: a word
// never becomes longer than it was written. It reports false when a quote is not
// closed, or closed in the middle of a word; line is spoilt then.
//
//	word           up to a blank; a quote within opens a quoted part
//	"a\n\x00\"b"   \n \r \t \b \a, two hex digits, or the byte itself
//	'a\'b'         \' only
func splitInline(line []byte, args []span) ([]span, bool) {
	i := 0
	for {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, true
		}
		from, to := i, i
		for i < len(line) && !endsWord(line[i]) {
			var ok bool
			switch line[i] {
			case '"':
				i, to, ok = decodeDouble(line, i+1, to)
			case '\'':
				i, to, ok = decodeSingle(line, i+1, to)
			default:
				line[to] = line[i]
				i, to = i+1, to+1
				continue
			}
			if !ok {
				return args, false
			}
			break // a closing quote ends the word
		}
		args = append(args, span{from, to})
	}
}

// decodeDouble decodes from line[i:], behind an opening double quote, to
// line[to:], and returns both positions behind the closing one.
func decodeDouble(line []byte, i, to int) (int, int, bool) {
	for ; i < len(line); to++ {
		switch c := line[i]; {
		case c == '"':
			return i + 1, to, closes(line, i)
		case c == '\\' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			line[to] = hexDigit(line[i+2])<<4 | hexDigit(line[i+3])
			i += 4
		case c == '\\' && i+1 < len(line):
			line[to] = unescape(line[i+1])
			i += 2
		default:
			line[to] = c
			i++
		}
	}
	return i, to, false
}

// decodeSingle is decodeDouble for single quotes.
func decodeSingle(line []byte, i, to int) (int, int, bool) {
	for ; i < len(line); to++ {
		switch c := line[i]; {
		case c == '\'':
			return i + 1, to, closes(line, i)
		case c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			line[to] = '\''
			i += 2
		default:
			line[to] = c
			i++
		}
	}
	return i, to, false
}

// closes reports whether the quote at i may close: a blank or nothing follows.
func closes(line []byte, i int) bool {
	return i+1 == len(line) || isSpace(line[i+1])
}

// isSpace is isspace of C. It is wider than endsWord, as in Redis: a vertical tab
// or a form feed is skipped between words but belongs to a word that it follows.
func isSpace(c byte) bool {
	return c == ' ' || '\t' <= c && c <= '\r'
}

func endsWord(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t'
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
