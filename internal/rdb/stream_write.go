package rdb

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Bounds of a node of a stream, as Redis has them by default.
const (
	streamNodeBytes   = 4096
	streamNodeEntries = 100
)

func (w *writer) id(id ID) {
	w.length(id.Ms)
	w.length(id.Seq)
}

func appendID(dst []byte, id ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.Ms), id.Seq)
}

func (s *Stream) write(w *writer) {
	kind := byte(typeStream2)
	if s.tellsActivity() {
		kind, w.version = typeStream3, versionActive
	}
	w.kind(kind)
	nodes := streamNodes(s.Entries)
	w.length(uint64(len(nodes)))
	for _, n := range nodes {
		w.string(appendID(nil, n[0].ID))
		w.string(packNode(n))
	}
	w.length(uint64(len(s.Entries)))
	w.id(s.LastID)
	var first ID
	if len(s.Entries) > 0 {
		first = s.Entries[0].ID
	}
	w.id(first)
	w.id(s.MaxDeletedID)
	w.length(s.EntriesAdded)
	w.length(uint64(len(s.Groups)))
	for _, g := range s.Groups {
		w.group(g, kind)
	}
}

// tellsActivity reports whether a consumer has asked for entries since it got some. An older Redis, which cannot read that, takes
// both moments for one.
func (s *Stream) tellsActivity() bool {
	return slices.ContainsFunc(s.Groups, func(g Group) bool {
		return slices.ContainsFunc(g.Consumers, func(c Consumer) bool { return c.ActiveAt != c.SeenAt })
	})
}

// streamNodes divides entries into nodes.
func streamNodes(entries []Entry) [][]Entry {
	var nodes [][]Entry
	from, size := 0, 0
	for i, e := range entries {
		n := 0
		for _, f := range e.Fields {
			n += len(f)
		}
		if i > from && (size+n > streamNodeBytes || i-from == streamNodeEntries) {
			nodes = append(nodes, entries[from:i])
			from, size = i, 0
		}
		size += n
	}
	if from < len(entries) {
		nodes = append(nodes, entries[from:])
	}
	return nodes
}

// packNode makes the listpack of a node, whose ID and names are those of its first entry.
func packNode(entries []Entry) []byte {
	first := entries[0]
	l := newListpack()
	l.addInt(int64(len(entries)))
	l.addInt(0)
	l.addInt(int64(len(first.Fields) / 2))
	for i := 0; i < len(first.Fields); i += 2 {
		l.add(first.Fields[i])
	}
	l.addInt(0)
	for _, e := range entries {
		l.addEntry(e, first)
	}
	return l.finish()
}

func (l *listpackWriter) addEntry(e, first Entry) {
	flags, count := int64(0), int64(4+len(e.Fields))
	same := sameNames(e.Fields, first.Fields)
	if same {
		flags, count = flagSameFields, int64(3+len(e.Fields)/2)
	}
	l.addInt(flags)
	l.addInt(int64(e.ID.Ms - first.ID.Ms))
	l.addInt(int64(e.ID.Seq - first.ID.Seq))
	if !same {
		l.addInt(int64(len(e.Fields) / 2))
	}
	for i, f := range e.Fields {
		if !same || i%2 == 1 {
			l.add(f)
		}
	}
	l.addInt(count)
}

// sameNames reports whether two lists of names and values have the same names.
func sameNames(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i += 2 {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (w *writer) group(g Group, kind byte) {
	w.string(g.Name)
	w.id(g.LastID)
	w.length(uint64(g.EntriesRead))
	w.length(uint64(len(g.Pending)))
	for _, p := range g.Pending {
		w.b = appendID(w.b, p.ID)
		w.moment(p.DeliveredAt)
		w.length(p.Deliveries)
	}
	owned := make([][]byte, len(g.Consumers)) // their IDs, one behind the other
	for _, p := range g.Pending {
		owned[p.Consumer] = appendID(owned[p.Consumer], p.ID)
	}
	w.length(uint64(len(g.Consumers)))
	for i, c := range g.Consumers {
		w.string(c.Name)
		w.moment(c.SeenAt)
		if kind == typeStream3 {
			w.moment(c.ActiveAt)
		}
		w.length(uint64(len(owned[i]) / idSize))
		w.b = append(w.b, owned[i]...)
	}
}
