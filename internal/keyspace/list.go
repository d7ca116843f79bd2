package keyspace

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// ErrListFull says that the positions at one end of a list are used up.
var ErrListFull = errors.New("keyspace: no room for more elements at this end of the list")

// Side is one end of a list.
type Side bool

// The ends of a list: Left has index 0.
const (
	Left  Side = false
	Right Side = true
)

// order is the direction of a scan that begins at the side.
func (s Side) order() store.Order {
	if s == Left {
		return store.Ascending
	}
	return store.Descending
}

// List is the list at one key. A list that is not there is empty. Two Lists of
// one key must not be in use at the same time.
//
// The element of index i stands in the row of sequence number head+i: an index
// is found without a search, both ends grow in place, and whatever happens in
// the middle moves rows, so that there is never a gap.
type List struct {
	collection
	name []byte // under which the rows stand
	head int64  // sequence number of the first element; head+n does not overflow
	n    int64  // number of elements; above 0 if and only if the key is there
}

// List opens the list at key.
func (s *Space) List(key []byte) (*List, error) {
	c, err := s.openCollection(key, KindList)
	if err != nil {
		return nil, err
	}
	l := room(s.shared.memory, func(m *Memory) *spare[List] { return &m.list })
	*l = List{collection: c, name: s.listName(c.home)}
	if !l.Exists() {
		return l, nil
	}
	return l, l.readMeta()
}

// readMeta reads where the list begins and how long it is. In the past its first and its last row tell.
func (l *List) readMeta() error {
	if l.s.tx.Past() {
		return l.readEnds()
	}
	l.s.buf = store.AppendListMetaKey(l.s.scratch(), l.name)
	row, ok, err := l.s.tx.Get(l.s.buf)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("keyspace: a list has no meta row")
	}
	m, err := store.UnmarshalListMeta(row.Value)
	if err != nil {
		return fmt.Errorf("keyspace: meta row of a list: %w", err)
	}
	if m.Len == 0 {
		return errEmptyList
	}
	l.head, l.n = m.Head, m.Len
	return nil
}

func (l *List) readEnds() error {
	prefix := l.s.withPrefix(store.AppendListItemKey(nil, l.name, 0))
	prefix = prefix[:len(prefix)-listPositionSize]
	var ends []int64
	var bad error
	for _, side := range []Side{Left, Right} {
		err := l.s.tx.Walk(store.PrefixSpan(prefix), side.order(), func(name []byte, _ txn.Row) bool {
			seq, ok := store.ExtractListItemSeq(name[len(dbPrefix(l.s.place())):], l.name)
			if ends = append(ends, seq); !ok {
				bad = fmt.Errorf("keyspace: %q is not the name of an element", name)
			}
			return false
		})
		if err != nil || bad != nil {
			return errors.Join(err, bad)
		}
	}
	if len(ends) < 2 {
		return errEmptyList
	}
	l.head, l.n = ends[0], ends[1]-ends[0]+1
	return nil
}

var errEmptyList = errors.New("keyspace: a list without elements is in the directory")

// writeMeta writes head and length, or removes row and entry of a list that has become empty.
func (l *List) writeMeta() error {
	name := store.AppendListMetaKey(l.s.row(len(store.ListMetaPrefix)+len(l.name)), l.name)
	if l.n == 0 {
		l.head = 0
		if err := l.s.tx.Delete(name); err != nil {
			return err
		}
		return l.dropEntry()
	}
	value, err := store.MarshalListMeta(store.ListMeta{Head: l.head, Len: l.n})
	if err != nil {
		return err
	}
	return l.s.tx.PutNewest(name, value)
}

// itemName is the name of the row of the element at index i.
func (l *List) itemName(i int64) []byte {
	row := l.s.row(len(store.ListItemPrefix) + len(l.name) + 8)
	return store.AppendListItemKey(row, l.name, l.head+i)
}

// put writes the element of index i.
func (l *List) put(i int64, value []byte) error { return l.s.tx.Put(l.itemName(i), value, 0) }

// Len returns the number of elements.
func (l *List) Len() int64 { return l.n }

// Index returns the element of index i, from 0 on, and whether there is one.
func (l *List) Index(i int64) ([]byte, bool, error) {
	if i < 0 || i >= l.n {
		return nil, false, nil
	}
	l.s.buf = store.AppendListItemKey(l.s.scratch(), l.name, l.head+i)
	row, ok, err := l.s.tx.Get(l.s.buf)
	if err == nil && !ok {
		err = l.errGap(i)
	}
	return row.Value, ok, err
}

func (l *List) errGap(i int64) error {
	return fmt.Errorf("keyspace: element %d of a list of %d is missing", i, l.n)
}

// Set replaces the element of index i, from 0 on, and reports whether there is one.
func (l *List) Set(i int64, value []byte) (bool, error) {
	if i < 0 || i >= l.n {
		return false, nil
	}
	l.s.changed(l.key)
	return true, l.put(i, value)
}

// Push adds values at one side, one after the other, so that the last of them
// ends up outermost. It fails with ErrListFull if they have no room.
func (l *List) Push(side Side, values ...[]byte) error {
	if len(values) == 0 {
		return nil
	}
	if err := l.extend(side, int64(len(values))); err != nil {
		return err
	}
	if err := l.ensure(KindList, encCompact); err != nil {
		return err
	}
	for k, v := range values {
		i := int64(len(values) - 1 - k)
		if side == Right {
			i = l.n - 1 - i
		}
		if err := l.put(i, v); err != nil {
			return err
		}
	}
	return l.writeMeta()
}

// extend makes the list k elements longer at one side. Their rows, and the meta
// row, are to be written then.
func (l *List) extend(side Side, k int64) error {
	if side == Left {
		if l.head < math.MinInt64+k {
			return ErrListFull
		}
		l.head -= k
	} else if l.head+l.n > math.MaxInt64-k {
		return ErrListFull
	}
	l.n += k
	return nil
}

// Pop removes up to n elements from one side and returns them, the outermost first.
func (l *List) Pop(side Side, n int64) ([][]byte, error) {
	n = min(n, l.n)
	if n <= 0 {
		return nil, nil
	}
	if n == 1 {
		return l.popOne(side)
	}
	r := ListRange{0, n}
	if side == Right {
		r = ListRange{l.n - n, l.n}
	}
	values, err := l.collect(r, side)
	if err != nil {
		return nil, err
	}
	return values, l.drop(side, n)
}

func (l *List) popOne(side Side) ([][]byte, error) {
	i, last := int64(0), l.n-1
	if side == Right {
		i, last = last, i
	}
	l.s.buf = store.AppendListItemKey(l.s.scratch(), l.name, l.head+i)
	end := len(l.s.buf)
	l.s.buf = store.AppendListItemKey(append(l.s.buf, dbPrefix(l.s.place())...), l.name, l.head+last)
	name := l.s.buf[:end:end]
	row, ok, err := l.s.tx.GetInTurn(name, txn.Turn{Prefix: name[:end-listPositionSize], Order: side.order(), Most: l.n, Last: l.s.buf[end:]})
	if err == nil && !ok {
		err = l.errGap(i)
	}
	if err != nil {
		return nil, err
	}
	return [][]byte{row.Value}, l.drop(side, 1)
}

// listPositionSize is how many bytes of the name of an element's row say where in the list it is: the last ones.
const listPositionSize = 8

// dropSingly is the number of elements up to which those that go away at one end
// are deleted row by row. It is larger than for a key that is deleted: a queue that
// is taken from in batches would leave a deleted span behind for each.
const dropSingly = 1024

// drop removes k elements at one side.
func (l *List) drop(side Side, k int64) error {
	if k == 0 {
		return nil
	}
	gone := ListRange{0, k}
	if side == Right {
		gone = ListRange{l.n - k, l.n}
	}
	if err := l.deleteItems(gone); err != nil {
		return err
	}
	if side == Left {
		l.head += k
	}
	l.n -= k
	l.s.changed(l.key)
	return l.writeMeta()
}

// deleteItems deletes the rows of the elements of r.
func (l *List) deleteItems(r ListRange) error {
	if r.To-r.From > dropSingly {
		return l.s.tx.DeleteSpan(store.Span{Start: l.itemName(r.From), End: l.itemName(r.To)})
	}
	for i := r.From; i < r.To; i++ {
		if err := l.s.tx.Delete(l.itemName(i)); err != nil {
			return err
		}
	}
	return nil
}

// Trim removes every element outside r, which may be empty but not larger than
// the list.
func (l *List) Trim(r ListRange) error {
	if !l.Exists() {
		return nil
	}
	l.s.changed(l.key)
	if r.To <= r.From {
		return l.drop(Left, l.n)
	}
	if err := l.drop(Right, l.n-r.To); err != nil {
		return err
	}
	return l.drop(Left, r.From)
}

// StoreList makes key a list of the given values, at least one, whatever it was before and without
// an expiry.
func (s *Space) StoreList(key []byte, values [][]byte) error {
	old, home, err := s.clearForRows(key)
	if err != nil {
		return err
	}
	e := entry{kind: KindList}.at(key, home)
	if err := s.write(key, old, e); err != nil {
		return err
	}
	l := &List{collection: s.collection(key, e), name: s.listName(home)}
	return l.Push(Right, values...)
}

// MoveElement takes the outermost element at one side of the list at src, adds
// it at a side of the list at dst, which may be the same, and returns it. It reports
// whether src had an element to give; if not, dst is not looked at.
func (s *Space) MoveElement(src, dst []byte, from, to Side) ([]byte, bool, error) {
	list, err := s.List(src)
	if err != nil || !list.Exists() {
		return nil, false, err
	}
	if bytes.Equal(src, dst) {
		return list.rotate(from, to)
	}
	target, err := s.List(dst)
	if err != nil {
		return nil, false, err
	}
	values, err := list.Pop(from, 1)
	if err != nil {
		return nil, false, err
	}
	value := bytes.Clone(values[0])
	return value, true, target.Push(to, value)
}

// rotate is MoveElement within one list, which is never empty meanwhile: it keeps its expiry.
func (l *List) rotate(from, to Side) ([]byte, bool, error) {
	if from == to || l.n == 1 {
		l.s.changed(l.key)
		i := int64(0)
		if from == Right {
			i = l.n - 1
		}
		return l.Index(i)
	}
	values, err := l.Pop(from, 1)
	if err != nil {
		return nil, false, err
	}
	value := bytes.Clone(values[0])
	return value, true, l.Push(to, value)
}
