package rdb

import "encoding/binary"

// The entries of a stream are in nodes: an ID, as 16 bytes, and a listpack, whose
// elements are
//
//	entries, deleted entries, n, n names, 0
//
// and for each entry, deleted or not,
//
//	flags, ms, seq, names and values, elements of this entry without this one
//
// ms and seq are counted from the node's ID. With flagSameFields, only values stand
// there, and the names are those of the node; else it is their number, and names and
// values by turns.
const (
	flagDeleted    = 1
	flagSameFields = 2
	idSize         = 16
)

func (r *reader) id() ID { return ID{r.length(), r.length()} }

// rawID reads an ID as 16 bytes.
func (r *reader) rawID() ID { return parseID(r.bytes(idSize)) }

func parseID(b []byte) ID {
	if len(b) != idSize {
		return ID{}
	}
	return ID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (r *reader) stream(kind byte) Value {
	s := &Stream{}
	for n := r.length(); n > 0 && r.err == nil; n-- {
		r.streamNode(s)
	}
	length := r.length()
	s.LastID = r.id()
	if kind == typeStream {
		s.EntriesAdded = length
	} else {
		r.id() // that of the first entry
		s.MaxDeletedID = r.id()
		s.EntriesAdded = r.length()
	}
	r.check(length == uint64(len(s.Entries)))
	if n := len(s.Entries); n > 0 {
		r.check(s.Entries[n-1].ID.Compare(s.LastID) <= 0)
	}
	names := make(nameSet)
	s.Groups = make([]Group, 0, r.count(5, groupSize))
	for range cap(s.Groups) {
		if r.err != nil {
			return s
		}
		g := r.group(s, kind)
		names.add(r, g.Name)
		s.Groups = append(s.Groups, g)
	}
	return s
}

// streamNode reads a node and adds its entries to s.
func (r *reader) streamNode(s *Stream) {
	id := r.string()
	r.check(len(id) == idSize)
	elements := r.listpack(r.string())
	defer r.release(elements)
	l := packs{r: r, rest: elements}
	node := parseID(id)
	entries, deleted := l.count(), l.count()
	names := r.packBytes(l.take(l.count()))
	r.check(l.integer() == 0)
	for len(l.rest) > 0 && r.err == nil {
		e, flags := l.entry(node, names)
		if flags&flagDeleted != 0 {
			deleted--
			continue
		}
		entries--
		if n := len(s.Entries); n > 0 {
			r.check(s.Entries[n-1].ID.Compare(e.ID) < 0)
		}
		r.check(e.ID != ID{})
		if r.take(grown * entrySize); r.err != nil {
			return
		}
		s.Entries = append(s.Entries, e)
	}
	r.check(entries == 0 && deleted == 0)
}

// packs are the elements of a node that are still to be read.
type packs struct {
	r    *reader
	rest []packed
}

func (l *packs) take(n int64) []packed {
	if n < 0 || n > int64(len(l.rest)) {
		l.r.fail()
		return nil
	}
	out := l.rest[:n]
	l.rest = l.rest[n:]
	return out
}

func (l *packs) integer() int64 {
	e := l.take(1)
	if e == nil {
		return 0
	}
	n, ok := e[0].integer()
	l.r.check(ok)
	return n
}

// count reads a number that is not negative.
func (l *packs) count() int64 {
	n := l.integer()
	l.r.check(n >= 0)
	return n
}

// entry reads an entry. It accounts for the names of the node's fields each time: so often
// they are stored.
func (l *packs) entry(node ID, names [][]byte) (e Entry, flags int64) {
	flags = l.integer()
	e.ID = ID{node.Ms + uint64(l.integer()), node.Seq + uint64(l.integer())}
	elements := 3 + int64(len(names))
	if flags&flagSameFields != 0 {
		values := l.take(int64(len(names)))
		if l.r.take(int64(len(values)) * 2 * sliceSize); l.r.err == nil {
			e.Fields = make([][]byte, 0, 2*len(values))
		}
		for i, v := range values {
			l.r.take(int64(len(names[i])))
			e.Fields = append(e.Fields, names[i], l.r.packString(v))
		}
	} else {
		n := l.count()
		l.r.check(n <= int64(len(l.rest))/2)
		if l.r.err == nil {
			e.Fields = l.r.packBytes(l.take(2 * n))
			elements = 4 + 2*n
		}
	}
	l.r.check(l.integer() == elements && (len(e.Fields) > 0 || flags&flagDeleted != 0))
	return e, flags
}

func (r *reader) group(s *Stream, kind byte) Group {
	g := Group{Name: r.string(), LastID: r.id()}
	if kind == typeStream {
		g.EntriesRead = s.estimateRead(g.LastID)
	} else {
		g.EntriesRead = int64(r.length())
	}
	byID := make(map[ID]int)
	g.Pending = make([]Pending, 0, r.count(idSize+8+1, pendingSize+idSize+nameSize))
	for range cap(g.Pending) {
		p := Pending{ID: r.rawID(), Consumer: -1, DeliveredAt: r.moment(), Deliveries: r.length()}
		_, twice := byID[p.ID]
		r.check(!twice)
		byID[p.ID] = len(g.Pending)
		g.Pending = append(g.Pending, p)
	}
	names := make(nameSet)
	g.Consumers = make([]Consumer, 0, r.count(1+8+1, consumerSize))
	for range cap(g.Consumers) {
		if r.err != nil {
			return g
		}
		c := Consumer{Name: r.string(), SeenAt: r.moment()}
		c.ActiveAt = c.SeenAt
		if kind == typeStream3 {
			c.ActiveAt = r.moment()
		}
		names.add(r, c.Name)
		r.owned(&g, byID)
		g.Consumers = append(g.Consumers, c)
	}
	for _, p := range g.Pending {
		r.check(p.Consumer >= 0)
	}
	return g
}

// owned reads which pending entries the next consumer of g has.
func (r *reader) owned(g *Group, byID map[ID]int) {
	for n := r.length(); n > 0 && r.err == nil; n-- {
		i, ok := byID[r.rawID()]
		if !ok || g.Pending[i].Consumer >= 0 {
			r.fail()
			return
		}
		g.Pending[i].Consumer = len(g.Consumers)
	}
}

// estimateRead returns how many entries a group has read whose last one is id, as far
// as that can be told; -1 if it cannot.
func (s *Stream) estimateRead(id ID) int64 {
	switch {
	case s.EntriesAdded == 0:
		return 0
	case len(s.Entries) == 0 && id.Compare(s.LastID) <= 0, id == s.LastID:
		return int64(s.EntriesAdded)
	case len(s.Entries) == 0, id.Compare(s.LastID) > 0:
		return -1
	}
	switch id.Compare(s.Entries[0].ID) {
	case -1:
		return int64(s.EntriesAdded) - int64(len(s.Entries))
	case 0:
		return int64(s.EntriesAdded) - int64(len(s.Entries)) + 1
	}
	return -1
}
