package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/datadriven"
)

// sameValue compares two replies but for how protocol 3 and the Writer may spell
// them: one null, one print of each double.
func sameValue(a, b Value) bool {
	if a.IsNull() && b.IsNull() {
		return true
	}
	if a.Kind != b.Kind || len(a.Elems) != len(b.Elems) {
		return false
	}
	switch a.Kind {
	case KindDouble:
		return math.Float64bits(a.Float) == math.Float64bits(b.Float) || math.IsNaN(a.Float) && math.IsNaN(b.Float)
	case KindError:
		return strings.Trim(a.Str, "\r\n") == b.Str || strings.NewReplacer("\r", " ", "\n", " ").Replace(strings.Trim(a.Str, "\r\n")) == b.Str
	}
	for i := range a.Elems {
		if !sameValue(a.Elems[i], b.Elems[i]) {
			return false
		}
	}
	return a.Str == b.Str && a.Format == b.Format && a.Int == b.Int && a.Bool == b.Bool
}

// write sends v through w.
func write(w *Writer, v Value) {
	switch v.Kind {
	case KindNull:
		w.Null()
	case KindNullArray:
		w.NullArray()
	case KindSimple:
		w.Simple(v.Str)
	case KindError:
		w.Error(v.Str)
	case KindInt:
		w.Int(v.Int)
	case KindBulk:
		w.BulkString(v.Str)
	case KindArray:
		w.Array(len(v.Elems))
	case KindMap:
		w.Map(len(v.Elems) / 2)
	case KindSet:
		w.Set(len(v.Elems))
	case KindPush:
		w.Push(len(v.Elems))
	case KindDouble:
		w.Double(v.Float)
	case KindBool:
		w.Bool(v.Bool)
	case KindBigNumber:
		w.BigNumber(v.Str)
	case KindVerbatim:
		w.Verbatim(v.Format, v.Str)
	default:
		panic(fmt.Sprintf("kind %d", v.Kind))
	}
	for _, e := range v.Elems {
		write(w, e)
	}
}

// checkReply holds ParseReply and ReadReply against each other on the first reply
// in b.
func checkReply(t *testing.T, b []byte) (Value, []byte, error) {
	t.Helper()
	v, rest, err := ParseReply(b)
	src := bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(b)), 16)
	streamed, streamErr := ReadReply(src)
	if (err == nil) != (streamErr == nil) || errors.Is(err, ErrReply) != errors.Is(streamErr, ErrReply) {
		t.Fatalf("%.200q: ParseReply %v, ReadReply %v", b, err, streamErr)
	}
	if err != nil {
		if !errors.Is(err, ErrReply) && err != io.ErrUnexpectedEOF {
			t.Fatalf("%.200q: unexpected kind of error %v", b, err)
		}
		if !bytes.Equal(rest, b) {
			t.Fatalf("%.200q: an error must leave the input", b)
		}
		return v, rest, err
	}
	if v.String() != streamed.String() {
		t.Fatalf("%.200q: ParseReply %v, ReadReply %v", b, v, streamed)
	}
	left, _ := io.ReadAll(src)
	if !bytes.Equal(left, rest) {
		t.Fatalf("%.200q: ParseReply leaves %q, ReadReply %q", b, rest, left)
	}
	return v, rest, nil
}

// TestReply runs the scripts of testdata/reply. Input is written as in
// decodeScript; "reply" decodes replies until the input ends.
func TestReply(t *testing.T) {
	datadriven.RunTest(t, "testdata/reply", func(t *testing.T, d *datadriven.TestData) string {
		b := decodeScript(t, d)
		var out strings.Builder
		for len(b) > 0 {
			v, rest, err := checkReply(t, b)
			if err != nil {
				fmt.Fprintf(&out, "error: %v\n", err)
				break
			}
			fmt.Fprintln(&out, v)
			b = rest
		}
		return out.String()
	})
}

func TestReplyEnd(t *testing.T) {
	if _, _, err := ParseReply(nil); err != io.ErrUnexpectedEOF {
		t.Errorf("ParseReply of nothing: got %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if _, err := ReadReply(bufio.NewReader(strings.NewReader(""))); err != io.EOF {
		t.Errorf("ReadReply of nothing: got %v, want %v", err, io.EOF)
	}
	whole := "*2\r\n$3\r\nabc\r\n%1\r\n+a\r\n,1.5\r\n"
	for n := 1; n < len(whole); n++ {
		if _, _, err := checkReply(t, []byte(whole[:n])); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: got %v, want %v", whole[:n], err, io.ErrUnexpectedEOF)
		}
		if _, err := ReadReply(bufio.NewReader(strings.NewReader(whole[:n]))); err != io.ErrUnexpectedEOF {
			t.Errorf("stream %q: got %v, want %v", whole[:n], err, io.ErrUnexpectedEOF)
		}
	}
	broken := errors.New("broken")
	_, err := ReadReply(bufio.NewReader(io.MultiReader(strings.NewReader("$5\r\nab"), iotest.ErrReader(broken))))
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the source", err)
	}
}

// TestReplyHostile declares far more than it sends.
func TestReplyHostile(t *testing.T) {
	for name, in := range map[string]string{
		"string":   "$536870912\r\nabc",
		"verbatim": "=536870912\r\ntxt:abc",
		"array":    "*2147483647\r\n:1\r\n",
		"map":      "%2147483647\r\n:1\r\n",
		"nested":   strings.Repeat("*2147483647\r\n", replyDepthMax),
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			_, _, err := checkReply(t, []byte(in))
			got := allocated() - before
			if err != io.ErrUnexpectedEOF {
				t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
			}
			if got > 4<<20 {
				t.Errorf("%d bytes of input made us allocate %d", len(in), got)
			}
		})
	}
	deep := strings.Repeat("*1\r\n", replyDepthMax) + ":1\r\n"
	if _, _, err := checkReply(t, []byte(deep)); err != nil {
		t.Errorf("%d levels: %v", replyDepthMax, err)
	}
	if _, _, err := checkReply(t, []byte("*1\r\n"+deep)); !errors.Is(err, ErrReply) {
		t.Errorf("%d levels: got %v, want ErrReply", replyDepthMax+1, err)
	}
	long := "+" + strings.Repeat("a", replyLineMax+1) + "\r\n"
	if _, err := ReadReply(bufio.NewReader(strings.NewReader(long))); !errors.Is(err, ErrReply) {
		t.Errorf("long line: got %v, want ErrReply", err)
	}
}

func FuzzParseReply(f *testing.F) {
	for _, s := range []string{
		"+OK\r\n", "-ERR x\r\n", ":1\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*-1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", ",inf\r\n", "(123\r\n",
		"=7\r\ntxt:abc\r\n", "!5\r\nERR x\r\n", "*2\r\n:1\r\n*0\r\n", "%1\r\n+a\r\n~1\r\n_\r\n", ">2\r\n+a\r\n:1\r\n", "|1\r\n+a\r\n:1\r\n:2\r\n",
		"$9223372036854775807\r\n", "*2147483647\r\n", ",nan\r\n", ",-0\r\n", "!3\r\n\r\na\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _, err := checkReply(t, b)
		if err != nil {
			return
		}
		var w Writer
		w.SetProto(3)
		write(&w, v)
		again, rest, err := ParseReply(w.Bytes())
		if err != nil || len(rest) > 0 || !sameValue(v, again) {
			t.Fatalf("%q is %v; written as %q it reads %v, rest %q, error %v", b, v, w.Bytes(), again, rest, err)
		}
		// Protocol 2 can say less, but what it says must be well formed.
		w.Reset()
		w.SetProto(2)
		write(&w, v)
		if _, rest, err := ParseReply(w.Bytes()); err != nil || len(rest) > 0 {
			t.Fatalf("%q: protocol 2 gives %q: %v", b, w.Bytes(), err)
		}
	})
}
