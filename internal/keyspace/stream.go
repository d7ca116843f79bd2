package keyspace

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// ErrStreamID says that an ID is not above the last one of the stream.
var ErrStreamID = errors.New("keyspace: ID is not above the last one of the stream")

// Stream is the stream at one key. A stream that is not there is empty; one that
// has become empty stays. Two Streams of one key must not be in use at the same
// time, if either changes it.
//
// Each entry is a row, in the order of the IDs. Beside them there is a row for each
// run of entries that were added one after the other, a node: so a stream is cut at
// a place, or up to a number of entries, without a look at all those that go.
type Stream struct {
	collection
	meta   store.StreamMeta
	tally  streamTally
	fields [][]byte // of the entry that was read last
}

// StreamEntry is an entry of a stream.
type StreamEntry struct {
	ID     StreamID
	Fields [][]byte // names and values by turns
}

// Stream opens the stream at key.
func (s *Space) Stream(key []byte) (*Stream, error) {
	c, err := s.openCollection(key, KindStream)
	if err != nil {
		return nil, err
	}
	st := &Stream{collection: c}
	if !st.Exists() {
		return st, nil
	}
	return st, st.read()
}

func (st *Stream) read() error {
	st.s.buf = store.AppendStreamMetaKey(st.s.scratch(), st.home)
	row, ok, err := st.s.tx.Get(st.s.buf)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("keyspace: a stream has no meta row")
	}
	if st.meta, err = store.UnmarshalStreamMeta(row.Value); err != nil {
		return fmt.Errorf("keyspace: meta row of a stream: %w", err)
	}
	if row, _, err = st.s.tx.Get(st.part(tallyTag, 0)); err == nil {
		st.tally, err = parseStreamTally(row.Value)
	}
	return err
}

func (st *Stream) writeMeta() error {
	value, err := store.MarshalStreamMeta(st.meta)
	if err != nil {
		return err
	}
	return st.s.tx.Put(st.metaName(), value, 0)
}

func (st *Stream) writeTally() error { return st.s.tx.Put(st.part(tallyTag, 0), st.tally.encode(), 0) }

// Len returns the number of entries.
func (st *Stream) Len() int64 { return st.meta.Length }

// LastID returns the highest ID that an entry has had, or what SetID has made of it.
func (st *Stream) LastID() StreamID { return StreamID{st.meta.LastMs, st.meta.LastSeq} }

// FirstID returns the ID of the first entry, the zero ID if there is none.
func (st *Stream) FirstID() StreamID { return st.tally.first }

// MaxDeletedID returns the highest ID of an entry that Delete has removed.
func (st *Stream) MaxDeletedID() StreamID { return st.tally.maxDeleted }

// EntriesAdded returns how many entries were ever added, or what SetID has made of it. It is below 0
// once it has overflowed.
func (st *Stream) EntriesAdded() int64 { return st.ordinal() + st.tally.shift }

// Nodes returns the number of nodes.
func (st *Stream) Nodes() int64 { return st.tally.nodes }

// ordinal is that of the next entry.
func (st *Stream) ordinal() int64 { return st.meta.Length + st.tally.removed }

func (st *Stream) setLast(id StreamID) { st.meta.LastMs, st.meta.LastSeq = id.Ms, id.Seq }

// Create makes an empty stream if the key is not there.
func (st *Stream) Create() error {
	if st.Exists() {
		return nil
	}
	if err := st.ensure(KindStream, encCompact); err != nil {
		return err
	}
	if err := st.writeTally(); err != nil {
		return err
	}
	return st.writeMeta()
}

// Add appends an entry, whose fields are names and values by turns and not
// none. ErrStreamID if the ID is not above the last one.
func (st *Stream) Add(id StreamID, fields [][]byte) error {
	if id.Compare(st.LastID()) <= 0 {
		return ErrStreamID
	}
	if err := st.ensure(KindStream, encCompact); err != nil {
		return err
	}
	if err := st.s.tx.Put(st.entryName(id), encodeStreamFields(fields), 0); err != nil {
		return err
	}
	if st.tailIsFull() {
		if err := st.beginNode(id); err != nil {
			return err
		}
	}
	st.meta.Length++
	st.setLast(id)
	return st.writeMeta()
}

// SetID sets the last ID and, unless they are below 0 or zero, the number of
// entries ever added and the highest ID deleted. The caller has made sure that
// they fit the entries that are there.
func (st *Stream) SetID(last StreamID, added int64, maxDeleted StreamID) error {
	st.setLast(last)
	if added >= 0 {
		st.setAdded(added)
	}
	if !maxDeleted.IsZero() {
		st.tally.maxDeleted = maxDeleted
	}
	if err := st.writeTally(); err != nil {
		return err
	}
	return st.writeMeta()
}

// Adopt is SetID for a stream that is a copy of one elsewhere, with whatever number of entries ever
// added that has.
func (st *Stream) Adopt(last StreamID, added int64, maxDeleted StreamID) error {
	st.setAdded(added)
	return st.SetID(last, -1, maxDeleted)
}

func (st *Stream) setAdded(added int64) { st.tally.shift = added - st.ordinal() }

// Delete removes the entry with the given ID and reports whether it was there.
func (st *Stream) Delete(id StreamID) (bool, error) {
	there, err := st.Has(id)
	if err != nil || !there {
		return false, err
	}
	if err := st.leaveNode(id); err != nil {
		return false, err
	}
	if err := st.s.tx.Delete(st.entryName(id)); err != nil {
		return false, err
	}
	st.meta.Length--
	st.tally.removed++
	if id.Compare(st.tally.maxDeleted) > 0 {
		st.tally.maxDeleted = id
	}
	if id == st.tally.first {
		if st.tally.first, _, err = st.seek(id); err != nil {
			return false, err
		}
	}
	st.s.changed(st.key)
	if err := st.writeTally(); err != nil {
		return false, err
	}
	return true, st.writeMeta()
}

// Has reports whether there is an entry with the given ID.
func (st *Stream) Has(id StreamID) (bool, error) {
	if st.meta.Length == 0 || id.Compare(st.tally.first) < 0 {
		return false, nil
	}
	_, ok, err := st.s.tx.Get(st.entryName(id))
	return ok, err
}

// Entry returns the entry with the given ID, if there is one. Its Fields are
// valid until the next entry is read.
func (st *Stream) Entry(id StreamID) (StreamEntry, bool, error) {
	if !st.Exists() {
		return StreamEntry{}, false, nil
	}
	row, ok, err := st.s.tx.Get(st.entryName(id))
	if err != nil || !ok {
		return StreamEntry{}, false, err
	}
	st.fields, err = parseStreamFields(st.fields[:0], row.Value)
	return StreamEntry{id, st.fields}, err == nil, err
}

// seek returns the first entry with the given ID or a later one. Of an empty
// stream, and behind its end, there is none.
func (st *Stream) seek(id StreamID) (first StreamID, ok bool, err error) {
	err = st.walkIDs(StreamRange{From: id, To: MaxStreamID}, func(found StreamID, _ txn.Row) bool {
		first, ok = found, true
		return false
	})
	return first, ok, err
}

// Highest returns the ID of the last entry that is there, the zero ID if there is none.
func (st *Stream) Highest() (StreamID, error) {
	var last StreamID
	err := st.walkIDs(StreamRange{To: MaxStreamID, Reverse: true}, func(id StreamID, _ txn.Row) bool {
		last = id
		return false
	})
	return last, err
}

// StreamRange is the IDs from From to To, both included.
type StreamRange struct {
	From, To StreamID
	Reverse  bool // from the highest to the lowest
}

// AllStreamIDs is the range of all IDs.
func AllStreamIDs() StreamRange { return StreamRange{To: MaxStreamID} }

// Walk calls fn for the entries of r until it returns false. fn must not write;
// Fields are valid only during the call.
func (st *Stream) Walk(r StreamRange, fn func(StreamEntry) bool) error {
	var bad error
	err := st.walkIDs(r, func(id StreamID, row txn.Row) bool {
		if st.fields, bad = parseStreamFields(st.fields[:0], row.Value); bad != nil {
			return false
		}
		return fn(StreamEntry{id, st.fields})
	})
	return errors.Join(err, bad)
}

// walkIDs is Walk over rows whose values are not looked at. It begins at the first
// entry at the earliest, so that it does not pass all those that are gone.
func (st *Stream) walkIDs(r StreamRange, fn func(StreamID, txn.Row) bool) error {
	if st.meta.Length == 0 {
		return nil
	}
	if r.From.Compare(st.tally.first) < 0 {
		r.From = st.tally.first
	}
	if r.From.Compare(r.To) > 0 {
		return nil
	}
	prefix := st.s.withPrefix(store.StreamEntryScanPrefix(st.home))
	return st.walkRows(prefix, r, fn)
}

// walkRows calls fn for the rows under prefix whose names end in the IDs of r.
func (st *Stream) walkRows(prefix []byte, r StreamRange, fn func(StreamID, txn.Row) bool) error {
	var bad error
	err := st.s.tx.Walk(idSpan(prefix, r.From, r.To), store.Order(r.Reverse), func(name []byte, row txn.Row) bool {
		var id StreamID
		if id, bad = idBehind(name, len(prefix)); bad != nil {
			return false
		}
		return fn(id, row)
	})
	return errors.Join(err, bad)
}

// takeRows returns copies of the first rows that walkRows would give, at most limit; below 0, all.
func (st *Stream) takeRows(prefix []byte, r StreamRange, limit int64) (rows []streamRow, err error) {
	if limit == 0 {
		return nil, nil
	}
	err = st.walkRows(prefix, r, func(id StreamID, row txn.Row) bool {
		rows = append(rows, streamRow{id, bytes.Clone(row.Value)})
		return limit < 0 || int64(len(rows)) < limit
	})
	return rows, err
}

// streamRow is a row whose name ends in an ID.
type streamRow struct {
	id    StreamID
	value []byte
}
