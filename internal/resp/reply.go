package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// What a reply may be at most.
const (
	replyDepthMax = 128       // aggregates within aggregates
	replyLineMax  = 1 << 20   // bytes of a line that is read from a stream
	replyBulkMax  = 512 << 20 // bytes of a string
	replyCountMax = 1<<31 - 1 // elements that an aggregate may declare
	replyAhead    = 64 << 10  // bytes allocated ahead of those that have arrived
	replyElems    = 16        // elements allocated ahead
)

// ParseReply decodes the first reply in b, of either protocol, and returns what
// follows it. The Value shares no memory with b. Attributes are skipped. The
// error is io.ErrUnexpectedEOF when b ends before the reply does, else it wraps
// [ErrReply]; rest is then b.
func ParseReply(b []byte) (v Value, rest []byte, err error) {
	s := &replyBytes{b}
	v, err = readValue(s, 0)
	if err != nil {
		return Value{}, b, err
	}
	return v, s.rest, nil
}

// ReadReply reads one reply from r, of either protocol. Attributes are skipped.
// The error is io.EOF when the stream ends before the reply, io.ErrUnexpectedEOF
// when it ends within, wraps [ErrReply] when the bytes are no reply, and else is
// that of r.
func ReadReply(r *bufio.Reader) (Value, error) {
	if _, err := r.Peek(1); err != nil {
		return Value{}, err
	}
	v, err := readValue(&replyStream{r}, 0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Value{}, err
	}
	return v, nil
}

// replySource is where the bytes of a reply come from.
type replySource interface {
	line() ([]byte, error)      // up to CRLF, which is left out; valid until the next call
	text(n int) (string, error) // n bytes and CRLF, which is left out
}

// readValue reads one reply that lies in depth aggregates.
func readValue(s replySource, depth int) (Value, error) {
	for {
		line, err := s.line()
		if err != nil {
			return Value{}, err
		}
		if len(line) == 0 {
			return Value{}, fmt.Errorf("%w: empty line", ErrReply)
		}
		kind, body := line[0], line[1:]
		switch kind {
		case '$', '!', '=':
			return readText(s, kind, body)
		case '*', '%', '~', '>':
			return readElems(s, kind, body, depth)
		case '|':
			// An attribute says something about the reply behind it and may be ignored.
			if _, err := readElems(s, kind, body, depth); err != nil {
				return Value{}, err
			}
		default:
			return parseScalar(kind, body)
		}
	}
}

// parseScalar decodes a reply that is one line: kind and body.
func parseScalar(kind byte, body []byte) (Value, error) {
	text := string(body)
	switch kind {
	case '+':
		return Value{Kind: KindSimple, Str: text}, nil
	case '-':
		return Value{Kind: KindError, Str: text}, nil
	case ':':
		if n, ok := parseInt(body); ok {
			return Value{Kind: KindInt, Int: n}, nil
		}
	case '_':
		if text == "" {
			return Value{}, nil
		}
	case '#':
		if text == "t" || text == "f" {
			return Value{Kind: KindBool, Bool: text == "t"}, nil
		}
	case ',':
		if f, ok := parseDouble(text); ok {
			return Value{Kind: KindDouble, Float: f, Str: text}, nil
		}
	case '(':
		if isDecimal(text) {
			return Value{Kind: KindBigNumber, Str: text}, nil
		}
	default:
		return Value{}, fmt.Errorf("%w: unknown type %q", ErrReply, kind)
	}
	return Value{}, fmt.Errorf("%w: bad value %q of type %q", ErrReply, shorten(text), kind)
}

// readText reads a string, an error or a verbatim string; body is its length.
func readText(s replySource, kind byte, body []byte) (Value, error) {
	n, ok := parseInt(body)
	if ok && n == -1 && kind == '$' {
		return Value{}, nil
	}
	if !ok || n < 0 || n > replyBulkMax {
		return Value{}, fmt.Errorf("%w: bad length %q", ErrReply, shorten(string(body)))
	}
	text, err := s.text(int(n))
	switch {
	case err != nil:
		return Value{}, err
	case kind == '$':
		return Value{Kind: KindBulk, Str: text}, nil
	case kind == '!':
		return Value{Kind: KindError, Str: text}, nil
	case len(text) < 4 || text[3] != ':':
		return Value{}, fmt.Errorf("%w: verbatim string without a format", ErrReply)
	}
	return Value{Kind: KindVerbatim, Format: text[:3], Str: text[4:]}, nil
}

// readElems reads an aggregate; body is its count.
func readElems(s replySource, kind byte, body []byte, depth int) (Value, error) {
	n, ok := parseInt(body)
	if ok && n == -1 && kind == '*' {
		return Value{Kind: KindNullArray}, nil
	}
	if !ok || n < 0 || n > replyCountMax {
		return Value{}, fmt.Errorf("%w: bad count %q", ErrReply, shorten(string(body)))
	}
	if depth == replyDepthMax {
		return Value{}, fmt.Errorf("%w: more than %d aggregates within one another", ErrReply, replyDepthMax)
	}
	var v Value
	switch kind {
	case '*':
		v.Kind = KindArray
	case '~':
		v.Kind = KindSet
	case '>':
		v.Kind = KindPush
	default: // '%', and '|', which is built the same
		v.Kind = KindMap
		n *= 2
	}
	v.Elems = make([]Value, 0, min(n, replyElems))
	for range n {
		e, err := readValue(s, depth+1)
		if err != nil {
			return Value{}, err
		}
		v.Elems = append(v.Elems, e)
	}
	return v, nil
}

// parseDouble decodes the body of a double: decimal digits, inf or nan.
func parseDouble(s string) (float64, bool) {
	switch s {
	case "inf", "-inf", "nan":
	case "-nan":
		s = "nan"
	default:
		for i := range len(s) {
			switch c := s[i]; {
			case '0' <= c && c <= '9', c == '+', c == '-', c == '.', c == 'e', c == 'E':
			default:
				return 0, false
			}
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// isDecimal reports whether s is digits behind at most one sign.
func isDecimal(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// shorten keeps a peer's bytes from filling an error text.
func shorten(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// endLine cuts the line end off a line that LF ends. A CR belongs to the end of a
// line and nowhere else.
func endLine(line []byte) ([]byte, error) {
	i := bytes.IndexByte(line, '\r')
	if i < 0 || i != len(line)-len("\r\n") {
		return nil, fmt.Errorf("%w: line %q does not end in CRLF", ErrReply, shorten(string(line)))
	}
	return line[:i], nil
}

var errTextEnd = fmt.Errorf("%w: string does not end in CRLF", ErrReply)

// replyBytes is a replySource in memory.
type replyBytes struct{ rest []byte }

func (s *replyBytes) line() ([]byte, error) {
	i := bytes.IndexByte(s.rest, '\n')
	if i < 0 {
		return nil, io.ErrUnexpectedEOF
	}
	line := s.rest[:i+1]
	s.rest = s.rest[i+1:]
	return endLine(line)
}

func (s *replyBytes) text(n int) (string, error) {
	if len(s.rest) < n+2 {
		return "", io.ErrUnexpectedEOF
	}
	if s.rest[n] != '\r' || s.rest[n+1] != '\n' {
		return "", errTextEnd
	}
	text := string(s.rest[:n])
	s.rest = s.rest[n+2:]
	return text, nil
}

// replyStream is a replySource that waits for its bytes.
type replyStream struct{ r *bufio.Reader }

func (s *replyStream) line() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if err == nil {
		return endLine(line)
	}
	var long []byte
	for {
		long = append(long, line...)
		switch {
		case err != nil && err != bufio.ErrBufferFull:
			return nil, err
		case len(long) > replyLineMax:
			return nil, fmt.Errorf("%w: line longer than %d bytes", ErrReply, replyLineMax)
		case err == nil:
			return endLine(long)
		}
		line, err = s.r.ReadSlice('\n')
	}
}

func (s *replyStream) text(n int) (string, error) {
	var text []byte
	for want := n + 2; len(text) < want; {
		from := len(text)
		step := min(want-from, max(replyAhead, from))
		text = append(text, make([]byte, step)...)
		if _, err := io.ReadFull(s.r, text[from:]); err != nil {
			return "", err
		}
	}
	if text[n] != '\r' || text[n+1] != '\n' {
		return "", errTextEnd
	}
	return string(text[:n]), nil
}
