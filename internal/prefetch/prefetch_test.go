package prefetch_test

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/elastickv/elastickv/internal/prefetch"
)

// What is named stays as it is, whether it is there or not.
func TestPrefetch(t *testing.T) {
	prefetch.Line(nil)
	for _, n := range []int{0, 1, 63, 64, 65, 1000} {
		b := bytes.Repeat([]byte{7}, n)
		prefetch.Bytes(b)
		if !bytes.Equal(b, bytes.Repeat([]byte{7}, n)) {
			t.Errorf("%d bytes have changed", n)
		}
	}
	var x int
	prefetch.Line(unsafe.Pointer(&x))
}

// BenchmarkChase reads places that lie anywhere in 256 MiB, sixteen at a time, as they come or all of them named before.
func BenchmarkChase(b *testing.B) {
	const places, batch = 4 << 20, 16
	table := make([][8]uint64, places)
	at := func(i, j int) uint64 { return uint64(i*batch+j) * 0x9e3779b97f4a7c15 >> 42 }
	for i := range table {
		table[i][0] = uint64(i)
	}
	for _, ahead := range []bool{false, true} {
		name := "as they come"
		if ahead {
			name = "named"
		}
		b.Run(name, func(b *testing.B) {
			var key uint64
			for i := range b.N {
				if ahead {
					for j := range batch {
						prefetch.Line(unsafe.Pointer(&table[at(i, j)]))
					}
				}
				for j := range batch {
					key = table[(at(i, j)^key&1)&(places-1)][0] // where to look depends on what was found
				}
			}
			if key > places {
				b.Fatal(key)
			}
		})
	}
}
