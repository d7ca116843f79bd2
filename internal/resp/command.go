package resp

import "bytes"

// parse goes on with the command at pos as far as its bytes have arrived. It
// reports whether that command is complete or found to be wrong; false means that
// more bytes are needed. Empty commands are skipped.
func (r *Reader) parse() bool {
	c := &r.cmd
	for !c.ready && c.err == nil {
		if r.pos == r.end {
			return false
		}
		var more bool
		switch {
		case c.left > 0:
			more = r.parseArgs()
		case r.buf[r.pos] == '*':
			more = r.parseCount()
		default:
			more = r.parseInline()
		}
		if !more {
			return false
		}
	}
	return true
}

// parseCount reads "*count\r\n". It returns false when bytes are missing, as do
// parseArgs, parseLength and parseInline.
func (r *Reader) parseCount() bool {
	c := &r.cmd
	i, found := r.find('\r', errMultibulkLine)
	if !found {
		return c.err != nil
	}
	n, ok := parseInt(r.buf[r.pos+1 : r.pos+i])
	switch {
	case !ok || n > int64(DefaultLimits.MaxArgs) && n > int64(r.limits.MaxArgs):
		c.err = errMultibulkLength
	case n > int64(r.limits.MaxArgs):
		c.err = errMultibulkLength
		if r.limits.Unauthenticated {
			c.err = errMultibulkUnauth
		}
	case n <= 0:
		r.pos += i + 2
		r.restart()
	default:
		c.left = int(n)
		c.next, c.seen = i+2, i+2
	}
	return true
}

// parseArgs reads arguments until all are there.
func (r *Reader) parseArgs() bool {
	c := &r.cmd
	for c.left > 0 {
		if c.bulk < 0 {
			if !r.parseLength() {
				return false
			}
			if c.err != nil {
				return true
			}
		}
		to := c.next + c.bulk
		// Redis takes any two bytes for the end of an argument.
		if to+2 > r.end-r.pos {
			return false
		}
		c.args = append(c.args, span{c.next, to})
		c.next, c.seen = to+2, to+2
		c.bulk = -1
		c.left--
	}
	c.ready = true
	return true
}

// parseLength reads "$length\r\n".
func (r *Reader) parseLength() bool {
	c := &r.cmd
	i, found := r.find('\r', errBulkLine)
	if !found {
		return c.err != nil
	}
	line := r.buf[r.pos+c.next : r.pos+c.next+i]
	if first := r.buf[r.pos+c.next]; first != '$' {
		c.err = errExpectedBulk(first)
		return true
	}
	n, ok := parseInt(line[1:])
	switch {
	case !ok || n < 0 || n > int64(DefaultLimits.MaxBulk) && n > int64(r.limits.MaxBulk):
		c.err = errBulkLength
	case n > int64(r.limits.MaxBulk):
		c.err = errBulkLength
		if r.limits.Unauthenticated {
			c.err = errBulkUnauth
		}
	case int64(c.next+i+2)+n+2 > int64(r.limits.MaxCommand):
		c.err = errCommandSize
	default:
		c.bulk = int(n)
		c.next += i + 2
	}
	return true
}

// parseInline reads a line of words.
func (r *Reader) parseInline() bool {
	c := &r.cmd
	i, found := r.find('\n', errInlineLine)
	if !found {
		return c.err != nil
	}
	line := r.buf[r.pos : r.pos+i]
	if i > 0 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	var ok bool
	c.args, ok = splitInline(line, c.args)
	switch {
	case !ok:
		c.err = errInlineQuotes
	case len(c.args) == 0:
		r.pos += i + 1
		r.restart()
	default:
		c.next = i + 1
		c.ready = true
	}
	return true
}

// find returns the distance from next to the first mark, and whether it is there
// (and, after '\r', one more byte). When it cannot come within the limit of a
// line, the command is wrong, with the given error. The limit counts bytes of the
// line, not of what one read brought, so that it does not depend on the network.
func (r *Reader) find(mark byte, tooBig ProtocolError) (int, bool) {
	c := &r.cmd
	line := r.buf[r.pos+c.next : r.end]
	window := line[:min(len(line), r.limits.MaxInline+1)]
	from := c.seen - c.next
	i := bytes.IndexByte(window[from:], mark)
	if i < 0 {
		c.seen = c.next + len(window)
		if len(line) > r.limits.MaxInline {
			c.err = tooBig
		}
		return 0, false
	}
	i += from
	c.seen = c.next + i
	if mark == '\r' && i+1 >= len(line) {
		return 0, false
	}
	return i, true
}

// parseInt reads a decimal int64 as strictly as Redis does: no plus sign, no
// leading zero, no minus zero, no blanks, no overflow.
func parseInt(b []byte) (int64, bool) {
	const digitsMax = 19
	if len(b) == 1 && b[0] == '0' {
		return 0, true
	}
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > digitsMax || b[0] == '0' {
		return 0, false
	}
	var n uint64 // 19 digits fit
	for _, d := range b {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= 1<<63-1
}
