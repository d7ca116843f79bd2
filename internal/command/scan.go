package command

import (
	"bytes"
	"math"
	"strconv"
)

// scanOptions are the arguments of the SCAN family behind the cursor.
type scanOptions struct {
	match  []byte // nil: everything
	count  int64
	kind   string // SCAN's TYPE; empty: every type
	cursor uint64
	start  []byte // name at which the scan goes on; nil: at the beginning
	names  bool   // HSCAN's NOVALUES
}

// parseScan reads the cursor at argument i and the options behind it. Only
// SCAN knows TYPE, and only HSCAN NOVALUES.
func parseScan(c *Ctx, i int, withType bool) (scanOptions, error) {
	o := scanOptions{count: 10}
	var err error
	if o.cursor, err = parseCursor(c.Args[i]); err != nil {
		return o, err
	}
	for i++; i < len(c.Args); i += 2 {
		if c.Cmd.Name == "hscan" && c.is(i, "NOVALUES") {
			o.names = true
			i--
			continue
		}
		if i+1 == len(c.Args) {
			return o, ErrSyntax
		}
		switch arg := c.Args[i+1]; {
		case c.is(i, "COUNT"):
			if o.count, err = parseInt(arg); err != nil {
				return o, err
			}
			if o.count < 1 {
				return o, ErrSyntax
			}
		case c.is(i, "MATCH"):
			if o.match = arg; string(arg) == "*" {
				o.match = nil
			}
		case withType && c.is(i, "TYPE"):
			o.kind = string(bytes.ToLower(arg))
		default:
			return o, ErrSyntax
		}
	}
	o.start = c.Env.Cursors.name(o.cursor)
	return o, nil
}

// parseElementScan reads cursor and options of a scan through a collection. What Redis
// keeps in one piece of memory it returns at once, whatever the count.
func parseElementScan(c *Ctx, compact bool) (scanOptions, error) {
	o, err := parseScan(c, 2, false)
	if compact {
		o.count, o.start = math.MaxInt64, nil
	}
	return o, err
}

// own copies bytes that are valid only during a walk.
func own(b []byte) []byte { return append([]byte{}, b...) }

// page collects one reply of a scan: names that match, and where to go on.
type page struct {
	scanOptions
	out  [][]byte // what the reply lists
	next []byte   // the first name that was not looked at; nil: none is left
	seen int64
}

// take is given every name from the start on, in order, and reports whether it
// wants more. add is called for a name that matches.
func (p *page) take(name []byte, add func()) bool {
	if p.seen == p.count {
		p.next = bytes.Clone(name)
		return false
	}
	p.seen++
	if p.match == nil || globMatch(p.match, name) {
		add()
	}
	return true
}

// reply writes the page: the next cursor and the list.
func (p *page) reply(c *Ctx) {
	var cursor uint64
	if p.next != nil {
		cursor = c.Env.Cursors.at(p.next)
	}
	c.Out.Array(2)
	c.Out.BulkString(strconv.FormatUint(cursor, 10))
	c.Out.Array(len(p.out))
	for _, b := range p.out {
		c.Out.Bulk(b)
	}
}
