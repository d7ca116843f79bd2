package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Append adds the payload that DUMP answers for v to dst, which is empty or will be
// the same value's.
func Append(dst []byte, v Value) []byte {
	w := &writer{b: dst, version: versionWritten}
	v.write(w)
	return appendFooter(w.b, w.version)
}

// Len returns how many bytes v has in a payload, without its type and the footer.
func Len(v Value) int { return len(Append(nil, v)) - 1 - footerSize }

// writer makes a payload.
type writer struct {
	b       []byte
	version uint16
}

func (w *writer) kind(k byte) { w.b = append(w.b, k) }

// length adds a length, or another number that is written like one.
func (w *writer) length(n uint64) {
	switch {
	case n < 1<<6:
		w.b = append(w.b, byte(n))
	case n < 1<<14:
		w.b = append(w.b, len14<<6|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		w.b = binary.BigEndian.AppendUint32(append(w.b, len32), uint32(n))
	default:
		w.b = binary.BigEndian.AppendUint64(append(w.b, len64), n)
	}
}

func (w *writer) moment(ms int64) { w.b = binary.LittleEndian.AppendUint64(w.b, uint64(ms)) }

// Strings of at most integerMost bytes may be written as integers, longer ones than
// compressMin compressed, if that saves compressGain bytes.
const (
	integerMost  = 11
	compressMin  = 20
	compressGain = 4
)

func (w *writer) string(s []byte) {
	if len(s) <= integerMost {
		if n, ok := canonicalInt(s); ok && n >= math.MinInt32 && n <= math.MaxInt32 {
			w.integer(n)
			return
		}
	}
	if len(s) > compressMin {
		if b, ok := lzfCompress(nil, s, compressGain); ok {
			w.b = append(w.b, lenForm<<6|formLZF)
			w.length(uint64(len(b)))
			w.length(uint64(len(s)))
			w.b = append(w.b, b...)
			return
		}
	}
	w.length(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) integer(n int64) {
	switch {
	case n >= math.MinInt8 && n <= math.MaxInt8:
		w.b = append(w.b, lenForm<<6|formInt8, byte(n))
	case n >= math.MinInt16 && n <= math.MaxInt16:
		w.b = append(w.b, lenForm<<6|formInt16, byte(n), byte(n>>8))
	default:
		w.b = binary.LittleEndian.AppendUint32(append(w.b, lenForm<<6|formInt32), uint32(n))
	}
}

func (s String) write(w *writer) {
	w.kind(typeString)
	w.string(s)
}

// nodeBytes is about what a node of a list may have, unless it is one element.
const nodeBytes = 8 << 10

func (l List) write(w *writer) {
	w.kind(typeListQuick2)
	var nodes [][]byte
	var p *listpackWriter
	for _, e := range l {
		if p != nil && len(p.b)+len(e) > nodeBytes {
			nodes = append(nodes, p.finish())
			p = nil
		}
		if p == nil {
			p = newListpack()
		}
		p.add(e)
	}
	if p != nil {
		nodes = append(nodes, p.finish())
	}
	w.length(uint64(len(nodes)))
	for _, n := range nodes {
		w.length(nodePacked)
		w.string(n)
	}
}

func (s Set) write(w *writer) {
	if s.Intset {
		if numbers, ok := integers(s.Members); ok {
			w.kind(typeSetIntset)
			w.string(appendIntset(nil, numbers))
			return
		}
	}
	w.kind(typeSet)
	w.length(uint64(len(s.Members)))
	for _, m := range s.Members {
		w.string(m)
	}
}

func integers(members [][]byte) ([]int64, bool) {
	out := make([]int64, len(members))
	for i, m := range members {
		var ok bool
		if out[i], ok = canonicalInt(m); !ok {
			return nil, false
		}
	}
	return out, true
}

// The members of a sorted set stand in ascending order of their scores in a listpack,
// and in descending order else.
func (z ZSet) write(w *writer) {
	if z.Compact {
		l := newListpack()
		for _, m := range z.Members {
			l.add(m.Name)
			l.addScore(m.Score)
		}
		w.kind(typeZSetListpack)
		w.string(l.finish())
		return
	}
	w.kind(typeZSet2)
	w.length(uint64(len(z.Members)))
	for i := len(z.Members) - 1; i >= 0; i-- {
		w.string(z.Members[i].Name)
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(z.Members[i].Score))
	}
}

// scoreWholeMost is up to where a score that is a whole number is written as one.
const scoreWholeMost = 1 << 52

func (l *listpackWriter) addScore(score float64) {
	switch {
	case math.Abs(score) < scoreWholeMost && score == math.Trunc(score):
		l.addInt(int64(score))
	case math.IsInf(score, 0):
		l.add([]byte(map[bool]string{true: "inf", false: "-inf"}[score > 0]))
	default:
		l.add(strconv.AppendFloat(nil, score, 'g', 17, 64))
	}
}

func (h Hash) write(w *writer) {
	soonest := int64(math.MaxInt64)
	for _, f := range h.Fields {
		if f.ExpireAt != 0 {
			soonest = min(soonest, f.ExpireAt)
		}
	}
	switch {
	case soonest != math.MaxInt64:
		h.writeExpiring(w, soonest)
	case h.Compact:
		l := newListpack()
		for _, f := range h.Fields {
			l.add(f.Name)
			l.add(f.Value)
		}
		w.kind(typeHashListpack)
		w.string(l.finish())
	default:
		w.kind(typeHash)
		w.length(uint64(len(h.Fields)))
		for _, f := range h.Fields {
			w.string(f.Name)
			w.string(f.Value)
		}
	}
}

// writeExpiring writes a hash of which some field expires, none sooner than the given moment.
func (h Hash) writeExpiring(w *writer, soonest int64) {
	w.version = versionExpiring
	w.kind(typeHashExpiring)
	w.moment(soonest)
	w.length(uint64(len(h.Fields)))
	for _, f := range h.Fields {
		after := int64(0)
		if f.ExpireAt != 0 {
			after = f.ExpireAt - soonest + 1
		}
		w.length(uint64(after))
		w.string(f.Name)
		w.string(f.Value)
	}
}
