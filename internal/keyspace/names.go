package keyspace

import (
	"encoding/binary"
	"fmt"

	"github.com/elastickv/elastickv/store"
)

// Rows of the directory. Those of database 0 stand as written here; those of
// database n (until databases are swapped: see places) begin with "!db|", two digits and "|".
//
//	!redis|key|<key>                    what the key is: see entry
//	!redis|ttl|<expireAt 8><key>        empty; one for every key that expires, the soonest first
//	!redis|fttl|<soonest 8><key>        empty; one for every hash with fields that expire
//	!redis|home|<home>                  the key whose rows stand under home instead of under itself: see homeOf
//	!redis|size                         <keys 8><keys that expire 8>, and <keys with a home 8> if there are any
//
// The rows of collections follow the layouts of package store, for the key or for its home; a hash has besides
//
//	!hs|ttl|<len of key 4><key><expireAt 8><field>    empty; one for every field that expires
//
// and a large sorted set
//
//	!zs|cnt|<len of key 4><key>b<bound>               the bounds of the blocks of a group: see encodeCountBounds
//	!zs|cnt|<len of key 4><key>n<bound>               the members of each of them: see encodeCounts
//	!zs|cnt|<len of key 4><key>g                      the members of each group, if there are several: see encodeTotals
//
// All of it is part of the format; never change.
const (
	entryPrefix     = "!redis|key|"
	ttlPrefix       = "!redis|ttl|"
	fieldsTTLPrefix = "!redis|fttl|"
	homePrefix      = "!redis|home|"
	sizeName        = "!redis|size"
	fieldTTLPrefix  = "!hs|ttl|"
	countPrefix     = "!zs|cnt|"
)

// The rows of counts, by their first byte. A group has one of each of the first two, named by its bound.
const (
	countBoundsRow  byte = 'b'
	countMembersRow byte = 'n'
	countTotalsRow  byte = 'g'
)

// familyPrefixes cover every row that database 0 can have. Other databases have a prefix of their own.
var familyPrefixes = []string{"!redis|", "!hs|", "!st|", "!zs|", "!lst|", "!stream|"}

// dbPrefix begins every row of the database that stands under a number: see places.
func dbPrefix(db int) string { return dbPrefixes[db] }

var dbPrefixes = func() (all [Databases]string) {
	for db := 1; db < len(all); db++ {
		all[db] = fmt.Sprintf("!db|%02d|", db)
	}
	return all
}()

// row starts the name of a row: the database's prefix in a slice with room for n bytes more.
func (s *Space) row(n int) []byte {
	p := dbPrefix(s.place())
	return append(s.shared.bytes(len(p)+n), p...)
}

// scratch is row in a buffer that the next call reuses: for look-ups only.
func (s *Space) scratch() []byte { return append(s.buf[:0], dbPrefix(s.place())...) }

func (s *Space) entryName(key []byte) []byte {
	return append(append(s.row(len(entryPrefix)+len(key)), entryPrefix...), key...)
}

// lookupName is entryName in the scratch buffer.
func (s *Space) lookupName(key []byte) []byte {
	s.buf = append(append(s.scratch(), entryPrefix...), key...)
	return s.buf
}

func (s *Space) ttlName(expireAt uint64, key []byte) []byte {
	b := append(s.row(len(ttlPrefix)+8+len(key)), ttlPrefix...)
	return append(binary.BigEndian.AppendUint64(b, expireAt), key...)
}

func (s *Space) homeName(home []byte) []byte {
	return append(append(s.row(len(homePrefix)+len(home)), homePrefix...), home...)
}

// fieldsTTLName is the row of a hash in the index of those with fields that expire.
func (s *Space) fieldsTTLName(soonest uint64, key []byte) []byte {
	b := append(s.row(len(fieldsTTLPrefix)+8+len(key)), fieldsTTLPrefix...)
	return append(binary.BigEndian.AppendUint64(b, soonest), key...)
}

// fieldTTLScan is the prefix of the index of the fields of a hash that expire.
func (s *Space) fieldTTLScan(key []byte) []byte {
	b := append(s.row(len(fieldTTLPrefix)+4+len(key)+8), fieldTTLPrefix...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(key))), key...)
}

func (s *Space) fieldTTLName(key []byte, expireAt uint64, field []byte) []byte {
	return append(binary.BigEndian.AppendUint64(s.fieldTTLScan(key), expireAt), field...)
}

// hashFieldName is the row of a field of a hash.
func (s *Space) hashFieldName(key, field []byte) []byte {
	return store.AppendHashFieldKey(s.row(len(store.HashFieldPrefix)+4+len(key)+len(field)), key, field)
}

// countScan is the prefix of the counts of a sorted set, in a slice with room for n bytes more.
func (s *Space) countScan(key []byte, n int) []byte {
	return s.appendCountScan(s.row(len(countPrefix)+4+len(key)+n), key)
}

func (s *Space) appendCountScan(b, key []byte) []byte {
	b = append(b, countPrefix...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(key))), key...)
}

// PointReads returns the spans of rows that are written often and only ever looked up one by one: the counts of sorted
// sets, in all databases.
func PointReads() []store.Span {
	var spans []store.Span
	for db := range Databases {
		spans = append(spans, store.PrefixSpan([]byte(dbPrefix(db)+countPrefix)))
	}
	return spans
}

// withPrefix turns a name or prefix of package store into one of this database.
func (s *Space) withPrefix(name []byte) []byte {
	if s.place() == 0 {
		return name
	}
	return append(s.row(len(name)), name...)
}

// listName is the name under which a list's rows stand: list rows do not carry
// the length of their key, so it is put in front, and no list's rows lie
// between another's.
func (s *Space) listName(key []byte) []byte {
	b := binary.BigEndian.AppendUint32(s.shared.bytes(4+len(key)), uint32(len(key)))
	return append(b, key...)
}

// collectionPrefixes returns the prefixes of all rows that every key of the given
// kind has besides its directory entry, if they stand under key. The first is the whole name of one row, that
// of the length.
func (s *Space) collectionPrefixes(kind Kind, key []byte) [][]byte {
	var names [][]byte
	switch kind {
	case KindHash:
		names = [][]byte{store.HashMetaKey(key), store.HashFieldScanPrefix(key)}
	case KindSet:
		names = [][]byte{store.SetMetaKey(key), store.SetMemberScanPrefix(key)}
	case KindZSet:
		names = [][]byte{store.ZSetMetaKey(key), store.ZSetMemberScanPrefix(key), store.ZSetScoreScanPrefix(key)}
	case KindList:
		name := s.listName(key)
		names = [][]byte{store.ListMetaKey(name), append([]byte(store.ListItemPrefix), name...)}
	case KindStream:
		names = [][]byte{store.StreamMetaKey(key), store.StreamEntryScanPrefix(key), streamPartName(key)}
	}
	for i := range names {
		names[i] = s.withPrefix(names[i])
	}
	return names
}
