package resp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWriter(t *testing.T) {
	for _, tc := range []struct {
		name         string
		write        func(w *Writer)
		resp2, resp3 string // resp3 empty: the same
	}{
		{"simple", func(w *Writer) { w.Simple("PONG") }, "+PONG\r\n", ""},
		{"simple with line ends", func(w *Writer) { w.Simple("a\r\nb") }, "+a  b\r\n", ""},
		{"ok", func(w *Writer) { w.OK() }, "+OK\r\n", ""},
		{"error", func(w *Writer) { w.Error("ERR no") }, "-ERR no\r\n", ""},
		{"error with line ends", func(w *Writer) { w.Error("\nERR a\r\n:1\nb\r\n") }, "-ERR a  :1 b\r\n", ""},
		{"int", func(w *Writer) { w.Int(-9223372036854775808) }, ":-9223372036854775808\r\n", ""},
		{"bulk", func(w *Writer) { w.Bulk([]byte("a\r\n\x00")) }, "$4\r\na\r\n\x00\r\n", ""},
		{"nil bulk", func(w *Writer) { w.Bulk(nil) }, "$0\r\n\r\n", ""},
		{"bulk string", func(w *Writer) { w.BulkString("abc") }, "$3\r\nabc\r\n", ""},
		{"null", func(w *Writer) { w.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(w *Writer) { w.NullArray() }, "*-1\r\n", "_\r\n"},
		{"array", func(w *Writer) { w.Array(3) }, "*3\r\n", ""},
		{"map", func(w *Writer) { w.Map(3) }, "*6\r\n", "%3\r\n"},
		{"set", func(w *Writer) { w.Set(3) }, "*3\r\n", "~3\r\n"},
		{"push", func(w *Writer) { w.Push(3) }, "*3\r\n", ">3\r\n"},
		{"double", func(w *Writer) { w.Double(0.1) }, "$3\r\n0.1\r\n", ",0.1\r\n"},
		{"true", func(w *Writer) { w.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(w *Writer) { w.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"big number", func(w *Writer) { w.BigNumber("-123") }, "$4\r\n-123\r\n", "(-123\r\n"},
		{"verbatim", func(w *Writer) { w.Verbatim("txt", "a\nb") }, "$3\r\na\nb\r\n", "=7\r\ntxt:a\nb\r\n"},
		{"verbatim, short format", func(w *Writer) { w.Verbatim("m", "") }, "$0\r\n\r\n", "=4\r\nm  :\r\n"},
		{"verbatim, long format", func(w *Writer) { w.Verbatim("text", "a") }, "$1\r\na\r\n", "=5\r\ntex:a\r\n"},
		{"raw", func(w *Writer) { w.Raw([]byte(":1\r\n")) }, ":1\r\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var w Writer
			if w.Proto() != 2 {
				t.Errorf("a new Writer speaks protocol %d, want 2", w.Proto())
			}
			tc.write(&w)
			if got := string(w.Bytes()); got != tc.resp2 {
				t.Errorf("protocol 2: got %q, want %q", got, tc.resp2)
			}
			w.Reset()
			w.SetProto(3)
			tc.write(&w)
			want := tc.resp3
			if want == "" {
				want = tc.resp2
			}
			if got := string(w.Bytes()); got != want || w.Proto() != 3 {
				t.Errorf("protocol %d: got %q, want %q", w.Proto(), got, want)
			}
		})
	}
}

func TestWriterTruncate(t *testing.T) {
	var w Writer
	w.Int(1)
	n := w.Len()
	w.BulkString("to be taken back")
	w.Truncate(n)
	w.OK()
	if got, want := string(w.Bytes()), ":1\r\n+OK\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriterReset(t *testing.T) {
	var w Writer
	w.SetProto(3)
	w.BulkString(strings.Repeat("a", 1000))
	w.Reset()
	if w.Len() != 0 || w.Proto() != 3 {
		t.Errorf("after Reset: %d bytes, protocol %d; want 0 and 3", w.Len(), w.Proto())
	}
	if cap(w.buf) < 1000 {
		t.Errorf("a buffer of ordinary size is not kept")
	}
	w.Bulk(bytes.Repeat([]byte("a"), 2*writerKeep))
	w.Reset()
	if cap(w.buf) > writerKeep {
		t.Errorf("a buffer of %d bytes is kept, want at most %d", cap(w.buf), writerKeep)
	}
}

// TestWriterLends lets replies of many sizes grow over what a Writer keeps, in several Writers by turns.
func TestWriterLends(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	writers := make([]Writer, 4)
	wants := make([][]byte, len(writers))
	for step := range 2000 {
		i := rng.IntN(len(writers))
		w := &writers[i]
		switch {
		case len(wants[i]) > 5<<20 || rng.IntN(20) == 0:
			w.Reset()
			wants[i] = wants[i][:0]
			if cap(w.buf) > writerKeep {
				t.Fatalf("step %d: a buffer of %d bytes is kept, want at most %d", step, cap(w.buf), writerKeep)
			}
		case rng.IntN(20) == 0:
			n := rng.IntN(len(wants[i]) + 1)
			w.Truncate(n)
			wants[i] = wants[i][:n]
		default:
			b := bytes.Repeat([]byte{byte(step)}, rng.IntN(1<<rng.IntN(21)))
			w.Bulk(b)
			wants[i] = fmt.Appendf(wants[i], "$%d\r\n%s\r\n", len(b), b)
		}
		for j := range writers {
			if !bytes.Equal(writers[j].Bytes(), wants[j]) {
				t.Fatalf("step %d: Writer %d has not kept what was written to it", step, j)
			}
		}
	}
}

func TestWriterAllocs(t *testing.T) {
	w := Writer{buf: make([]byte, 0, 1<<10)}
	w.SetProto(3)
	value := []byte("value")
	if n := testing.AllocsPerRun(100, func() {
		w.Reset()
		w.Map(1)
		w.Bulk(value)
		w.Double(1.5)
		w.Int(77)
		w.Error("ERR x")
		w.Null()
	}); n != 0 {
		t.Errorf("%v allocations per reply, want 0", n)
	}
}

func BenchmarkWriter(b *testing.B) {
	var w Writer
	value := []byte("value:000000001234")
	b.ReportAllocs()
	for b.Loop() {
		w.Reset()
		for range 16 {
			w.Bulk(value)
		}
	}
}

// TestWriterLimit fills a Writer up with whatever it can write.
func TestWriterLimit(t *testing.T) {
	const limit = 1000
	long := strings.Repeat("x", 300)
	for name, write := range map[string]func(w *Writer){
		"simple": func(w *Writer) { w.Simple(long) }, "ok": func(w *Writer) { w.OK() }, "int": func(w *Writer) { w.Int(1) },
		"bulk": func(w *Writer) { w.Bulk([]byte(long)) }, "bulk string": func(w *Writer) { w.BulkString(long) },
		"null": func(w *Writer) { w.Null() }, "null array": func(w *Writer) { w.NullArray() }, "array": func(w *Writer) { w.Array(3) },
		"map": func(w *Writer) { w.Map(3) }, "set": func(w *Writer) { w.Set(3) }, "push": func(w *Writer) { w.Push(3) },
		"attribute": func(w *Writer) { w.Attribute(1) }, "double": func(w *Writer) { w.Double(0.1) },
		"digits": func(w *Writer) { w.DoubleDigits("0.5") }, "bool": func(w *Writer) { w.Bool(true) },
		"big number": func(w *Writer) { w.BigNumber("123") }, "verbatim": func(w *Writer) { w.Verbatim("txt", long) },
	} {
		for _, proto := range []int{2, 3} {
			var w Writer
			w.SetProto(proto)
			w.Limit(limit)
			write(&w)
			first := w.Len()
			for range limit {
				write(&w)
			}
			if !w.Full() || w.Len() > limit+64 || w.Len() < limit-first-16 {
				t.Errorf("%s, protocol %d: %d bytes with a limit of %d, full: %t", name, proto, w.Len(), limit, w.Full())
			}
			end := w.Len()
			w.BulkString("small") // behind what was left out
			if w.Len() != end {
				t.Errorf("%s, protocol %d: %q came behind what had no room", name, proto, w.Bytes()[end:])
			}
			w.Error("ERR full")
			w.Raw([]byte("+pushed\r\n"))
			if !bytes.HasSuffix(w.Bytes(), []byte("-ERR full\r\n+pushed\r\n")) {
				t.Errorf("%s, protocol %d: an error had no room", name, proto)
			}
			w.Truncate(0)
			if write(&w); w.Full() || w.Len() != first {
				t.Errorf("%s, protocol %d: still full after Truncate", name, proto)
			}
		}
	}
	var w Writer
	for range limit {
		w.BulkString(long)
	}
	if w.Full() {
		t.Error("a Writer without a limit is full")
	}
}

// TestOutgrownReplyIsTheCallers keeps a reply that is larger than every buffer that is used again, and writes others meanwhile.
func TestOutgrownReplyIsTheCallers(t *testing.T) {
	var w, other Writer
	for range 2 {
		w.Bulk(bytes.Repeat([]byte("x"), 1<<20-100))
	}
	if w.Outgrown() {
		t.Errorf("%d bytes are said to be in no buffer that is lent", w.Len())
	}
	w.Bulk(bytes.Repeat([]byte("x"), 2<<20))
	if !w.Outgrown() {
		t.Fatalf("%d bytes are said to be in a buffer that is lent", w.Len())
	}
	got := w.Take()[0]
	want := string(got)
	for range 3 {
		for _, again := range []*Writer{&w, &other} {
			again.Bulk(bytes.Repeat([]byte("y"), 3<<20))
			again.Reset()
		}
	}
	if string(got) != want {
		t.Error("a reply that was kept has changed")
	}
}
