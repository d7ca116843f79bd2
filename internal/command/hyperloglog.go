package command

import (
	"bytes"

	"github.com/elastickv/elastickv/internal/hll"
	"github.com/elastickv/elastickv/internal/keyspace"
)

var hyperloglogCommands = []*Command{
	{Name: "pfadd", Arity: -2, Flags: Write | DenyOOM | Fast, Group: GroupHyperLogLog, Keys: oneKey(KeyRW | KeyInsert), Run: pfadd,
		Syntax: "key [element...]",
		Since:  "2.8.9", Complexity: "O(N) where N is the number of elements given", Summary: "Makes a HyperLogLog see elements."},
	{Name: "pfcount", Arity: -2, Flags: ReadOnly | MayReplicate, Group: GroupHyperLogLog, Keys: allKeys(1, KeyRW|KeyAccess), Run: pfcount, MayWrite: remembersCount,
		Syntax: "key...",
		Since:  "2.8.9", Complexity: "O(1) for one key whose count is remembered, else O(N) with a large constant, where N is the number of keys", Summary: "Estimates how many different elements HyperLogLogs have seen together."},
	{Name: "pfmerge", Arity: -2, Flags: Write | DenyOOM, Group: GroupHyperLogLog, Keys: []KeySpec{keyAt(1, KeyRW|KeyAccess|KeyInsert), {Flags: KeyRO | KeyAccess, Index: 2, Last: -1, Step: 1}}, Run: pfmerge,
		Syntax: "destkey [sourcekey...]",
		Since:  "2.8.9", Complexity: "O(N) with a large constant, where N is the number of keys", Summary: "Makes a HyperLogLog see what others have seen."},
	{Name: "pfdebug", Arity: 3, Flags: Write | DenyOOM | Admin, Group: GroupHyperLogLog, Keys: []KeySpec{keyAt(2, KeyRW|KeyAccess)}, Run: pfdebug,
		Syntax: "subcommand key",
		Since:  "2.8.9", Internal: true, Complexity: "O(1) with a large constant", Summary: "Shows what a HyperLogLog is made of."},
	{Name: "pfselftest", Arity: 1, Flags: Admin, Group: GroupHyperLogLog, Run: pfselftest,
		Since: "2.8.9", Internal: true, Complexity: "O(1) with a very large constant", Summary: "Tests that HyperLogLogs keep and count what they see."},
}

// sketchAt returns the HyperLogLog at a key, and whether there is one. It is not to be modified.
func sketchAt(keys *keyspace.Space, key []byte) (hll.Sketch, bool, error) {
	b, there, err := keys.String(key)
	if err != nil || !there {
		return hll.Sketch{}, false, err
	}
	s, err := hll.Open(b)
	if err != nil {
		return hll.Sketch{}, false, ErrNotHLL
	}
	return s, true, nil
}

// newSketch is sketchAt for a HyperLogLog that is going to be modified, and is an empty
// one if there is none.
func (c *Ctx) newSketch(key []byte) (hll.Sketch, bool, error) {
	s, there, err := sketchAt(c.Keys, key)
	if err != nil || !there {
		return hll.New(), false, err
	}
	s, _ = hll.Open(bytes.Clone(s.Bytes()))
	return s, true, nil
}

func pfadd(c *Ctx) error {
	key := c.Args[1]
	s, there, err := c.newSketch(key)
	if err != nil {
		return err
	}
	changed := !there
	for _, element := range c.Args[2:] {
		seen, err := s.Add(element, c.Env.HLLSparseMax)
		if err != nil {
			return ErrCorruptHLL
		}
		changed = changed || seen
	}
	c.bit(changed)
	if !changed {
		return nil
	}
	s.Forget()
	return c.noted(keyspace.ClassString, "pfadd", c.Keys.ModifyString(key, s.Bytes()))
}

func pfcount(c *Ctx) error {
	if len(c.Args) == 2 {
		return c.countSketch(c.Args[1])
	}
	m, err := c.maxima(c.Args[1:], nil)
	if err != nil {
		return err
	}
	c.Out.Int(int64(m.Count()))
	return nil
}

// remembersCount reports whether a call of PFCOUNT is one that writes down what it has counted.
func remembersCount(args [][]byte) bool { return len(args) == 2 }

// countSketch replies with the estimate of one HyperLogLog, which remembers it unless
// nothing can be written.
func (c *Ctx) countSketch(key []byte) error {
	s, there, err := sketchAt(c.Keys.Reading(), key)
	if err != nil || !there {
		c.Out.Int(0)
		return err
	}
	n, valid := s.Cached()
	if valid {
		c.Out.Int(int64(n))
		return nil
	}
	if n, err = s.Count(); err != nil {
		return ErrCorruptHLL
	}
	c.Out.Int(int64(n))
	if c.Keys.ReadOnly() {
		return nil
	}
	s, _ = hll.Open(bytes.Clone(s.Bytes()))
	s.Remember(n)
	return c.Keys.ModifyString(key, s.Bytes())
}

// maxima merges the HyperLogLogs at keys and calls each, if it is not nil, with every one
// that is there.
func (c *Ctx) maxima(keys [][]byte, each func(hll.Sketch)) (*hll.Maxima, error) {
	var m hll.Maxima
	for _, key := range keys {
		s, there, err := sketchAt(c.Keys.Reading(), key)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		if m.Merge(s) != nil {
			return nil, ErrCorruptHLL
		}
		if each != nil {
			each(s)
		}
	}
	return &m, nil
}

func pfmerge(c *Ctx) error {
	dense := false // the result is, as soon as one of them is
	m, err := c.maxima(c.Args[1:], func(s hll.Sketch) { dense = dense || s.Dense() })
	if err != nil {
		return err
	}
	key := c.Args[1]
	s, _, err := c.newSketch(key)
	if err != nil {
		return err
	}
	if dense && s.ToDense() != nil {
		return ErrCorruptHLL
	}
	for i, value := range m {
		if value == 0 {
			continue
		}
		if _, err := s.Raise(i, value, c.Env.HLLSparseMax); err != nil {
			return ErrCorruptHLL
		}
	}
	s.Forget()
	c.Out.OK()
	return c.noted(keyspace.ClassString, "pfadd", c.Keys.ModifyString(key, s.Bytes()))
}

func pfdebug(c *Ctx) error {
	key := c.Args[2]
	s, there, err := c.newSketch(key)
	if err != nil {
		return err
	}
	sparse := !s.Dense()
	switch {
	case !there:
		return ErrPFDebugNoKey
	case c.is(1, "GETREG"):
		if s.ToDense() != nil {
			return ErrCorruptHLL
		}
		c.replyRegisters(s)
	case c.is(1, "TODENSE"):
		if s.ToDense() != nil {
			return ErrCorruptHLL
		}
		c.bit(sparse)
	case c.is(1, "DECODE") && !sparse:
		return ErrNotSparse
	case c.is(1, "DECODE"):
		c.Out.BulkString(s.Decode())
	case c.is(1, "ENCODING"):
		c.Out.Simple(map[bool]string{true: "sparse", false: "dense"}[sparse])
	default:
		return errUnknownPFDebug(c.Args[1])
	}
	if sparse && s.Dense() {
		return c.Keys.ModifyString(key, s.Bytes())
	}
	return nil
}

// replyRegisters replies with all registers of a HyperLogLog that is intact.
func (c *Ctx) replyRegisters(s hll.Sketch) {
	var m hll.Maxima
	_ = m.Merge(s) // a dense one always can be
	c.Out.Array(len(m))
	for _, value := range m {
		c.Out.Int(int64(value))
	}
}

func pfselftest(c *Ctx) error {
	if err := hll.SelfTest(c.Env.Rand); err != nil {
		return errTestFailed(err)
	}
	c.Out.OK()
	return nil
}
