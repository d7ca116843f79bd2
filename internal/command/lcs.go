package command

// lcsOptions are the arguments of LCS behind its keys.
type lcsOptions struct {
	length, matches, withLen bool
	minLen                   int64
}

func parseLCS(c *Ctx) (o lcsOptions, err error) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "LEN"):
			o.length = true
		case c.is(i, "IDX"):
			o.matches = true
		case c.is(i, "WITHMATCHLEN"):
			o.withLen = true
		case c.is(i, "MINMATCHLEN") && i+1 < len(c.Args):
			i++
			if o.minLen, err = c.int(i); err != nil {
				return o, err
			}
			o.minLen = max(o.minLen, 0)
		default:
			return o, ErrSyntax
		}
	}
	if o.length && o.matches {
		return o, ErrLCSBoth
	}
	return o, nil
}

func lcs(c *Ctx) error {
	var s [2][]byte
	var err error
	for i := range s {
		if s[i], _, err = c.Keys.String(c.Args[1+i]); err != nil {
			if isWrongType(err) {
				return ErrLCSType
			}
			return err
		}
	}
	o, err := parseLCS(c)
	if err != nil {
		return err
	}
	if cells := int64(len(s[0])+1) * int64(len(s[1])+1); cells > c.Env.MaxBulk/4 {
		return ErrLCSTooLong
	}
	m := newLCSMatrix(s[0], s[1])
	switch {
	case o.length:
		c.Out.Int(int64(m.at(len(s[0]), len(s[1]))))
	case o.matches:
		m.replyMatches(c, o)
	default:
		c.Out.Bulk(m.sequence())
	}
	return nil
}

// lcsMatrix holds, for every pair of prefixes of a and b, the length of their
// longest common subsequence.
type lcsMatrix struct {
	a, b  []byte
	cells []uint32 // (len(a)+1) rows of len(b)+1
}

func newLCSMatrix(a, b []byte) *lcsMatrix {
	m := &lcsMatrix{a: a, b: b, cells: make([]uint32, (len(a)+1)*(len(b)+1))}
	w := len(b) + 1
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				m.cells[i*w+j] = m.cells[(i-1)*w+j-1] + 1
			} else {
				m.cells[i*w+j] = max(m.cells[(i-1)*w+j], m.cells[i*w+j-1])
			}
		}
	}
	return m
}

func (m *lcsMatrix) at(i, j int) uint32 { return m.cells[i*(len(m.b)+1)+j] }

// walk goes from the end of both strings to their beginning and calls fn with
// the position in a and in b of every byte of the subsequence, the last first.
func (m *lcsMatrix) walk(fn func(i, j int)) {
	for i, j := len(m.a), len(m.b); i > 0 && j > 0; {
		switch {
		case m.a[i-1] == m.b[j-1]:
			i, j = i-1, j-1
			fn(i, j)
		case m.at(i-1, j) > m.at(i, j-1):
			i--
		default:
			j--
		}
	}
}

func (m *lcsMatrix) sequence() []byte {
	out := make([]byte, m.at(len(m.a), len(m.b)))
	n := len(out)
	m.walk(func(i, _ int) {
		n--
		out[n] = m.a[i]
	})
	return out
}

// lcsRun is a stretch of the subsequence that stands unbroken in both strings.
type lcsRun struct{ a, b, length int }

func (m *lcsMatrix) replyMatches(c *Ctx, o lcsOptions) {
	var runs []lcsRun
	m.walk(func(i, j int) {
		if n := len(runs); n > 0 && runs[n-1].a == i+1 && runs[n-1].b == j+1 {
			runs[n-1] = lcsRun{i, j, runs[n-1].length + 1}
			return
		}
		runs = append(runs, lcsRun{i, j, 1})
	})
	kept := runs[:0]
	for _, r := range runs {
		if int64(r.length) >= o.minLen {
			kept = append(kept, r)
		}
	}
	c.Out.Map(2)
	c.Out.BulkString("matches")
	c.Out.Array(len(kept))
	for _, r := range kept {
		c.Out.Array(2 + boolInt(o.withLen))
		for _, from := range [2]int{r.a, r.b} {
			c.Out.Array(2)
			c.Out.Int(int64(from))
			c.Out.Int(int64(from + r.length - 1))
		}
		if o.withLen {
			c.Out.Int(int64(r.length))
		}
	}
	c.Out.BulkString("len")
	c.Out.Int(int64(m.at(len(m.a), len(m.b))))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
