package store

import "fmt"

// CollectionKind is a type of collection that counts its elements with deltas. A
// delta is a change of a collection's length by a writer that does not own the
// collection's meta, which is called the base here. Two deltas do not conflict, for
// each has a key of its own. The length is the base and all deltas. Who writes what:
//
//   - A delta is written once, in the transaction that makes its change, under that
//     transaction's own commit timestamp, which no other transaction has. What it
//     says must follow from keys that the transaction reads or writes: a new field
//     counts one because the transaction writes the field's key, on which two that
//     both take the field for new conflict.
//   - A fold adds deltas to the base and deletes them, in one transaction. So at any
//     timestamp a delta is either there or in the base.
//   - An owner of the base, who writes it directly, adds to the base alone and leaves
//     deltas where they are. To take more than the base has, it folds first.
//   - Owners and folds of one store share one Committer. Writers of deltas need not,
//     but for those of lists: ListEnd has their rules.
//   - Rows of collections have no expiry of their own; a fold writes a base without.
type CollectionKind uint8

// The kinds of collections that count with deltas.
const (
	CollectionHash CollectionKind = iota
	CollectionSet
	CollectionZSet
	CollectionList
)

// String returns "hash", "set", "sorted set" or "list".
func (k CollectionKind) String() string {
	if c, err := k.counting(); err == nil {
		return c.name
	}
	return fmt.Sprintf("CollectionKind(%d)", uint8(k))
}

// extent says how many elements a collection has, and, of a list, which sequence
// number the first one has. As a change it is added to another one.
type extent struct {
	head int64 // 0 in whatever is not a list
	len  int64
}

// add returns e with d added, and whether that is in the range of int64.
func (e extent) add(d extent) (extent, bool) {
	sum := extent{head: e.head + d.head, len: e.len + d.len}
	return sum, !sumOverflows(e.head, d.head, sum.head) && !sumOverflows(e.len, d.len, sum.len)
}

// sumOverflows reports whether sum, which is a+b, has left the range of int64.
func sumOverflows(a, b, sum int64) bool { return (b >= 0) != (sum >= a) }

// valid reports whether a collection can be like this.
func (e extent) valid() bool { return e.len >= 0 && !addOverflows(e.head, e.len) }

// counting is what the kinds of collections differ in where they are counted.
type counting struct {
	name       string
	deltas     wideKind
	baseKey    func(userKey []byte) []byte
	parseBase  func(value []byte) (extent, error)
	parseDelta func(value []byte) (extent, error)
	// putBase returns the write that makes e, which is valid, the base.
	putBase func(baseKey []byte, e extent) (*KVPairMutation, error)
	// imitated reports whether a value is the base of another collection, under a
	// key that looks like a delta's. It is nil where no key can.
	imitated func(value []byte) bool
}

var countings = [...]counting{
	CollectionHash: lenCounting("hash", hashDeltaKind, HashMetaKey),
	CollectionSet:  lenCounting("set", setDeltaKind, SetMetaKey),
	CollectionZSet: lenCounting("sorted set", zsetDeltaKind, ZSetMetaKey),
	CollectionList: {
		name: "list", deltas: listDeltaKind, baseKey: ListMetaKey, putBase: putListBase, imitated: isListBase,
		parseBase: func(b []byte) (extent, error) {
			m, err := UnmarshalListMeta(b)
			return extent{head: m.Head, len: m.Len}, err
		},
		parseDelta: func(b []byte) (extent, error) {
			d, err := UnmarshalListMetaDelta(b)
			return extent{head: d.HeadDelta, len: d.LenDelta}, err
		},
	},
}

// lenCounting is of a kind whose meta is a length and nothing else. The tag of
// its deltas lies inside the tag of its metas, and yet no meta has a key that
// looks like a delta's: the "d|" would be the length of a user key of more than a
// gigabyte, and no store takes one.
func lenCounting(name string, deltas wideKind, baseKey func(userKey []byte) []byte) counting {
	return counting{
		name: name, deltas: deltas, baseKey: baseKey, putBase: putLenBase,
		parseBase: func(b []byte) (extent, error) {
			n, err := unmarshalLen(b, name+" meta")
			return extent{len: n}, err
		},
		parseDelta: func(b []byte) (extent, error) {
			n, err := unmarshalInt64(b, name+" meta delta")
			return extent{len: n}, err
		},
	}
}

func (k CollectionKind) counting() (*counting, error) {
	if int(k) >= len(countings) {
		return nil, fmt.Errorf("unknown kind of collection %d: hash, set, sorted set and list are 0 to %d", uint8(k), len(countings)-1)
	}
	return &countings[k], nil
}

// putLenBase removes the base of an empty collection: none counts as 0, and an
// empty collection leaves no trace.
func putLenBase(baseKey []byte, e extent) (*KVPairMutation, error) {
	if e.len == 0 {
		return &KVPairMutation{Op: OpTypeDelete, Key: baseKey}, nil
	}
	return &KVPairMutation{Op: OpTypePut, Key: baseKey, Value: marshalInt64(e.len)}, nil
}

// putListBase keeps the base of an empty list. It says where the next element
// goes, and deltas that come in meanwhile are relative to it.
func putListBase(baseKey []byte, e extent) (*KVPairMutation, error) {
	value, err := MarshalListMeta(ListMeta{Head: e.head, Len: e.len})
	return &KVPairMutation{Op: OpTypePut, Key: baseKey, Value: value}, err
}

// isListBase tells the base of a list whose user key imitates the tail of a delta
// key from a delta. A base has another size.
func isListBase(value []byte) bool { return len(value) == listMetaSize }
