package command

import "math"

var objectCommands = []*Command{
	{Name: "object", Arity: -2, Group: GroupGeneric, Since: "2.2.3", Summary: "Tells how a key is kept.", Sub: []*Command{
		{Name: "encoding", Arity: 3, Flags: ReadOnly | NoTouch, Group: GroupGeneric, Keys: []KeySpec{keyAt(2, KeyRO)}, Run: objectEncoding, Tips: []string{"nondeterministic_output"},
			Syntax: "key",
			Since:  "2.2.3", Complexity: "O(1)", Summary: "Returns what Redis calls the encoding of a key of this content."},
		{Name: "freq", Arity: 3, Flags: ReadOnly | NoTouch, Group: GroupGeneric, Keys: []KeySpec{keyAt(2, KeyRO)}, Run: objectFreq, Tips: []string{"nondeterministic_output"},
			Syntax: "key",
			Since:  "4.0.0", Complexity: "O(1)", Summary: "Returns the logarithmic count of the uses of a key, which is kept only under an LFU policy."},
		{Name: "idletime", Arity: 3, Flags: ReadOnly | NoTouch, Group: GroupGeneric, Keys: []KeySpec{keyAt(2, KeyRO)}, Run: objectIdletime, Tips: []string{"nondeterministic_output"},
			Syntax: "key",
			Since:  "2.2.3", Complexity: "O(1)", Summary: "Returns the seconds since a key was used last."},
		{Name: "refcount", Arity: 3, Flags: ReadOnly | NoTouch, Group: GroupGeneric, Keys: []KeySpec{keyAt(2, KeyRO)}, Run: objectRefcount, Tips: []string{"nondeterministic_output"},
			Syntax: "key",
			Since:  "2.2.3", Complexity: "O(1)", Summary: "Returns how many keys share a value: one, but for small integers."},
		{Name: "help", Arity: 2, Flags: Loading | Stale, Group: GroupGeneric, Run: help(
			"ENCODING <key>", "    Return the kind of internal representation used for the value of <key>.",
			"FREQ <key>", "    Return the access frequency index of the key <key>. The returned integer is",
			"    proportional to the logarithm of the recent access frequency of the key.",
			"IDLETIME <key>", "    Return the idle time of the key, that is the approximated number of",
			"    seconds elapsed since the last access to the key.",
			"REFCOUNT <key>", "    Return 1, or the largest number for a small integer, which Redis shares."),
			Since: "6.2.0", Complexity: "O(1)", Summary: "Lists the subcommands."},
	}},
}

// MemoryUsageRow is the subcommand of MEMORY that looks at a key.
var MemoryUsageRow = &Command{
	Name: "usage", Arity: -3, Flags: ReadOnly | NoTouch, Group: GroupServer, Keys: []KeySpec{keyAt(2, KeyRO)}, Run: memoryUsage,
	Syntax: "key [SAMPLES count]",
	Since:  "4.0.0", Complexity: "O(N) where N is the number of rows of the key", Summary: "Returns how many bytes the rows of a key have.",
}

// help makes the handler of a HELP subcommand, whose container is the call's first argument.
func help(lines ...string) Handler {
	return func(c *Ctx) error {
		name := upper(c.Cmd.parent.Name)
		c.Out.Array(len(lines) + 3)
		c.Out.Simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
		for _, l := range lines {
			c.Out.Simple(l)
		}
		c.Out.Simple("HELP")
		c.Out.Simple("    Print this help.")
		return nil
	}
}

func objectEncoding(c *Ctx) error {
	enc, ok, err := c.Keys.Encoding(c.Args[2])
	if err != nil {
		return err
	}
	c.bulkOrNull([]byte(enc), ok)
	return nil
}

func objectFreq(c *Ctx) error {
	n, ok, err := c.Keys.Frequency(c.Args[2])
	if err != nil {
		return err
	}
	if !ok && !c.Keys.CountsUses() {
		if ok, err = c.exists(c.Args[2]); ok {
			return ErrNoLFU
		}
	}
	c.intOrNull(int64(n), ok)
	return err
}

// intOrNull replies with a number, or null if there is none.
func (c *Ctx) intOrNull(n int64, ok bool) {
	if ok {
		c.Out.Int(n)
	} else {
		c.Out.Null()
	}
}

func objectIdletime(c *Ctx) error {
	if c.Keys.CountsUses() {
		ok, err := c.exists(c.Args[2])
		if ok {
			return ErrLFU
		}
		c.Out.Null()
		return err
	}
	idle, ok, err := c.Keys.Idle(c.Args[2])
	if err != nil {
		return err
	}
	c.intOrNull(idle/1000, ok)
	return nil
}

// Small integers are one object for all keys in Redis, which says so by the largest count.
const (
	sharedIntegers = 10000
	sharedRefcount = math.MaxInt32
)

func objectRefcount(c *Ctx) error {
	enc, ok, err := c.Keys.Encoding(c.Args[2])
	switch {
	case err != nil:
		return err
	case !ok:
		c.Out.Null()
		return nil
	case enc != "int":
		c.Out.Int(1)
		return nil
	}
	v, _, err := c.Keys.String(c.Args[2])
	if n, bad := parseInt(v); bad == nil && !c.Env.OwnIntegers && n >= 0 && n < sharedIntegers {
		c.Out.Int(sharedRefcount)
	} else {
		c.Out.Int(1)
	}
	return err
}

func memoryUsage(c *Ctx) error {
	samples := int64(5)
	for i := 3; i < len(c.Args); i++ {
		if !c.is(i, "SAMPLES") || i+1 == len(c.Args) {
			return ErrSyntax
		}
		i++
		var err error
		if samples, err = c.int(i); err != nil {
			return err
		}
		if samples < 0 {
			return ErrSyntax
		}
	}
	n, ok, err := c.Keys.Usage(c.Args[2], int(min(samples, math.MaxInt32)))
	switch {
	case err != nil:
		return err
	case !ok:
		c.Out.Null()
	default:
		c.Out.Int(n)
	}
	return nil
}
