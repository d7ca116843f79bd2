package rdb

import (
	"bytes"
	"cmp"
	"slices"
)

// Parse returns the value that a payload of DUMP holds. Its bytes may be those of the
// payload. It fails with ErrFooter or ErrFormat.
func Parse(payload []byte) (Value, error) {
	b, err := body(payload)
	if err != nil {
		return nil, err
	}
	return parse(b, memoryMost)
}

// ParseUnchecked is Parse of a payload whose checksum may be wrong.
func ParseUnchecked(payload []byte) (Value, error) {
	if len(payload) < footerSize {
		return nil, ErrFooter
	}
	return parse(payload[:len(payload)-footerSize], memoryMost)
}

// parse reads a value, without a footer, that takes at most limit bytes in memory.
func parse(b []byte, limit int64) (Value, error) {
	r := &reader{b: b, memory: limit}
	v := r.value(r.byte())
	r.check(len(r.b) == 0)
	if r.err != nil {
		return nil, r.err
	}
	return v, nil
}

// value reads a value of the given type. No value is empty but a string and a stream.
func (r *reader) value(kind byte) Value {
	switch kind {
	case typeString:
		return String(r.string())
	case typeList, typeListZiplist, typeListQuick, typeListQuick2:
		return r.list(kind)
	case typeSet, typeSetIntset, typeSetListpack:
		return r.set(kind)
	case typeZSet, typeZSet2, typeZSetZiplist, typeZSetListpack:
		return r.zset(kind)
	case typeHash, typeHashZipmap, typeHashZiplist, typeHashListpack, typeHashExpiring, typeHashListpackEx:
		return r.hash(kind)
	case typeStream, typeStream2, typeStream3:
		return r.stream(kind)
	}
	r.fail()
	return nil
}

// Containers of the nodes of a list.
const (
	nodePlain  = 1 // one element
	nodePacked = 2 // a listpack
)

func (r *reader) list(kind byte) Value {
	var out List
	switch kind {
	case typeList:
		out = r.strings()
	case typeListZiplist:
		out = r.packBytes(r.ziplist(r.string()))
	case typeListQuick:
		out = r.listNodes(2, func() [][]byte { return r.packedNode(r.ziplist(r.string())) })
	case typeListQuick2:
		out = r.listNodes(2, r.listNode)
	}
	r.check(len(out) > 0)
	return out
}

// listNodes reads the nodes of a list, each of which has at least so many bytes.
func (r *reader) listNodes(least uint64, node func() [][]byte) List {
	nodes := make([][][]byte, 0, r.count(least, sliceSize))
	elements := 0
	for range cap(nodes) {
		nodes = append(nodes, node())
		elements += len(nodes[len(nodes)-1])
	}
	if r.take(int64(elements) * sliceSize); r.err != nil {
		return nil
	}
	return slices.Concat(nodes...)
}

func (r *reader) listNode() [][]byte {
	switch container, b := r.length(), r.string(); container {
	case nodePlain:
		r.take(sliceSize)
		return [][]byte{b}
	case nodePacked:
		return r.packedNode(r.listpack(b))
	}
	r.fail()
	return nil
}

func (r *reader) packedNode(elements []packed) [][]byte {
	defer r.release(elements)
	return r.packBytes(elements)
}

// strings reads strings behind their number.
func (r *reader) strings() [][]byte {
	out := make([][]byte, 0, r.count(1, sliceSize))
	for range cap(out) {
		out = append(out, r.string())
	}
	return out
}

func (r *reader) set(kind byte) Value {
	var out Set
	switch kind {
	case typeSet:
		out.Members = r.strings()
	case typeSetIntset:
		out.Members, out.Intset = r.packBytes(r.intset(r.string())), true
	case typeSetListpack:
		out.Members = r.packBytes(r.listpack(r.string()))
	}
	names := make(nameSet)
	for _, m := range out.Members {
		names.add(r, m)
	}
	r.check(len(out.Members) > 0)
	return out
}

func (r *reader) zset(kind byte) Value {
	var out ZSet
	switch kind {
	case typeZSet, typeZSet2:
		out.Members = make([]Member, 0, r.count(2, memberSize))
		for range cap(out.Members) {
			m := Member{Name: r.string()}
			if kind == typeZSet {
				m.Score = r.scoreInDigits()
			} else {
				m.Score = r.score()
			}
			out.Members = append(out.Members, m)
		}
	case typeZSetZiplist:
		out = r.packedZSet(r.ziplist(r.string()))
	case typeZSetListpack:
		out = r.packedZSet(r.listpack(r.string()))
	}
	names := make(nameSet)
	for _, m := range out.Members {
		names.add(r, m.Name)
	}
	r.check(len(out.Members) > 0)
	slices.SortFunc(out.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), bytes.Compare(a.Name, b.Name))
	})
	return out
}

func (r *reader) packedZSet(elements []packed) ZSet {
	out := ZSet{Compact: true}
	r.check(len(elements)%2 == 0)
	if r.take(int64(len(elements)/2) * memberSize); r.err != nil {
		return out
	}
	out.Members = make([]Member, 0, len(elements)/2)
	for ; len(elements) > 1 && r.err == nil; elements = elements[2:] {
		score := float64(elements[1].num)
		if !elements[1].isNum {
			score = r.parseScore(elements[1].str)
		}
		out.Members = append(out.Members, Member{r.packString(elements[0]), score})
	}
	return out
}

func (r *reader) hash(kind byte) Value {
	var out Hash
	switch kind {
	case typeHash:
		out.Fields = make([]Field, 0, r.count(2, fieldSize))
		for range cap(out.Fields) {
			out.Fields = append(out.Fields, Field{Name: r.string(), Value: r.string()})
		}
	case typeHashExpiring:
		out = r.expiringHash()
	case typeHashZipmap:
		out = r.packedHash(r.zipmap(r.string()))
	case typeHashZiplist:
		out = r.packedHash(r.ziplist(r.string()))
	case typeHashListpack:
		out = r.packedHash(r.listpack(r.string()))
	case typeHashListpackEx:
		r.moment() // the soonest expiry
		out = r.expiringListpack(r.listpack(r.string()))
	}
	names := make(nameSet)
	for _, f := range out.Fields {
		names.add(r, f.Name)
	}
	r.check(len(out.Fields) > 0)
	return out
}

func (r *reader) packedHash(elements []packed) Hash {
	out := Hash{Compact: true}
	r.check(len(elements)%2 == 0)
	if r.take(int64(len(elements)/2) * fieldSize); r.err != nil {
		return out
	}
	out.Fields = make([]Field, 0, len(elements)/2)
	for ; len(elements) > 1; elements = elements[2:] {
		out.Fields = append(out.Fields, Field{Name: r.packString(elements[0]), Value: r.packString(elements[1])})
	}
	return out
}

// expiringListpack takes names, values and expiries by turns.
func (r *reader) expiringListpack(elements []packed) Hash {
	out := Hash{Compact: true}
	r.check(len(elements)%3 == 0)
	if r.take(int64(len(elements)/3) * fieldSize); r.err != nil {
		return out
	}
	out.Fields = make([]Field, 0, len(elements)/3)
	for ; len(elements) > 2; elements = elements[3:] {
		at, ok := elements[2].integer()
		r.check(ok && at >= 0 && at <= momentMost)
		out.Fields = append(out.Fields, Field{r.packString(elements[0]), r.packString(elements[1]), at})
	}
	return out
}

// momentMost is the last moment at which a field may expire, as in Redis.
const momentMost = 1<<46 - 1

// expiringHash reads a hash with an expiry in front of each field, counted from just
// before the soonest, 0 for none.
func (r *reader) expiringHash() Hash {
	var out Hash
	soonest := uint64(r.moment())
	out.Fields = make([]Field, 0, r.count(3, fieldSize))
	for range cap(out.Fields) {
		after := r.length()
		f := Field{Name: r.string(), Value: r.string()}
		if after > 0 {
			r.check(soonest <= momentMost && after-1 <= momentMost-soonest)
			f.ExpireAt = int64(soonest + after - 1)
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}
