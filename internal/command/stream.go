package command

import (
	"errors"
	"strings"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/txn"
)

var streamCommands = []*Command{
	{Name: "xadd", Arity: -5, Flags: Write | DenyOOM | Fast, Group: GroupStream, Keys: oneKey(KeyRW | KeyUpdate), Run: xadd, Tips: []string{"nondeterministic_output"},
		Syntax: "key [NOMKSTREAM@6.2.0] [trim(strategy(MAXLEN | MINID@6.2.0) [operator(equal== | approximately=~)] threshold [LIMIT count@6.2.0])] id-selector(auto-id=* | id) data(field value)...", History: []string{"7.0.0 Takes ids of the form `<ms>-*`."},
		Since: "5.0.0", Complexity: "O(1), and O(N) to trim where N is the number of entries removed", Summary: "Adds an entry at the end of a stream; the stream is made if it is not there."},
	{Name: "xtrim", Arity: -4, Flags: Write, Group: GroupStream, Keys: oneKey(KeyRW | KeyDelete), Run: xtrim, Tips: []string{"nondeterministic_output"},
		Syntax: "key trim(strategy(MAXLEN | MINID@6.2.0) [operator(equal== | approximately=~)] threshold [LIMIT count@6.2.0])",
		Since:  "5.0.0", Complexity: "O(N) where N is the number of entries removed", Summary: "Removes entries from the front of a stream."},
	{Name: "xlen", Arity: 2, Flags: ReadOnly | Fast, Group: GroupStream, Keys: oneKey(KeyRO), Run: xlen,
		Syntax: "key",
		Since:  "5.0.0", Complexity: "O(1)", Summary: "Returns the number of entries of a stream."},
	{Name: "xrange", Arity: -4, Flags: ReadOnly, Group: GroupStream, Keys: oneKey(KeyRO | KeyAccess), Run: xrange,
		Syntax: "key start:string end:string [COUNT count]", History: []string{"6.2.0 Takes ranges without their ends."},
		Since: "5.0.0", Complexity: "O(N) where N is the number of entries returned", Summary: "Returns the entries of a stream from one ID to another."},
	{Name: "xrevrange", Arity: -4, Flags: ReadOnly, Group: GroupStream, Keys: oneKey(KeyRO | KeyAccess), Run: xrevrange,
		Syntax: "key end:string start:string [COUNT count]", History: []string{"6.2.0 Takes ranges without their ends."},
		Since: "5.0.0", Complexity: "O(N) where N is the number of entries returned", Summary: "Returns the entries of a stream from one ID down to another."},
	{Name: "xdel", Arity: -3, Flags: Write | Fast, Group: GroupStream, Keys: oneKey(KeyRW | KeyDelete), Run: xdel,
		Syntax: "key id...",
		Since:  "5.0.0", Complexity: "O(N) where N is the number of IDs given", Summary: "Removes entries of a stream."},
	{Name: "xsetid", Arity: -3, Flags: Write | DenyOOM | Fast, Group: GroupStream, Keys: oneKey(KeyRW | KeyUpdate), Run: xsetid,
		Syntax: "key last-id [ENTRIESADDED entries-added@7.0.0] [MAXDELETEDID max-deleted-id@7.0.0]",
		Since:  "5.0.0", Complexity: "O(1)", Summary: "Sets the last ID of a stream and what is counted of it."},
	{Name: "xread", Arity: -4, Flags: ReadOnly | Blocking | MovableKeys, Group: GroupStream, Keys: streamKeys(1), FindKeys: findStreamKeys(1), Run: xread,
		Syntax: "[COUNT count] [BLOCK milliseconds] STREAMS (key... id...)",
		Since:  "5.0.0", Complexity: "O(N) where N is the number of entries returned", Summary: "Returns the entries of several streams behind given IDs; can wait for some."},
	{Name: "xreadgroup", Arity: -7, Flags: Write | Blocking | MovableKeys, Group: GroupStream, Keys: streamKeys(4), FindKeys: findStreamKeys(4), Run: xreadgroup,
		Syntax: "GROUP group-block(group consumer) [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS (key... id...)",
		Since:  "5.0.0", Complexity: "O(N) where N is the number of entries returned", Summary: "Returns the entries of several streams that a group has not read, or those pending for a consumer; can wait for some."},
	{Name: "xack", Arity: -4, Flags: Write | Fast, Group: GroupStream, Keys: oneKey(KeyRW | KeyUpdate), Run: xack,
		Syntax: "key group id...",
		Since:  "5.0.0", Complexity: "O(N) where N is the number of IDs given", Summary: "Takes entries off those pending in a group."},
	{Name: "xpending", Arity: -3, Flags: ReadOnly, Group: GroupStream, Keys: oneKey(KeyRO | KeyAccess), Run: xpending, Tips: []string{"nondeterministic_output"},
		Syntax: "key group [filters([IDLE min-idle-time:integer@6.2.0] start:string end:string count [consumer])]",
		Since:  "5.0.0", Complexity: "O(N) where N is the number of pending entries looked at, or of the group's consumers", Summary: "Tells what is pending in a group, and for whom."},
	{Name: "xclaim", Arity: -6, Flags: Write | Fast, Group: GroupStream, Keys: oneKey(KeyRW | KeyUpdate), Run: xclaim, Tips: []string{"nondeterministic_output"},
		Syntax: "key group consumer min-idle-time id... [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
		Since:  "5.0.0", Complexity: "O(N) where N is the number of IDs given", Summary: "Gives pending entries to another consumer."},
	{Name: "xautoclaim", Arity: -6, Flags: Write | Fast, Group: GroupStream, Keys: oneKey(KeyRW | KeyDelete), Run: xautoclaim, Tips: []string{"nondeterministic_output"},
		Syntax: "key group consumer min-idle-time start:string [COUNT count] [JUSTID]", History: []string{"7.0.0 Tells which entries are gone."},
		Since: "6.2.0", Complexity: "O(N) where N is the number of pending entries looked at", Summary: "Gives entries that have been pending for long to another consumer."},
	{Name: "xgroup", Arity: -2, Group: GroupStream, Since: "5.0.0", Summary: "Makes, changes and removes groups and consumers.", Complexity: "Depends on the subcommand.", Sub: xgroupCommands},
	{Name: "xinfo", Arity: -2, Group: GroupStream, Since: "5.0.0", Summary: "Tells of streams, groups and consumers.", Complexity: "Depends on the subcommand.", Sub: xinfoCommands},
}

// streamKeys is the spec of the keys behind STREAMS, each of which has an ID behind all keys.
func streamKeys(from int) []KeySpec {
	return []KeySpec{{Flags: KeyRO | KeyAccess, Index: from, Keyword: "STREAMS", Last: -1, Step: 1, Limit: 2}}
}

// findStreamKeys finds the keys that a call reads, wherever else the word STREAMS stands: it may
// be a group's name. Of a call that is not well formed, the spec finds what it can.
func findStreamKeys(from int) func(args [][]byte) []Key {
	spec := streamKeys(from)[0]
	return func(args [][]byte) []Key {
		spec := spec
		if at := streamsAt(args); at > 0 {
			spec.Index = at
		}
		keys, _ := spec.keys(args)
		return keys
	}
}

// streamsAt returns where the word STREAMS stands behind the options, 0 if it does not.
func streamsAt(args [][]byte) int {
	for i := 1; i < len(args); i++ {
		switch strings.ToUpper(string(clip(args[i], 8))) {
		case "STREAMS":
			return i
		case "GROUP":
			i += 2
		case "COUNT", "BLOCK":
			i++
		case "NOACK":
		default:
			return 0
		}
	}
	return 0
}

func xlen(c *Ctx) error {
	st, err := c.Keys.Stream(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Int(st.Len())
	return nil
}

func xadd(c *Ctx) error {
	a, err := parseXAdd(c)
	if err != nil {
		return err
	}
	st, err := c.Keys.Stream(c.Args[1])
	if err != nil {
		return err
	}
	if a.ifThere && !st.Exists() {
		c.Out.Null()
		return nil
	}
	id, err := a.id.after(st.LastID(), uint64(c.Keys.Now()))
	if err != nil {
		return err
	}
	err = st.Add(id, a.fields)
	switch {
	case errors.Is(err, keyspace.ErrStreamID):
		return ErrStreamIDSmall
	case errors.Is(err, txn.ErrValueTooLarge):
		return ErrStreamTooLarge
	case err != nil:
		return err
	}
	c.streamID(id)
	c.Keys.Notify(keyspace.ClassStream, "xadd", c.Args[1])
	if a.trims {
		_, err = c.trimStream(st, a.trim)
	}
	return err
}

func xtrim(c *Ctx) error {
	a, err := parseStreamTrim(c)
	if err != nil {
		return err
	}
	st, err := c.Keys.Stream(c.Args[1])
	if err != nil {
		return err
	}
	n, err := c.trimStream(st, a.trim)
	c.Out.Int(n)
	return err
}

// trimStream trims the stream at the first key.
func (c *Ctx) trimStream(st *keyspace.Stream, t keyspace.StreamTrim) (int64, error) {
	n, err := st.Trim(t)
	if err == nil && n > 0 {
		c.Keys.Notify(keyspace.ClassStream, "xtrim", c.Args[1])
	}
	return n, err
}

func xdel(c *Ctx) error {
	st, err := c.Keys.Stream(c.Args[1])
	if err != nil {
		return err
	}
	if !st.Exists() {
		c.Out.Int(0)
		return nil
	}
	ids, err := c.streamIDs(2)
	if err != nil {
		return err
	}
	var n int64
	for _, id := range ids {
		ok, err := st.Delete(id)
		if err != nil {
			return err
		}
		n += int64(boolInt(ok))
	}
	if n > 0 {
		c.Keys.Notify(keyspace.ClassStream, "xdel", c.Args[1])
	}
	c.Out.Int(n)
	return nil
}

// streamSetID are the arguments of XSETID.
type streamSetID struct {
	last, maxDeleted keyspace.StreamID
	added            int64 // -1: not given
}

func parseXSetID(c *Ctx) (a streamSetID, err error) {
	a.added = -1
	if a.last, err = parseStreamID(c.Args[2], 0); err != nil {
		return a, err
	}
	for i := 3; i < len(c.Args); i += 2 {
		switch {
		case i+1 == len(c.Args):
			return a, ErrSyntax
		case c.is(i, "ENTRIESADDED"):
			if a.added, err = c.int(i + 1); err == nil && a.added < 0 {
				err = ErrEntriesAdded
			}
		case c.is(i, "MAXDELETEDID"):
			if a.maxDeleted, err = parseStreamID(c.Args[i+1], 0); err == nil && a.last.Compare(a.maxDeleted) < 0 {
				err = ErrSetIDBelowDeleted
			}
		default:
			err = ErrSyntax
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

func xsetid(c *Ctx) error {
	a, err := parseXSetID(c)
	if err != nil {
		return err
	}
	st, err := c.Keys.Stream(c.Args[1])
	if err != nil {
		return err
	}
	if !st.Exists() {
		return ErrNoSuchKey
	}
	top, err := st.Highest()
	switch {
	case err != nil:
		return err
	case a.last.Compare(st.MaxDeletedID()) < 0:
		return ErrSetIDBelowCurrent
	case a.last.Compare(top) < 0:
		return ErrSetIDBelowTop
	case a.added >= 0 && a.added < st.Len():
		return ErrSetIDBelowLength
	}
	if err := st.SetID(a.last, a.added, a.maxDeleted); err != nil {
		return err
	}
	c.Keys.Notify(keyspace.ClassStream, "xsetid", c.Args[1])
	c.Out.OK()
	return nil
}
