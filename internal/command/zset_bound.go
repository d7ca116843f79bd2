package command

import (
	"bytes"
	"math"
	"strings"

	"github.com/elastickv/elastickv/internal/keyspace"
)

// scoreRange reads arguments min and max as an interval of scores.
func (c *Ctx) scoreRange(min, max int) (r keyspace.ScoreRange, err error) {
	if r.Min, r.MinOpen, err = parseScoreBound(c.Args[min]); err != nil {
		return r, err
	}
	r.Max, r.MaxOpen, err = parseScoreBound(c.Args[max])
	return r, err
}

// parseScoreBound reads a score, with a parenthesis before it if the bound is
// open. Redis reads it more freely than other numbers: nothing is 0, spaces
// may stand before it, it may be beyond the infinities, and it ends at a zero byte.
func parseScoreBound(b []byte) (score float64, open bool, err error) {
	b, open = bytes.CutPrefix(b, []byte{'('})
	b, _, _ = bytes.Cut(b, []byte{0})
	if len(b) == 0 {
		return 0, open, nil
	}
	score, _, ok := strtod(strings.TrimLeft(string(b), " \t\n\v\f\r"))
	if !ok || math.IsNaN(score) {
		return 0, false, ErrMinMaxFloat
	}
	return score, open, nil
}

// lexRange reads arguments min and max as an interval of names.
func (c *Ctx) lexRange(min, max int) (r keyspace.LexRange, err error) {
	if r.Min, err = parseLexBound(c.Args[min]); err != nil {
		return r, err
	}
	r.Max, err = parseLexBound(c.Args[max])
	return r, err
}

// parseLexBound reads a name behind ( or [, or one of - and +, which lie before
// and behind all names.
func parseLexBound(b []byte) (keyspace.LexBound, error) {
	if len(b) == 0 {
		return keyspace.LexBound{}, ErrMinMaxLex
	}
	alone := len(b) == 1 || b[1] == 0
	switch {
	case b[0] == '-' && alone:
		return keyspace.LexBound{Beyond: -1}, nil
	case b[0] == '+' && alone:
		return keyspace.LexBound{Beyond: 1}, nil
	case b[0] == '[' || b[0] == '(':
		return keyspace.LexBound{Member: b[1:], Open: b[0] == '('}, nil
	}
	return keyspace.LexBound{}, ErrMinMaxLex
}
