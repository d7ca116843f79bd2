package keyspace

import (
	"encoding/binary"

	"github.com/elastickv/elastickv/store"
)

// streamPartPrefix begins the rows of a stream beside its meta and its entries,
// which follow the layouts of package store. key and names of groups and consumers
// may hold any bytes, so each but a last one has its length in front, and no
// stream's or group's rows lie between another's.
//
//	!stream|part|<len 4><key> t                                             the tally
//	!stream|part|<len 4><key> n <id 16>                                     a node, by the ID of its first entry
//	!stream|part|<len 4><key> g <group>                                     a group
//	!stream|part|<len 4><key> m <len 4><group> c <consumer>                 a consumer
//	!stream|part|<len 4><key> m <len 4><group> p <id 16>                    a pending entry
//	!stream|part|<len 4><key> m <len 4><group> o <len 4><consumer><id 16>   the same, by its consumer
const streamPartPrefix = "!stream|part|" // part of the format; never change

// The tags of the parts; part of the format, never change.
const (
	tallyTag    = 't'
	nodeTag     = 'n'
	groupTag    = 'g'
	memberTag   = 'm'
	consumerTag = 'c'
	pendingTag  = 'p'
	ownedTag    = 'o'
)

// appendName appends a name with its length.
func appendName(dst, name []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(name))), name...)
}

func appendStreamID(dst []byte, id StreamID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.Ms), id.Seq)
}

// streamPartName is what the rows of the parts of the stream at key begin with in database 0.
func streamPartName(key []byte) []byte {
	return appendName(append(make([]byte, 0, len(streamPartPrefix)+4+len(key)), streamPartPrefix...), key)
}

// part begins the name of a row with room for n bytes behind the tag.
func (st *Stream) part(tag byte, n int) []byte {
	b := append(st.s.row(len(streamPartPrefix)+5+len(st.home)+n), streamPartPrefix...)
	return append(appendName(b, st.home), tag)
}

func (st *Stream) metaName() []byte {
	return store.AppendStreamMetaKey(st.s.row(len(store.StreamMetaPrefix)+4+len(st.home)), st.home)
}

func (st *Stream) entryName(id StreamID) []byte {
	row := st.s.row(len(store.StreamEntryPrefix) + 4 + len(st.home) + store.StreamIDBytes)
	return store.AppendStreamEntryKey(row, st.home, id.Ms, id.Seq)
}

func (st *Stream) nodeName(id StreamID) []byte {
	return appendStreamID(st.part(nodeTag, store.StreamIDBytes), id)
}

func (st *Stream) groupName(group []byte) []byte {
	return append(st.part(groupTag, len(group)), group...)
}

// member begins the name of a row of the group with room for n bytes behind the tag.
func (g *Group) member(tag byte, n int) []byte {
	return append(appendName(g.st.part(memberTag, 5+len(g.name)+n), g.name), tag)
}

// membersPrefix is what all rows of the group but its own begin with.
func (g *Group) membersPrefix() []byte {
	return appendName(g.st.part(memberTag, 4+len(g.name)), g.name)
}

func (g *Group) consumerName(name []byte) []byte {
	return append(g.member(consumerTag, len(name)), name...)
}

func (g *Group) pendingName(id StreamID) []byte {
	return appendStreamID(g.member(pendingTag, store.StreamIDBytes), id)
}

// ownedPrefix is what the rows of the pending entries of a consumer begin with.
func (g *Group) ownedPrefix(consumer []byte) []byte {
	return appendName(g.member(ownedTag, 4+len(consumer)+store.StreamIDBytes), consumer)
}

func (g *Group) ownedName(consumer []byte, id StreamID) []byte {
	return appendStreamID(g.ownedPrefix(consumer), id)
}

// idSpan is the rows under prefix whose names end in the IDs from first to last.
func idSpan(prefix []byte, first, last StreamID) store.Span {
	prefix = prefix[:len(prefix):len(prefix)]
	return store.Span{Start: appendStreamID(prefix, first), End: append(appendStreamID(prefix, last), 0)}
}

// idBehind reads the ID that a row's name holds behind n bytes.
func idBehind(name []byte, n int) (StreamID, error) {
	ms, seq, ok := store.DecodeStreamID(name[min(n, len(name)):])
	if !ok {
		return StreamID{}, errStreamRow("name", name)
	}
	return StreamID{ms, seq}, nil
}
