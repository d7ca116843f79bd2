package lua

import "math"

// Table is a Lua table: an array part for the keys 1 to n, and a hash part for the rest.
// Sizes, places and the order of traversal are those of the reference implementation, so
// that pairs, next and # answer the same.
//
// The hash part is a chained scatter table with Brent's variation: a key that collides with
// one that does not sit in its own main position moves that one away.
//
// Get and Set are raw: they call no metamethod. Set does not look at ReadOnly.
type Table struct {
	array []Value
	nodes []node // none, or a power of two
	free  int    // nodes[free:] hold keys, or were found to
	meta  *Table

	// ReadOnly makes programs' assignments, and rawset, table.insert and setmetatable, fail.
	ReadOnly bool

	id    uint32 // tells tables apart, in hashes and in tostring
	epoch uint32 // the census that has counted it
	owner *State
}

// node is one key of the hash part. A key without a value stays until the next rehash, so
// that a traversal may clear fields.
type node struct {
	key, val Value
	next     int32 // the place of the next node of the chain, plus one; 0 ends it
}

const (
	sizeofValue = 16
	sizeofNode  = 40
	sizeofTable = 96

	arrayBitsMax = 26 // an array part holds at most 2^26 values
)

// smallArray is up to how many values an array part lies in the same piece of memory as its table.
const smallArray = 4

type smallTable struct {
	table  Table
	values [smallArray]Value
}

// NewTable returns an empty table with room for that many values in the array part and
// in the hash part. If they do not fit into the memory, the program that runs ends.
func (s *State) NewTable(array, hash int) *Table {
	s.charge(sizeofTable)
	s.lastID++
	if hash == 0 && 0 < array && array <= smallArray {
		s.charge(sizeofValue * smallArray)
		small := &smallTable{table: Table{owner: s, id: s.lastID}}
		small.table.array = small.values[:array:array]
		return &small.table
	}
	t := &Table{owner: s, id: s.lastID}
	if array > 0 || hash > 0 {
		t.resize(array, hash)
	}
	return t
}

// Metatable returns the table's metatable, or nil.
func (t *Table) Metatable() *Table { return t.meta }

// SetMetatable makes m, which may be nil, the table's metatable.
func (t *Table) SetMetatable(m *Table) { t.meta = m }

// Get returns the value of key k, or Nil.
func (t *Table) Get(k Value) Value {
	switch {
	case k.isNumber():
		f := k.number()
		if n := int(f); float64(n) == f {
			return t.GetInt(n)
		}
		return t.getHashed(k)
	case k.isString():
		return t.getString(k)
	case k.IsNil():
		return Nil
	default:
		return t.getHashed(k)
	}
}

// GetInt returns the value of key n, or Nil.
func (t *Table) GetInt(n int) Value {
	if uint(n-1) < uint(len(t.array)) {
		return t.array[n-1]
	}
	if len(t.nodes) == 0 {
		return Nil
	}
	return t.getHashed(Number(float64(n)))
}

// GetField returns the value of the string key name, or Nil.
func (t *Table) GetField(name string) Value { return t.getString(String(name)) }

func (t *Table) getString(k Value) Value {
	if len(t.nodes) == 0 {
		return Nil
	}
	if k.strLen() > hashedMax {
		return t.getHashed(k)
	}
	n := &t.nodes[int(k.hash())&(len(t.nodes)-1)]
	for {
		if n.key.bits == k.bits && !n.key.isNumber() && (n.key.ref == k.ref || n.key.str() == k.str()) {
			return n.val
		}
		if n.next == 0 {
			return Nil
		}
		t.owner.budget-- // keys can be chosen so that they all share one chain
		n = &t.nodes[n.next-1]
	}
}

func (t *Table) getHashed(k Value) Value {
	if n := t.find(k); n != nil {
		return n.val
	}
	return Nil
}

// find returns the node of key k, or nil.
func (t *Table) find(k Value) *node {
	if len(t.nodes) == 0 {
		return nil
	}
	n := &t.nodes[t.mainPosition(k)]
	for !RawEqual(n.key, k) {
		if n.next == 0 {
			return nil
		}
		t.owner.budget--
		n = &t.nodes[n.next-1]
	}
	return n
}

// Set gives key k the value v; Nil removes it. It panics with an *Error if k is nil or NaN.
// If the table does not fit into the memory any more, the program that runs ends.
func (t *Table) Set(k, v Value) { *t.slot(k) = v }

// SetInt gives key n the value v.
func (t *Table) SetInt(n int, v Value) {
	if uint(n-1) < uint(len(t.array)) {
		t.array[n-1] = v
		return
	}
	t.Set(Number(float64(n)), v)
}

// SetField gives the string key name the value v.
func (t *Table) SetField(name string, v Value) { t.Set(String(name), v) }

// Append gives the key after Len the value v.
func (t *Table) Append(v Value) { t.SetInt(t.Len()+1, v) }

// slot returns the place of key k's value, which it creates. The place is good until the
// next slot.
func (t *Table) slot(k Value) *Value {
	switch {
	case k.isNumber():
		f := k.number()
		if n := int(f); uint(n-1) < uint(len(t.array)) && float64(n) == f {
			return &t.array[n-1]
		}
		if math.IsNaN(f) {
			panic(errorString("table index is NaN"))
		}
	case k.IsNil():
		panic(errorString("table index is nil"))
	}
	if n := t.find(k); n != nil {
		return &n.val
	}
	return t.insert(k)
}

// insert adds key k, which the table does not have.
func (t *Table) insert(k Value) *Value {
	if len(t.nodes) == 0 {
		t.rehash(k)
		return t.slot(k)
	}
	at := t.mainPosition(k)
	if main := &t.nodes[at]; !main.val.IsNil() {
		free := t.freeNode()
		if free < 0 {
			t.rehash(k)
			return t.slot(k)
		}
		other := t.mainPosition(main.key)
		if other != at {
			for int(t.nodes[other].next-1) != at {
				other = int(t.nodes[other].next - 1)
				t.owner.budget--
			}
			t.nodes[other].next = int32(free + 1)
			t.nodes[free] = *main
			main.next = 0
			main.val = Nil
		} else {
			t.nodes[free].next = main.next
			main.next = int32(free + 1)
			at = free
		}
	}
	t.nodes[at].key = k
	return &t.nodes[at].val
}

// freeNode returns a place that no key has taken since the last rehash, or -1.
func (t *Table) freeNode() int {
	for t.free > 0 {
		t.free--
		if t.nodes[t.free].key.IsNil() {
			return t.free
		}
	}
	return -1
}

// mainPosition returns the place where key k, which is not nil, belongs. There are nodes.
func (t *Table) mainPosition(k Value) int {
	size := uint32(len(t.nodes))
	switch {
	case k.isNumber():
		if k.number() == 0 {
			return 0
		}
		return int((uint32(k.bits) + uint32(k.bits>>32)) % ((size - 1) | 1))
	case k.isString():
		if k.strLen() > hashedMax {
			t.owner.budget -= k.strLen() / bytesPerStep
		}
		return int(k.hash() & (size - 1))
	}
	switch Kind(k.bits >> kindShift) {
	case KindBool:
		return int(uint32(k.bits&1) & (size - 1))
	case KindTable:
		return int(k.table().id % ((size - 1) | 1))
	case KindFunction:
		return int(k.function().id % ((size - 1) | 1))
	case KindUserdata:
		return 0 // there is only Null
	default:
		return int(k.thread().id % ((size - 1) | 1))
	}
}

// Len returns a border: an n with t[n] not nil and t[n+1] nil, or 0 if t[1] is nil.
func (t *Table) Len() int {
	n := len(t.array)
	if n > 0 && t.array[n-1].IsNil() {
		return borderBetween(0, n, t.GetInt)
	}
	if len(t.nodes) == 0 {
		return n
	}
	low, high := n, n+1
	for !t.GetInt(high).IsNil() {
		low = high
		if high > math.MaxInt32/2 {
			return t.slowBorder()
		}
		high *= 2
	}
	return borderBetween(low, high, t.GetInt)
}

// borderBetween finds a border by halving: the value at low is there (or low is 0), the one
// at high is nil.
func borderBetween(low, high int, get func(int) Value) int {
	for high-low > 1 {
		if mid := (low + high) / 2; get(mid).IsNil() {
			high = mid
		} else {
			low = mid
		}
	}
	return low
}

func (t *Table) slowBorder() int {
	n := 1
	for !t.GetInt(n).IsNil() {
		n++
	}
	t.owner.budget -= n
	return n - 1
}

// Next returns the key and value after key k in the order of traversal, the first ones after
// Nil, and Nil after the last. It panics with an *Error if k is not a key of t.
func (t *Table) Next(k Value) (key, val Value) {
	i := t.indexOf(k)
	for ; i < len(t.array); i++ {
		if !t.array[i].IsNil() {
			return Number(float64(i + 1)), t.array[i]
		}
		t.owner.budget-- // a program may look for the first key of a large empty table again and again
	}
	for i -= len(t.array); i < len(t.nodes); i++ {
		if n := &t.nodes[i]; !n.val.IsNil() {
			return n.key, n.val
		}
		t.owner.budget--
	}
	return Nil, Nil
}

// indexOf returns the place after key k in a traversal.
func (t *Table) indexOf(k Value) int {
	if k.IsNil() {
		return 0
	}
	if k.isNumber() {
		f := k.number()
		if n := int(f); float64(n) == f && uint(n-1) < uint(len(t.array)) {
			return n
		}
	}
	if len(t.nodes) > 0 {
		at := t.mainPosition(k)
		for !RawEqual(t.nodes[at].key, k) {
			if t.nodes[at].next == 0 {
				panic(errorString("invalid key to 'next'"))
			}
			t.owner.budget--
			at = int(t.nodes[at].next - 1)
		}
		return len(t.array) + at + 1
	}
	panic(errorString("invalid key to 'next'"))
}
