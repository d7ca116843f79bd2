package rdb

import (
	"errors"
	"runtime"
	"testing"
	"unsafe"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"slice", sliceSize, unsafe.Sizeof([]byte{})}, {"packed", packedSize, unsafe.Sizeof(packed{})}, {"Member", memberSize, unsafe.Sizeof(Member{})},
		{"Field", fieldSize, unsafe.Sizeof(Field{})}, {"Entry", entrySize, unsafe.Sizeof(Entry{})}, {"Pending", pendingSize, unsafe.Sizeof(Pending{})},
		{"Consumer", consumerSize, unsafe.Sizeof(Consumer{})}, {"Group", groupSize, unsafe.Sizeof(Group{})},
	} {
		if c.got != c.want {
			t.Errorf("a %s is taken to have %d bytes, it has %d", c.name, c.got, c.want)
		}
	}
}

// hungry are payloads that take as much memory as they can for their bytes.
func hungry() map[string][]byte {
	const n = 1 << 17
	ints := newListpack()
	for i := range n {
		ints.addInt(int64(i % 100))
	}
	smalls := ints.finish()
	distinct := newListpack()
	for i := range n {
		distinct.addInt(int64(i) << 20)
	}
	numbers := distinct.finish()
	same := newListpack()
	for _, v := range []int64{n, 0, 3, 1 << 40, 2 << 40, 3 << 40, 0} {
		same.addInt(v)
	}
	own := newListpack()
	for _, v := range []int64{n, 0, 0, 0} {
		own.addInt(v)
	}
	for i := range int64(n) {
		for _, v := range []int64{flagSameFields, 0, i + 1, 1, 1 << 40, 1, 6} {
			same.addInt(v)
		}
		for _, v := range []int64{0, 0, i + 1, 1, 7, 1 << 40, 6} {
			own.addInt(v)
		}
	}
	return map[string][]byte{
		"list":              write(typeList, func(w *writer) { w.repeat(n, 0xc0, 100) }),
		"quicklist":         write(typeListQuick2, func(w *writer) { w.length(1); w.length(nodePacked); w.verbatim(smalls) }),
		"plain nodes":       write(typeListQuick2, func(w *writer) { w.repeat(n, nodePlain, 0) }),
		"empty nodes":       write(typeListQuick2, func(w *writer) { w.repeat(n, append([]byte{nodePacked, 7}, listpackOf()...)...) }),
		"compressed list":   write(typeListQuick2, func(w *writer) { w.length(1); w.length(nodePacked); w.string(smalls) }),
		"set":               write(typeSet, func(w *writer) { w.length(n); w.distinct(n, nil) }),
		"set listpack":      write(typeSetListpack, func(w *writer) { w.verbatim(numbers) }),
		"zset":              write(typeZSet2, func(w *writer) { w.length(n); w.distinct(n, make([]byte, 8)) }),
		"zset listpack":     write(typeZSetListpack, func(w *writer) { w.verbatim(numbers) }),
		"hash":              write(typeHash, func(w *writer) { w.length(n); w.distinct(n, []byte{0xc0, 100}) }),
		"hash listpack":     write(typeHashListpack, func(w *writer) { w.verbatim(numbers) }),
		"stream, own names": write(typeStream2, func(w *writer) { w.node(own.finish(), n) }),
		"stream":            write(typeStream2, func(w *writer) { w.node(same.finish(), n) }),
		"groups": write(typeStream2, func(w *writer) {
			w.emptyStream()
			w.length(n)
			for i := range uint64(n) {
				w.verbatim([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
				w.b = append(w.b, 0, 0, 0, 0, 0)
			}
		}),
		"pending": write(typeStream2, func(w *writer) {
			w.emptyStream()
			w.length(1)
			w.b = append(w.b, 0, 0, 0, 0)
			w.length(n)
			for i := range uint64(n) {
				w.b = append(append(appendID(w.b, ID{1, i}), make([]byte, 8)...), 1)
			}
			w.length(1)
			w.b = append(append(w.b, 0), make([]byte, 8)...)
			w.length(n)
			for i := range uint64(n) {
				w.b = appendID(w.b, ID{1, i})
			}
		}),
		"consumers": write(typeStream2, func(w *writer) {
			w.emptyStream()
			w.length(1)
			w.b = append(w.b, 0, 0, 0, 0, 0)
			w.length(n)
			for i := range uint64(n) {
				w.verbatim([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
				w.b = append(w.b, make([]byte, 9)...)
			}
		}),
	}
}

// write makes a value, without a footer.
func write(kind byte, fn func(w *writer)) []byte {
	w := &writer{}
	w.kind(kind)
	fn(w)
	return w.b
}

// repeat writes a number, and bytes so many times.
func (w *writer) repeat(n int, b ...byte) {
	w.length(uint64(n))
	for range n {
		w.b = append(w.b, b...)
	}
}

// verbatim writes a string as it is.
func (w *writer) verbatim(b []byte) {
	w.length(uint64(len(b)))
	w.b = append(w.b, b...)
}

// distinct writes n different short strings, and bytes behind each.
func (w *writer) distinct(n int, behind []byte) {
	for i := range n {
		w.verbatim([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		w.b = append(w.b, behind...)
	}
}

// node writes a stream of one node of n entries, without groups.
func (w *writer) node(pack []byte, n int) {
	w.length(1)
	w.verbatim(make([]byte, idSize))
	w.verbatim(pack)
	w.length(uint64(n))
	w.id(ID{1 << 40, 0})
	w.b = append(w.b, 0, 0, 0, 0, 0, 0)
}

func (w *writer) emptyStream() { w.b = append(w.b, 0, 0, 0, 0, 0, 0, 0, 0, 0) }

// TestMemory says that a value takes no more memory than it is accounted for, and that one that
// would take more than it may is refused before it does.
func TestMemory(t *testing.T) {
	for name, b := range hungry() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := &reader{b: b, memory: memoryMost}
		v := r.value(r.byte())
		runtime.GC()
		runtime.ReadMemStats(&after)
		if r.err != nil && name != "empty nodes" {
			t.Errorf("%s: %v with %d bytes left", name, r.err, len(r.b))
			continue
		}
		counted, kept := int64(memoryMost)-r.memory, int64(after.HeapAlloc)-int64(before.HeapAlloc)
		if slack := int64(64 << 10); kept > counted+slack {
			t.Errorf("%s: %d bytes of payload take %d, and %d were counted", name, len(b), kept, counted)
		}
		runtime.KeepAlive(v)
		if r.err != nil {
			continue
		}

		const little = 1 << 20
		runtime.ReadMemStats(&before)
		_, err := parse(b, little)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: in little memory: %v", name, err)
		}
		if taken := int64(after.TotalAlloc - before.TotalAlloc); taken > 3*little {
			t.Errorf("%s: took %d bytes of %d", name, taken, little)
		}
	}
}
