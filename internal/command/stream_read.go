package command

import (
	"math"
	"time"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
)

// streamRead is a call of XREAD or XREADGROUP.
type streamRead struct {
	keys, ids [][]byte // arguments, as many of one as of the other
	count     int64    // entries of each stream at most; below 0: all
	waits     bool     // BLOCK was given
	timeout   time.Duration

	ofGroup         bool // it is XREADGROUP
	group, consumer []byte
	noAck           bool
	from            []streamFrom // what to read, by key
}

// streamFrom is what is read of one key.
type streamFrom struct {
	st    *keyspace.Stream
	group *keyspace.Group   // of XREADGROUP
	after keyspace.StreamID // entries above it are wanted
	fresh bool              // those that the group has not read; after says nothing
}

func xread(c *Ctx) error { return readStreams(c, &streamRead{count: -1}) }

func xreadgroup(c *Ctx) error { return readStreams(c, &streamRead{count: -1, ofGroup: true}) }

func readStreams(c *Ctx, r *streamRead) error {
	if err := r.parse(c); err != nil {
		return err
	}
	if err := r.open(c); err != nil {
		return err
	}
	mark, served := c.Out.Len(), 0
	for i := range r.from {
		ok, err := r.serve(c, i)
		if err == nil {
			err = c.checkReply()
		}
		if err != nil {
			return err
		}
		served += boolInt(ok)
	}
	switch {
	case served > 0 && c.Out.Proto() == 2:
		c.Out.ArraySince(mark, served)
	case served > 0:
		c.Out.MapSince(mark, served)
	case r.waits:
		return r.wait(c)
	default:
		c.Out.NullArray()
	}
	return nil
}

// parse reads the arguments.
func (r *streamRead) parse(c *Ctx) error {
	grouped := false
	i := 1
	for ; i < len(c.Args) && r.keys == nil; i++ {
		more := len(c.Args) - i - 1
		switch {
		case c.is(i, "STREAMS") && more > 0:
			if more%2 != 0 {
				return r.unbalanced()
			}
			r.keys, r.ids = c.Args[i+1:i+1+more/2], c.Args[i+1+more/2:]
		case c.is(i, "GROUP") && more >= 2:
			if !r.ofGroup {
				return ErrXReadGroupOption
			}
			r.group, r.consumer, grouped = c.Args[i+1], c.Args[i+2], true
			i += 2
		case c.is(i, "NOACK"):
			if !r.ofGroup {
				return ErrXReadNoAck
			}
			r.noAck = true
		case more > 0:
			if err := r.option(c, i); err != nil {
				return err
			}
			i++
		default:
			return ErrSyntax
		}
	}
	switch {
	case r.keys == nil:
		return ErrSyntax
	case r.ofGroup && !grouped:
		return ErrXReadGroupMissing
	}
	return nil
}

func (r *streamRead) unbalanced() error {
	if r.ofGroup {
		return ErrXReadGroupUnbalanced
	}
	return ErrXReadUnbalanced
}

// option reads an option that has one argument.
func (r *streamRead) option(c *Ctx, i int) (err error) {
	switch {
	case c.is(i, "COUNT"):
		if r.count, err = c.int(i + 1); r.count <= 0 {
			r.count = -1
		}
	case c.is(i, "BLOCK"):
		if c.Script != nil {
			return errBlockInScript(c)
		}
		r.waits = true
		r.timeout, err = c.millis(i + 1)
	default:
		err = ErrSyntax
	}
	return err
}

// millis reads argument i as the milliseconds that a command may wait. 0 means for ever.
func (c *Ctx) millis(i int) (time.Duration, error) {
	ms, err := c.int(i)
	switch {
	case err != nil:
		return 0, ErrTimeoutNotInteger
	case ms < 0:
		return 0, ErrTimeoutNegative
	case ms > math.MaxInt64-c.Keys.Now():
		return 0, ErrTimeoutRange
	}
	return MillisecondsOrLongest(ms), nil
}

// open looks up the streams and groups, and what of them to read. A key that is
// named twice is opened once.
func (r *streamRead) open(c *Ctx) error {
	r.from = make([]streamFrom, len(r.keys))
	opened := make(map[string]streamFrom, len(r.keys))
	for i, key := range r.keys {
		f, ok := opened[string(key)]
		if !ok {
			var err error
			if f, err = r.openOne(c, key); err != nil {
				return err
			}
			opened[string(key)] = f
		}
		if ok {
			r.missAgain(c, i, f)
		}
		if err := r.position(&f, r.ids[i]); err != nil {
			return err
		}
		r.from[i] = f
	}
	for i, f := range r.from { // Redis looks twice: when it reads the IDs, and when it reads the streams
		r.missAgain(c, i, f)
	}
	return nil
}

// missAgain records that a stream which is not there has been asked for once more.
func (r *streamRead) missAgain(c *Ctx, i int, f streamFrom) {
	if !r.ofGroup && !f.st.Exists() {
		c.Keys.Notify(keyspace.ClassMiss, "keymiss", r.keys[i])
	}
}

func (r *streamRead) openOne(c *Ctx, key []byte) (f streamFrom, err error) {
	if f.st, err = c.Keys.Reading().Stream(key); err != nil || !r.ofGroup {
		return f, err
	}
	f.group, err = f.st.Group(r.group)
	if err == nil && f.group == nil {
		err = errXReadNoGroup(key, r.group)
	}
	return f, err
}

// position reads the ID behind which to read.
func (r *streamRead) position(f *streamFrom, id []byte) (err error) {
	switch {
	case string(id) == "$" && r.ofGroup:
		return ErrXReadGroupDollar
	case string(id) == "$":
		f.after = f.st.LastID()
	case string(id) == ">" && !r.ofGroup:
		return ErrXReadGreater
	case string(id) == ">":
		f.fresh = true
	default:
		f.after, err = parseStreamID(id, 0)
		// The highest ID is how Redis itself says ">".
		f.fresh = r.ofGroup && f.after == keyspace.MaxStreamID
	}
	return err
}

// serve replies with what there is of one key, if anything, and reports whether there is.
func (r *streamRead) serve(c *Ctx, i int) (bool, error) {
	f := &r.from[i]
	mark := c.Out.Len()
	if c.Out.Proto() == 2 {
		c.Out.Array(2)
	}
	c.Out.Bulk(r.keys[i])
	ok, err := r.serveFrom(c, f)
	if !ok {
		c.Out.Truncate(mark)
	}
	return ok, err
}

func (r *streamRead) serveFrom(c *Ctx, f *streamFrom) (bool, error) {
	if f.group != nil {
		return r.serveMember(c, f)
	}
	ids, err := r.newEntries(c, f.st, f.after)
	return len(ids) > 0, err
}

// serveMember replies with entries for a consumer, which is made, and seen, even if there are none.
func (r *streamRead) serveMember(c *Ctx, f *streamFrom) (bool, error) {
	to, err := f.group.Meet(r.consumer)
	if err != nil {
		return false, err
	}
	if !f.fresh {
		return true, r.servePending(c, f, to)
	}
	ids, err := r.newEntries(c, f.st, f.group.LastID)
	switch {
	case err != nil:
		return false, err
	case r.noAck || len(ids) == 0:
		return len(ids) > 0, f.group.Pass(ids)
	}
	return true, f.group.Deliver(ids, to)
}

// newEntries replies with the entries behind an ID, if there are any, and returns their IDs.
func (r *streamRead) newEntries(c *Ctx, st *keyspace.Stream, after keyspace.StreamID) ([]keyspace.StreamID, error) {
	from, ok := after.Next()
	if !ok || st.LastID().Compare(from) < 0 {
		return nil, nil
	}
	return c.streamEntries(st, keyspace.StreamRange{From: from, To: keyspace.MaxStreamID}, r.count)
}

// servePending replies with entries that are pending for the consumer.
func (r *streamRead) servePending(c *Ctx, f *streamFrom, to *keyspace.Consumer) error {
	mark, n := c.Out.Len(), 0
	from, ok := f.after.Next()
	if !ok {
		c.Out.Array(0)
		return f.group.Save()
	}
	err := f.group.Redeliver(to, from, r.count, func(e keyspace.StreamEntry) {
		c.streamEntry(e)
		n++
	})
	c.Out.ArraySince(mark, n)
	return err
}

// wait makes the call wait for entries. "$" is then the last ID of now.
func (r *streamRead) wait(c *Ctx) error {
	for i, id := range r.ids {
		if string(id) == "$" {
			r.ids[i] = r.from[i].after.Append(nil)
		}
	}
	b := &Block{Keys: r.keys, Kind: keyspace.KindStream, Timeout: r.timeout, Expired: (*resp.Writer).NullArray}
	if r.ofGroup {
		b.Kind = keyspace.KindNone // that its group has gone is an error then, too
	}
	return c.Block(b)
}
