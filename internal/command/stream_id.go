package command

import (
	"bytes"
	"math"
	"strconv"

	"github.com/elastickv/elastickv/internal/keyspace"
)

// parseStreamID reads an ID: milliseconds, a dash and a number. Without the last two
// the number is seq.
func parseStreamID(b []byte, seq uint64) (keyspace.StreamID, error) {
	ms, number, dashed := bytes.Cut(b, []byte("-"))
	id := keyspace.StreamID{Seq: seq}
	var ok bool
	if id.Ms, ok = parseStreamNumber(ms); !ok {
		return id, ErrStreamID
	}
	if dashed {
		if id.Seq, ok = parseStreamNumber(number); !ok {
			return id, ErrStreamID
		}
	}
	return id, nil
}

// parseStreamNumber reads a part of an ID. Redis is generous with it: spaces, a plus sign and zeros
// may stand in front.
func parseStreamNumber(b []byte) (uint64, bool) {
	const longest = 127
	if len(b) > longest {
		return 0, false
	}
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	if len(b) > 1 && b[0] == '+' {
		b = b[1:]
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}

// parseStreamEnd is parseStreamID, but also reads - and +, which are the first and the last ID.
func parseStreamEnd(b []byte, seq uint64) (keyspace.StreamID, error) {
	switch string(b) {
	case "-":
		return keyspace.StreamID{}, nil
	case "+":
		return keyspace.MaxStreamID, nil
	}
	return parseStreamID(b, seq)
}

// streamStart reads argument i as the first ID of an interval.
func (c *Ctx) streamStart(i int) (keyspace.StreamID, error) {
	b := c.Args[i]
	if len(b) < 2 || b[0] != '(' {
		return parseStreamEnd(b, 0)
	}
	id, err := parseStreamID(b[1:], 0)
	if err != nil {
		return id, err
	}
	id, ok := id.Next()
	if !ok {
		return id, ErrStreamStart
	}
	return id, nil
}

// streamStop reads argument i as the last ID of an interval.
func (c *Ctx) streamStop(i int) (keyspace.StreamID, error) {
	b := c.Args[i]
	if len(b) < 2 || b[0] != '(' {
		return parseStreamEnd(b, math.MaxUint64)
	}
	id, err := parseStreamID(b[1:], math.MaxUint64)
	if err != nil {
		return id, err
	}
	id, ok := id.Prev()
	if !ok {
		return id, ErrStreamStop
	}
	return id, nil
}

// streamIDs reads all arguments from the i-th on as IDs.
func (c *Ctx) streamIDs(i int) ([]keyspace.StreamID, error) {
	ids := make([]keyspace.StreamID, len(c.Args)-i)
	for j := range ids {
		var err error
		if ids[j], err = parseStreamID(c.Args[i+j], 0); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// streamID replies with an ID.
func (c *Ctx) streamID(id keyspace.StreamID) {
	var tmp [48]byte
	c.Out.Bulk(id.Append(tmp[:0]))
}

// newID is what XADD says of the ID of an entry. The zero newID leaves it to the clock.
type newID struct {
	id       keyspace.StreamID
	given    bool // the milliseconds are
	numbered bool // the number is, too
}

func parseNewID(b []byte) (newID, error) {
	if string(b) == "*" {
		return newID{}, nil
	}
	ms, found := bytes.CutSuffix(b, []byte("-*"))
	id, err := parseStreamID(ms, 0)
	if err != nil || found && bytes.IndexByte(ms, '-') >= 0 {
		return newID{}, ErrStreamID
	}
	if !found && id.IsZero() {
		return newID{}, ErrStreamIDZero
	}
	return newID{id, true, !found}, nil
}

// after returns the ID of an entry that is added behind the ID last at a moment in Unix milliseconds.
func (n newID) after(last keyspace.StreamID, now uint64) (keyspace.StreamID, error) {
	next, ok := last.Next()
	switch {
	case !ok:
		return next, ErrStreamExhausted
	case n.numbered:
		return n.id, nil
	case n.given && n.id.Ms > last.Ms:
		return n.id, nil
	case n.given && (n.id.Ms < last.Ms || next.Ms > last.Ms):
		return next, ErrStreamIDSmall
	case !n.given && now > last.Ms:
		return keyspace.StreamID{Ms: now}, nil
	}
	return next, nil
}
