package command

import (
	"bytes"
	"math"

	"github.com/elastickv/elastickv/internal/keyspace"
)

func linsert(c *Ctx) error {
	var behind int64
	switch {
	case c.is(2, "AFTER"):
		behind = 1
	case !c.is(2, "BEFORE"):
		return ErrSyntax
	}
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	if !l.Exists() {
		c.Out.Int(0)
		return nil
	}
	at, err := firstMatch(l, c.Args[3])
	if err != nil {
		return err
	}
	if at < 0 {
		c.Out.Int(-1)
		return nil
	}
	if err := l.Insert(at+behind, c.Args[4]); err != nil {
		return err
	}
	c.notify(keyspace.ClassList, "linsert")
	c.Out.Int(l.Len())
	return nil
}

// firstMatch returns the index of the first element that equals value, -1 if there is none.
func firstMatch(l *keyspace.List, value []byte) (int64, error) {
	at := int64(-1)
	err := l.Walk(keyspace.ListRange{To: l.Len()}, keyspace.Left, func(i int64, v []byte) bool {
		if bytes.Equal(v, value) {
			at = i
		}
		return at < 0
	})
	return at, err
}

func lrem(c *Ctx) error {
	count, err := c.int(2)
	if err != nil {
		return err
	}
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	n, err := l.Remove(c.Args[3], count)
	if err != nil {
		return err
	}
	if n > 0 {
		c.notifyTaken(keyspace.ClassList, "lrem", l)
	}
	c.Out.Int(n)
	return nil
}

// positions are the options of LPOS.
type positions struct {
	from     keyspace.Side
	skip     int64 // matches to pass over
	count    int64 // of matches wanted; 0: all
	many     bool  // the reply is a list
	compares int64 // elements to look at, at most; 0: all
}

func parsePositions(c *Ctx) (positions, error) {
	p := positions{count: 1}
	for i := 3; i < len(c.Args); i += 2 {
		if i+1 == len(c.Args) {
			return p, ErrSyntax
		}
		n, err := c.int(i + 1)
		switch {
		case c.is(i, "RANK"):
			if err := p.setRank(n, err); err != nil {
				return p, err
			}
		case c.is(i, "COUNT"):
			if err != nil || n < 0 {
				return p, ErrCountNegative
			}
			p.count, p.many = n, true
		case c.is(i, "MAXLEN"):
			if err != nil || n < 0 {
				return p, ErrMaxLenNegative
			}
			p.compares = n
		default:
			return p, ErrSyntax
		}
	}
	return p, nil
}

// setRank takes the rank of the first match wanted: from 1 on from the left, from -1 down
// from the right. err is what reading it gave.
func (p *positions) setRank(rank int64, err error) error {
	switch {
	case err != nil:
		return err
	case rank == 0:
		return ErrRankZero
	case rank == math.MinInt64:
		return ErrRankRange
	case rank < 0:
		p.from, p.skip = keyspace.Right, -rank-1
	default:
		p.from, p.skip = keyspace.Left, rank-1
	}
	return nil
}

func lpos(c *Ctx) error {
	p, err := parsePositions(c)
	if err != nil {
		return err
	}
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	found, err := p.find(l, c.Args[2])
	switch {
	case err != nil:
		return err
	case p.many:
		c.Out.Array(len(found))
		for _, i := range found {
			c.Out.Int(i)
		}
	case len(found) > 0:
		c.Out.Int(found[0])
	default:
		c.Out.Null()
	}
	return nil
}

// find returns the indices of the elements that are asked for, in the order in which they were met.
func (p positions) find(l *keyspace.List, value []byte) ([]int64, error) {
	r := keyspace.ListRange{To: l.Len()}
	if p.compares > 0 && p.from == keyspace.Left {
		r.To = min(r.To, p.compares)
	} else if p.compares > 0 {
		r.From = max(r.To-p.compares, 0)
	}
	var found []int64
	skip := p.skip
	err := l.Walk(r, p.from, func(i int64, v []byte) bool {
		if !bytes.Equal(v, value) {
			return true
		}
		if skip > 0 {
			skip--
			return true
		}
		found = append(found, i)
		return p.count == 0 || int64(len(found)) < p.count
	})
	return found, err
}
