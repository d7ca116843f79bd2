package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzReader cuts the input in many ways and wants the same commands and the same
// error from each, within bounded memory.
func FuzzReader(f *testing.F) {
	for i, s := range faults {
		if len(s) < 1000 {
			f.Add([]byte(s), []byte{byte(i), 3, 1}, byte(i))
		}
	}
	f.Add(encode([]string{"SET", "k", strings.Repeat("v", 300)}, []string{"GET", "k"}), []byte{200, 7}, byte(5))
	f.Fuzz(func(t *testing.T, data, cuts []byte, choice byte) {
		l := DefaultLimits
		if choice&1 != 0 {
			l = Limits{MaxBulk: 40, MaxArgs: 5, MaxInline: 20, MaxCommand: 100, Unauthenticated: choice&2 != 0}
		}
		whole, wholeErr := drain(NewReader(&pieces{data: data}, l), 1<<20)
		check := func(how string, r *Reader, most int) {
			t.Helper()
			got, err := drain(r, most)
			if err != wholeErr || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", whole) {
				t.Fatalf("%s: %q, %v; in one piece: %q, %v", how, got, err, whole, wholeErr)
			}
			if n := r.footprint(); n > 8*len(data)+2*bufferKeep {
				t.Fatalf("%s: %d bytes of input, %d held", how, len(data), n)
			}
		}
		check("byte by byte", NewReader(&pieces{data: data, sizes: []int{1}}, l), 1)
		check("one command at a time", NewReader(&pieces{data: data}, l), 1)
		check("error with the last bytes", NewReader(iotest.DataErrReader(bytes.NewReader(data)), l), 3)
		sizes := []int{1}
		for _, c := range cuts {
			sizes = append(sizes, 1+int(c))
		}
		check("in pieces", NewReader(&pieces{data: data, sizes: sizes}, l), int(choice))
		checkAhead(t, data, l, whole)
	})
}

// checkAhead asks Buffered before every command: parsing ahead must change nothing.
func checkAhead(t *testing.T, data []byte, l Limits, want [][]string) {
	t.Helper()
	r := NewReader(&pieces{data: data, sizes: []int{5}}, l)
	for i := 0; ; i++ {
		r.Buffered()
		args, err := r.ReadCommand()
		if err != nil {
			if i != len(want) {
				t.Fatalf("with Buffered: %d commands, want %d", i, len(want))
			}
			return
		}
		if got := fmt.Sprintf("%q", args); got != fmt.Sprintf("%q", want[i]) {
			t.Fatalf("with Buffered: command %d is %s, want %q", i, got, want[i])
		}
	}
}

func BenchmarkReader(b *testing.B) {
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprintf("pipeline=%d", depth), func(b *testing.B) {
			input := bytes.Repeat(encode([]string{"SET", "key:000000000001", "value:00000001"}), depth)
			r := NewReader(readerFunc(func(p []byte) (int, error) { return copy(p, input), nil }), DefaultLimits)
			var p Pipeline
			b.ReportAllocs()
			b.SetBytes(int64(len(input)))
			for b.Loop() {
				if err := r.Next(&p, 1000); err != nil || len(p.Commands) != depth {
					b.Fatalf("%d commands, %v", len(p.Commands), err)
				}
			}
		})
	}
	b.Run("large", func(b *testing.B) {
		input := encode([]string{"SET", "k", strings.Repeat("v", 1<<20)})
		src := &pieces{}
		r := NewReader(src, DefaultLimits)
		b.SetBytes(int64(len(input)))
		for b.Loop() {
			src.data = input
			if _, err := r.ReadCommand(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
