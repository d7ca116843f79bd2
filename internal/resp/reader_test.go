package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/datadriven"
)

// pieces is a source that brings data in pieces of the given sizes, then of
// the last size, and then ends.
type pieces struct {
	data  []byte
	sizes []int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := len(p.data)
	if len(p.sizes) > 0 {
		n = p.sizes[0]
		if len(p.sizes) > 1 {
			p.sizes = p.sizes[1:]
		}
	}
	n = copy(b, p.data[:min(n, len(p.data))])
	p.data = p.data[n:]
	return n, nil
}

// drain reads commands, up to most at a time, until an error comes, and returns
// copies of them and that error.
func drain(r *Reader, most int) ([][]string, error) {
	var p Pipeline
	var all [][]string
	for {
		if err := r.Next(&p, most); err != nil {
			return all, err
		}
		for _, args := range p.Commands {
			command := make([]string, len(args))
			for i, a := range args {
				command[i] = string(a)
			}
			all = append(all, command)
		}
	}
}

// encode returns commands as arrays of bulk strings.
func encode(commands ...[]string) []byte {
	var w Writer
	for _, args := range commands {
		w.Array(len(args))
		for _, a := range args {
			w.BulkString(a)
		}
	}
	return w.Bytes()
}

// TestReader runs the scripts of testdata/reader. "commands" reads the input, in
// one piece and byte by byte, and prints the commands and the error at the end.
// Its arguments bulk, args, inline and whole set limits; unauth those before a
// login. Long arguments are printed as their beginning and their length.
func TestReader(t *testing.T) {
	datadriven.RunTest(t, "testdata/reader", func(t *testing.T, d *datadriven.TestData) string {
		var l Limits
		if d.HasArg("unauth") {
			l = UnauthenticatedLimits
		}
		d.MaybeScanArgs(t, "bulk", &l.MaxBulk)
		d.MaybeScanArgs(t, "args", &l.MaxArgs)
		d.MaybeScanArgs(t, "inline", &l.MaxInline)
		d.MaybeScanArgs(t, "whole", &l.MaxCommand)

		input := decodeScript(t, d)
		got := printDrain(NewReader(&pieces{data: input}, l))
		if slow := printDrain(NewReader(&pieces{data: input, sizes: []int{1}}, l)); slow != got {
			d.Fatalf(t, "byte by byte:\n%s\nin one piece:\n%s", slow, got)
		}
		return got
	})
}

func printDrain(r *Reader) string {
	commands, err := drain(r, 100)
	var b strings.Builder
	for _, args := range commands {
		for i, a := range args {
			if i > 0 {
				b.WriteByte(' ')
			}
			if len(a) > 60 {
				fmt.Fprintf(&b, "%q… (%d bytes)", a[:10], len(a))
				continue
			}
			quote(&b, a)
		}
		b.WriteByte('\n')
	}
	var p ProtocolError
	if errors.As(err, &p) {
		fmt.Fprintf(&b, "protocol error: %s\n", strings.TrimPrefix(string(p), "Protocol error: "))
	} else {
		fmt.Fprintln(&b, err)
	}
	return b.String()
}

// Commands of one Next stay whole while the reader parses ahead, and each slice
// is walled off from its neighbours.
func TestNextKeepsCommandsTogether(t *testing.T) {
	var want [][]string
	for i := range 500 {
		want = append(want, []string{"SET", fmt.Sprintf("key:%d", i), strings.Repeat("v", i%40)})
	}
	r := NewReader(&pieces{data: encode(want...)}, DefaultLimits)
	var p Pipeline
	seen := 0
	for seen < len(want) {
		if err := r.Next(&p, 1000); err != nil {
			t.Fatal(err)
		}
		r.Buffered()
		for _, args := range p.Commands {
			for _, a := range args {
				if cap(a) != len(a) {
					t.Fatalf("argument %q can be appended to", a)
				}
			}
			if cap(args) != len(args) {
				t.Fatalf("command %q can be appended to", args)
			}
			if got := fmt.Sprintf("%s", args); got != fmt.Sprintf("%s", want[seen]) {
				t.Fatalf("command %d: got %s, want %s", seen, got, want[seen])
			}
			seen++
		}
	}
	if err := r.Next(&p, 1); err != io.EOF || len(p.Commands) != 0 {
		t.Errorf("at the end: %d commands and %v, want none and EOF", len(p.Commands), err)
	}
}

func TestNextTakesAtMost(t *testing.T) {
	for _, tc := range []struct{ most, want int }{{1, 1}, {3, 3}, {5, 5}, {6, 5}, {0, 1}, {-1, 1}} {
		r := NewReader(strings.NewReader(strings.Repeat("PING\r\n", 5)), DefaultLimits)
		var p Pipeline
		if err := r.Next(&p, tc.most); err != nil || len(p.Commands) != tc.want {
			t.Errorf("at most %d: got %d commands and %v, want %d", tc.most, len(p.Commands), err, tc.want)
		}
	}
}

// Next waits for the first command only.
func TestNextDoesNotWaitForMore(t *testing.T) {
	src, peer := io.Pipe()
	defer peer.Close()
	go func() { _, _ = io.WriteString(peer, "PING\r\nECHO a\r\n*1\r\n$4\r\nPI") }()
	r := NewReader(src, DefaultLimits)
	var p Pipeline
	if err := r.Next(&p, 10); err != nil || len(p.Commands) != 2 {
		t.Fatalf("got %d commands and %v, want the 2 that are whole", len(p.Commands), err)
	}
	if r.Buffered() {
		t.Error("Buffered with half a command")
	}
	go func() { _, _ = io.WriteString(peer, "NG\r\n") }()
	if args, err := r.ReadCommand(); err != nil || string(args[0]) != "PING" {
		t.Errorf("got %q, %v, want the command that arrived in two pieces", args, err)
	}
}

func TestProtocolErrorComesAfterTheCommandsBeforeIt(t *testing.T) {
	r := NewReader(strings.NewReader("PING\r\nPING\r\n*x\r\nPING\r\n"), DefaultLimits)
	var p Pipeline
	if err := r.Next(&p, 10); err != nil || len(p.Commands) != 2 {
		t.Fatalf("got %d commands and %v, want 2", len(p.Commands), err)
	}
	if !r.Buffered() {
		t.Error("not Buffered, but the fault is here")
	}
	for range 3 {
		if err := r.Next(&p, 10); err != errMultibulkLength || len(p.Commands) != 0 {
			t.Fatalf("got %d commands and %v, want none and %v", len(p.Commands), err, errMultibulkLength)
		}
	}
}

func TestBuffered(t *testing.T) {
	for _, tc := range []struct {
		rest string
		want bool
	}{
		{"", false},
		{"\r\n*0\r\n", false},
		{"PIN", false},
		{"*1\r\n$4\r\nPING\r", false},
		{"*1\r\n$4\r\nPING\r\n", true},
		{"\r\nPING\n", true},
		{"*x\r\n", true},
		{`ECHO "a b"` + "\n", true},
		{`ECHO "a` + "\n", true},
	} {
		src, peer := io.Pipe()
		go func() { _, _ = io.WriteString(peer, "PING\r\n"+tc.rest) }()
		r := NewReader(src, DefaultLimits)
		first, err := r.ReadCommand()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := r.Buffered(); got != tc.want {
				t.Errorf("%q: got %v, want %v", tc.rest, got, tc.want)
			}
		}
		if string(first[0]) != "PING" {
			t.Errorf("%q: Buffered has changed the command before to %q", tc.rest, first)
		}
		if strings.HasPrefix(tc.rest, `ECHO "a b`) {
			if args, err := r.ReadCommand(); err != nil || len(args) != 2 || string(args[1]) != "a b" {
				t.Errorf("%q: got %q, %v", tc.rest, args, err)
			}
		}
		peer.Close()
	}
	r := NewReader(iotest.DataErrReader(strings.NewReader("PING\r\n")), DefaultLimits)
	if _, err := r.ReadCommand(); err != nil || !r.Buffered() {
		t.Errorf("error %v; the end of the stream is here, so Buffered must be true", err)
	}
}

// A login changes the limits for what has arrived already.
func TestSetLimits(t *testing.T) {
	big := strings.Repeat("v", 20_000)
	r := NewReader(bytes.NewReader(encode([]string{"AUTH", "pw"}, []string{"SET", "k", big})), UnauthenticatedLimits)
	var p Pipeline
	if err := r.Next(&p, 10); err != nil || len(p.Commands) != 1 {
		t.Fatalf("got %d commands and %v, want AUTH alone", len(p.Commands), err)
	}
	r.SetLimits(DefaultLimits)
	if args, err := r.ReadCommand(); err != nil || len(args) != 3 || string(args[2]) != big {
		t.Errorf("after SetLimits: %d arguments, %v", len(args), err)
	}

	r = NewReader(strings.NewReader("PING\r\nECHO \"a\\x41\" \"b\r\n"), UnauthenticatedLimits)
	if err := r.Next(&p, 10); err != nil {
		t.Fatal(err)
	}
	r.SetLimits(DefaultLimits)
	if _, err := r.ReadCommand(); err != errInlineQuotes {
		t.Errorf("unbalanced quotes: got %v, want %v under any limits", err, errInlineQuotes)
	}
}

// interrupted is a source whose every second read is cut off by a deadline.
type interrupted struct {
	pieces
	odd bool
}

func (s *interrupted) Read(b []byte) (int, error) {
	if s.odd = !s.odd; s.odd {
		return 0, os.ErrDeadlineExceeded
	}
	return s.pieces.Read(b)
}

func TestDeadlineLosesNothing(t *testing.T) {
	input := encode([]string{"SET", "k", "value"}, []string{"GET", "k"})
	r := NewReader(&interrupted{pieces: pieces{data: input, sizes: []int{3}}}, DefaultLimits)
	var names []string
	deadlines := 0
	for {
		args, err := r.ReadCommand()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			deadlines++
			continue
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, string(args[0]))
	}
	if got := strings.Join(names, " "); got != "SET GET" || deadlines < len(input)/3 {
		t.Errorf("got %q after %d deadlines, want both commands", got, deadlines)
	}
}

func TestSourceErrors(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(strings.NewReader("PING\r\nPI"), iotest.ErrReader(broken)), DefaultLimits)
	if _, err := r.ReadCommand(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadCommand(); err != broken {
		t.Errorf("got %v, want the error of the source", err)
	}
	r = NewReader(readerFunc(func([]byte) (int, error) { return 0, nil }), DefaultLimits)
	if _, err := r.ReadCommand(); err != io.ErrNoProgress {
		t.Errorf("got %v, want %v", err, io.ErrNoProgress)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// What is declared does not decide what is allocated.
func TestHostileLengths(t *testing.T) {
	for _, in := range []string{
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc",
		"*1048576\r\n$1\r\na\r\n",
		"*1048576\r\n$536870912\r\n",
	} {
		before := allocated()
		r := NewReader(strings.NewReader(in), DefaultLimits)
		if _, err := r.ReadCommand(); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: got %v, want %v", in, err, io.ErrUnexpectedEOF)
		}
		if got := allocated() - before; got > 2*bufferKeep {
			t.Errorf("%q made us allocate %d bytes", in, got)
		}
	}
}

// A command of a million arguments that arrives in small pieces takes linear
// time: parsed from the start with every piece it would not end today.
func TestManyArgumentsInSmallPieces(t *testing.T) {
	const args = 1 << 20
	input := append([]byte("*"+strconv.Itoa(args)+"\r\n"), bytes.Repeat([]byte("$1\r\na\r\n"), args)...)
	r := NewReader(&pieces{data: input, sizes: []int{11}}, DefaultLimits)
	got, err := r.ReadCommand()
	if err != nil || len(got) != args || string(got[args-1]) != "a" {
		t.Fatalf("%d arguments, %v; want %d", len(got), err, args)
	}
	if _, err := r.ReadCommand(); err != io.EOF {
		t.Fatal(err)
	}
	if got := r.footprint(); got > 2*bufferBase {
		t.Errorf("%d bytes are held after the command, want about %d", got, bufferBase)
	}
}

// A large argument is not copied from one large buffer into another: the last but one has at most half of it, and the one before that an eighth.
func TestBufferGrowsToWhatIsMissing(t *testing.T) {
	for _, size := range []int{1 << 20, 16<<20 - 1, 16 << 20, 40 << 20} {
		input := encode([]string{"SET", "k", strings.Repeat("v", size)})
		r := NewReader(&pieces{data: input, sizes: []int{100_000}}, DefaultLimits)
		before := allocated()
		if args, err := r.ReadCommand(); err != nil || len(args[2]) != size {
			t.Fatal(err)
		}
		got := allocated() - before
		if most := uint64(size + size/2 + size/6 + 4*bufferKeep); got > most {
			t.Errorf("an argument of %d bytes made us allocate %d, want at most %d", size, got, most)
		}
	}
}

// footprint returns about how many bytes r holds on to.
func (r *Reader) footprint() int {
	const spanSize, sliceSize = 16, 24
	return cap(r.buf) + spanSize*cap(r.cmd.args) + sliceSize*(cap(r.one.args)+cap(r.one.Commands)+cap(r.one.ends)/3)
}

func TestBufferShrinks(t *testing.T) {
	input := encode([]string{"SET", "k", strings.Repeat("v", 10<<20)})
	small := encode([]string{"GET", "k"})
	src := &pieces{data: append(input, small...), sizes: []int{100_000}}
	r := NewReader(src, DefaultLimits)
	args, err := r.ReadCommand()
	if err != nil || len(args[2]) != 10<<20 {
		t.Fatal(err)
	}
	if got := cap(r.buf); got > 11<<20 {
		t.Errorf("10 MiB arrived and the buffer has %d bytes", got)
	}
	for range 2 {
		_, err = r.ReadCommand()
	}
	if got := r.footprint(); err != io.EOF || got > 2*bufferBase {
		t.Errorf("after a small command: %d bytes held, %v", got, err)
	}

	// A long pipeline gets a larger buffer, for as long as it goes on.
	src.data, src.sizes = bytes.Repeat(small, 100_000), nil
	largest := 0
	var p Pipeline
	for err = r.Next(&p, 10_000); err == nil; err = r.Next(&p, 10_000) {
		largest = max(largest, cap(r.buf))
	}
	if largest != bufferKeep {
		t.Errorf("the buffer grew to %d for a long pipeline, want %d", largest, bufferKeep)
	}
	src.data, src.sizes = bytes.Repeat(small, 2*quietMax), []int{len(small)}
	for err = r.Next(&p, 10); err == nil; err = r.Next(&p, 10) {
	}
	if got := r.footprint(); err != io.EOF || got > 2*bufferBase {
		t.Errorf("after single commands: %d bytes held, %v", got, err)
	}
}

func TestReaderAllocs(t *testing.T) {
	input := bytes.Repeat(encode([]string{"SET", "key:000000000001", "value"}), 16)
	src := &pieces{}
	r := NewReader(readerFunc(func(b []byte) (int, error) {
		if len(src.data) == 0 {
			src.data = input
		}
		return src.Read(b)
	}), DefaultLimits)
	var p Pipeline
	if n := testing.AllocsPerRun(1000, func() {
		if err := r.Next(&p, 1000); err != nil || len(p.Commands) != 16 {
			t.Fatalf("%d commands, %v", len(p.Commands), err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per pipeline, want 0", n)
	}
}

func TestParseInt(t *testing.T) {
	for _, s := range []string{"0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"} {
		want, _ := strconv.ParseInt(s, 10, 64)
		if got, ok := parseInt([]byte(s)); !ok || got != want {
			t.Errorf("%q: got %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "-", "+1", "-0", "00", "01", "-01", " 1", "1 ", "1a", "0x1", "1_0", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999"} {
		if got, ok := parseInt([]byte(s)); ok {
			t.Errorf("%q: got %d, want a refusal", s, got)
		}
	}
}
