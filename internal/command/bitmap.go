package command

import (
	"github.com/elastickv/elastickv/internal/bitmap"
	"github.com/elastickv/elastickv/internal/keyspace"
)

var bitmapCommands = []*Command{
	{Name: "setbit", Arity: 4, Flags: Write | DenyOOM, Group: GroupBitmap, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: setbit,
		Syntax: "key offset value:integer",
		Since:  "2.2.0", Complexity: "O(N) where N is the length of the value", Summary: "Changes one bit of the value of a string key and returns what it was."},
	{Name: "getbit", Arity: 3, Flags: ReadOnly | Fast, Group: GroupBitmap, Keys: oneKey(KeyRO | KeyAccess), Run: getbit,
		Syntax: "key offset",
		Since:  "2.2.0", Complexity: "O(1)", Summary: "Returns one bit of the value of a string key."},
	{Name: "bitcount", Arity: -2, Flags: ReadOnly, Group: GroupBitmap, Keys: oneKey(KeyRO | KeyAccess), Run: bitcount,
		Syntax: "key [range(start end [unit(BYTE | BIT)@7.0.0])]",
		Since:  "2.6.0", Complexity: "O(N) where N is the length of the range", Summary: "Counts the bits that are 1 in the value of a string key or a range of it."},
	{Name: "bitpos", Arity: -3, Flags: ReadOnly, Group: GroupBitmap, Keys: oneKey(KeyRO | KeyAccess), Run: bitpos,
		Syntax: "key bit [range(start [end-unit-block(end [unit(BYTE | BIT)@7.0.0])])]",
		Since:  "2.8.7", Complexity: "O(N) where N is the length of the range", Summary: "Finds the first 1 or the first 0 in the value of a string key or a range of it."},
	{Name: "bitop", Arity: -4, Flags: Write | DenyOOM, Group: GroupBitmap, Keys: []KeySpec{keyAt(2, KeyOW|KeyUpdate), {Flags: KeyRO | KeyAccess, Index: 3, Last: -1, Step: 1}}, Run: bitop,
		Syntax: "operation(AND | OR | XOR | NOT) destkey key...",
		Since:  "2.6.0", Complexity: "O(N) where N is the length of all values", Summary: "Combines the values of string keys bit by bit and stores the result."},
	{Name: "bitfield", Arity: -2, Flags: Write | DenyOOM, Group: GroupBitmap, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate | KeyVariable), Run: bitfield, FindKeys: bitfieldKeys, MayWrite: writesFields,
		Syntax: "key [operation(GET get-block(encoding offset) | write([OVERFLOW overflow-block(WRAP | SAT | FAIL)] write-operation(SET set-block(encoding offset value:integer) | INCRBY incrby-block(encoding offset increment))))...]",
		Since:  "3.2.0", Complexity: "O(N) where N is the length of the value", Summary: "Reads and changes integers of any width in the value of a string key."},
	{Name: "bitfield_ro", Arity: -2, Flags: ReadOnly | Fast, Group: GroupBitmap, Keys: oneKey(KeyRO | KeyAccess), Run: bitfieldRO,
		Syntax: "key [GET get-block(encoding offset)]...",
		Since:  "6.0.0", Complexity: "O(1) for each integer", Summary: "Reads integers of any width in the value of a string key."},
}

// bitOffset reads argument i as the number of a bit, which lies within the longest string.
func (c *Ctx) bitOffset(i int) (uint64, error) {
	n, err := c.int(i)
	if err != nil || n < 0 || n>>3 >= c.Env.MaxBulk {
		return 0, ErrBitOffset
	}
	return uint64(n), nil
}

func setbit(c *Ctx) error {
	at, err := c.bitOffset(2)
	if err != nil {
		return err
	}
	bit, err := c.int(3)
	if err != nil || bit != 0 && bit != 1 {
		return ErrBitValue
	}
	value, grown, err := c.roomyString(c.Args[1], int64(at>>3)+1)
	if err != nil {
		return err
	}
	old := bitmap.Get(value, at)
	c.Out.Int(int64(old))
	if !grown && old == int(bit) {
		return nil
	}
	bitmap.Set(value, at, int(bit))
	return c.noted(keyspace.ClassString, "setbit", c.Keys.ModifyString(c.Args[1], value))
}

// roomyString returns a copy of the value of a string key, with zeros behind it up to a
// length of at least n, and whether that is longer than it was.
func (c *Ctx) roomyString(key []byte, n int64) (value []byte, grown bool, err error) {
	old, _, err := c.Keys.String(key)
	if err != nil {
		return nil, false, err
	}
	if n > int64(len(old)) {
		if err := c.checkLength(n); err != nil {
			return nil, false, err
		}
	}
	value = make([]byte, max(n, int64(len(old))))
	copy(value, old)
	return value, len(value) > len(old), nil
}

func getbit(c *Ctx) error {
	at, err := c.bitOffset(2)
	if err != nil {
		return err
	}
	value, _, err := c.Keys.String(c.Args[1])
	c.Out.Int(int64(bitmap.Get(value, at)))
	return err
}

func bitcount(c *Ctx) error {
	value, there, err := c.Keys.String(c.Args[1])
	if err != nil {
		return err
	}
	n := int64(len(value))
	switch {
	case !there:
		c.Out.Int(0)
		return nil
	case len(c.Args) == 2:
		c.Out.Int(bitmap.Count(value, bitmap.Span{First: 0, Last: 8*n - 1}))
		return nil
	case len(c.Args) != 4 && len(c.Args) != 5:
		return ErrSyntax
	}
	first, last, err := c.rankRange(2)
	if err != nil {
		return err
	}
	if first < 0 && last < 0 && first > last {
		c.Out.Int(0) // before the unit is looked at, and before they are clamped
		return nil
	}
	unit, err := c.bitUnit(4)
	if err != nil {
		return err
	}
	c.Out.Int(bitmap.Count(value, unit.span(first, last, n)))
	return nil
}

// bitUnit is how many bits one step of a range has.
type bitUnit int64

// bitUnit reads argument i, if there is one, as the unit of a range: bytes if it is not given.
func (c *Ctx) bitUnit(i int) (bitUnit, error) {
	switch {
	case i >= len(c.Args) || c.is(i, "BYTE"):
		return 8, nil
	case c.is(i, "BIT"):
		return 1, nil
	}
	return 0, ErrSyntax
}

// span returns the bits of a range in a string of n bytes.
func (u bitUnit) span(first, last, n int64) bitmap.Span {
	total := n * 8 / int64(u)
	first = max(fromEnd(first, total), 0)
	last = min(max(fromEnd(last, total), 0), total-1)
	if first > last {
		return bitmap.Span{First: 0, Last: -1}
	}
	return bitmap.Span{First: first * int64(u), Last: (last+1)*int64(u) - 1}
}

func bitpos(c *Ctx) error {
	bit, err := c.int(2)
	if err != nil {
		return err
	}
	if bit != 0 && bit != 1 {
		return ErrBitArgument
	}
	value, there, err := c.Keys.String(c.Args[1])
	if err != nil {
		return err
	}
	if !there {
		c.Out.Int(-bit) // zeros without end
		return nil
	}
	s, err := c.bitposSpan(int64(len(value)))
	if err != nil {
		return err
	}
	at := bitmap.Position(value, s, int(bit))
	if at < 0 && bit == 0 && len(c.Args) < 5 && s.First <= s.Last {
		at = 8 * int64(len(value)) // zeros follow, if no end was given
	}
	c.Out.Int(at)
	return nil
}

// bitposSpan reads the range of BITPOS in a string of n bytes.
func (c *Ctx) bitposSpan(n int64) (bitmap.Span, error) {
	first, last := int64(0), int64(-1)
	var unit bitUnit
	var err error
	if len(c.Args) > 3 {
		if first, err = c.int(3); err != nil {
			return bitmap.Span{}, err
		}
	}
	if unit, err = c.bitUnit(5); err != nil || len(c.Args) > 6 {
		return bitmap.Span{}, ErrSyntax
	}
	if len(c.Args) > 4 {
		if last, err = c.int(4); err != nil {
			return bitmap.Span{}, err
		}
	}
	return unit.span(first, last, n), nil
}

func bitop(c *Ctx) error {
	op, err := c.bitOperation(1)
	if err != nil {
		return err
	}
	combined := bitmap.NewCombination(op)
	for _, key := range c.Args[3:] {
		source, _, err := c.Keys.Reading().String(key)
		if err != nil {
			return err
		}
		combined.Add(source)
	}
	result, target := combined.Bytes(), c.Args[2]
	c.Out.Int(int64(len(result)))
	if len(result) == 0 {
		return c.removed(target)
	}
	if err := c.Keys.StoreString(target, result); err != nil {
		return err
	}
	c.Keys.Notify(keyspace.ClassString, "set", target)
	return nil
}

func (c *Ctx) bitOperation(i int) (bitmap.Op, error) {
	switch {
	case c.is(i, "AND"):
		return bitmap.And, nil
	case c.is(i, "OR"):
		return bitmap.Or, nil
	case c.is(i, "XOR"):
		return bitmap.Xor, nil
	case !c.is(i, "NOT"):
		return 0, ErrSyntax
	case len(c.Args) != 4:
		return 0, ErrBitopNot
	}
	return bitmap.Not, nil
}
