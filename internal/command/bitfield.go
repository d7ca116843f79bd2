package command

import (
	"bytes"
	"math"
	"strings"

	"github.com/elastickv/elastickv/internal/bitmap"
	"github.com/elastickv/elastickv/internal/keyspace"
)

// fieldOp is one operation of BITFIELD.
type fieldOp struct {
	run      func(op fieldOp, b []byte) (reply int64, ok bool)
	writes   bool
	field    bitmap.Field
	value    int64 // to set, or to add
	overflow bitmap.Overflow
}

// bitfieldKeys says what BITFIELD does to its key, which depends on its operations.
func bitfieldKeys(args [][]byte) []Key {
	if writesFields(args) {
		return []Key{{1, KeyRW | KeyAccess | KeyUpdate}}
	}
	return []Key{{1, KeyRO | KeyAccess}}
}

// writesFields reports whether a call of BITFIELD has anything but operations that read. One that
// is not well formed counts as if it had.
func writesFields(args [][]byte) bool {
	for i := 2; i < len(args); {
		switch word := string(clip(args[i], 16)); {
		case strings.EqualFold(word, "GET") && i+2 < len(args):
			i += 3
		case strings.EqualFold(word, "OVERFLOW") && i+1 < len(args):
			i += 2
		default:
			return true
		}
	}
	return false
}

func bitfield(c *Ctx) error {
	ops, err := parseBitfield(c)
	if err != nil {
		return err
	}
	size := int64(0) // that the operations that write need
	for _, op := range ops {
		if op.writes {
			size = max(size, op.field.Size())
		}
	}
	if size == 0 {
		return readFields(c, ops)
	}
	key := c.Args[1]
	value, grown, err := c.roomyString(key, size)
	if err != nil {
		return err
	}
	written, changed := runFields(c, ops, value)
	switch {
	case changed, written && grown:
		return c.noted(keyspace.ClassString, "setbit", c.Keys.ModifyString(key, value))
	case grown:
		return c.Keys.ModifyString(key, value)
	}
	return nil
}

func bitfieldRO(c *Ctx) error {
	ops, err := parseBitfield(c)
	if err != nil {
		return err
	}
	for _, op := range ops {
		if op.writes {
			return ErrBitfieldRO
		}
	}
	return readFields(c, ops)
}

// readFields carries out operations that only read.
func readFields(c *Ctx, ops []fieldOp) error {
	value, _, err := c.Keys.Reading().String(c.Args[1])
	if err != nil {
		return err
	}
	runFields(c, ops, value)
	return nil
}

// runFields carries out operations on b, one reply for each, and reports whether any has
// written, and whether any field had another value before.
func runFields(c *Ctx, ops []fieldOp, b []byte) (written, changed bool) {
	c.Out.Array(len(ops))
	for _, op := range ops {
		before := op.field.Get(b)
		reply, ok := op.run(op, b)
		if !ok {
			c.Out.Null()
			continue
		}
		c.Out.Int(reply)
		written = written || op.writes
		changed = changed || op.field.Get(b) != before
	}
	return written, changed
}

func (op fieldOp) get(b []byte) (int64, bool) { return op.field.Get(b), true }

func (op fieldOp) set(b []byte) (int64, bool) {
	old := op.field.Get(b)
	v, ok := op.field.Fit(op.value, op.overflow)
	if ok {
		op.field.Set(b, v)
	}
	return old, ok
}

func (op fieldOp) incrby(b []byte) (int64, bool) {
	v, ok := op.field.Add(op.field.Get(b), op.value, op.overflow)
	if ok {
		op.field.Set(b, v)
	}
	return v, ok
}

func parseBitfield(c *Ctx) ([]fieldOp, error) {
	var ops []fieldOp
	overflow := bitmap.Wrap
	for i := 2; i < len(c.Args); {
		behind := len(c.Args) - i - 1
		op := fieldOp{overflow: overflow}
		var err error
		switch {
		case c.is(i, "OVERFLOW") && behind >= 1:
			if overflow, err = c.overflowArg(i + 1); err != nil {
				return nil, err
			}
			i += 2
			continue
		case c.is(i, "GET") && behind >= 2:
			op.run = fieldOp.get
		case c.is(i, "SET") && behind >= 3:
			op.run, op.writes = fieldOp.set, true
		case c.is(i, "INCRBY") && behind >= 3:
			op.run, op.writes = fieldOp.incrby, true
		default:
			return nil, ErrSyntax
		}
		if op.field, err = c.fieldArgs(i + 1); err != nil {
			return nil, err
		}
		i += 3
		if op.writes {
			if op.value, err = c.int(i); err != nil {
				return nil, err
			}
			i++
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func (c *Ctx) overflowArg(i int) (bitmap.Overflow, error) {
	switch {
	case c.is(i, "WRAP"):
		return bitmap.Wrap, nil
	case c.is(i, "SAT"):
		return bitmap.Saturate, nil
	case c.is(i, "FAIL"):
		return bitmap.Fail, nil
	}
	return 0, ErrOverflowType
}

// fieldArgs reads arguments i and i+1 as the type and the place of a field: u or i and its
// width; its first bit, or behind a # how many fields of this width lie before it.
func (c *Ctx) fieldArgs(i int) (bitmap.Field, error) {
	kind := c.Args[i]
	if len(kind) == 0 || kind[0] != 'i' && kind[0] != 'u' {
		return bitmap.Field{}, ErrBitfieldType
	}
	f := bitmap.Field{Signed: kind[0] == 'i'}
	n, err := parseInt(kind[1:])
	if err != nil || n < 1 || n > 64 || n == 64 && !f.Signed {
		return bitmap.Field{}, ErrBitfieldType
	}
	f.Bits = int(n)
	digits, counted := bytes.CutPrefix(c.Args[i+1], []byte{'#'})
	at, err := parseInt(digits)
	if err != nil || at < 0 || counted && at > math.MaxInt64/n {
		return bitmap.Field{}, ErrBitOffset
	}
	if counted {
		at *= n
	}
	if at>>3 >= c.Env.MaxBulk {
		return bitmap.Field{}, ErrBitOffset
	}
	f.At = uint64(at)
	return f, nil
}
