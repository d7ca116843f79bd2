package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var errPause = errors.New("nothing more for now")

// pausing yields its bytes in pieces, with errPause between some of them.
type pausing struct {
	src io.Reader
	rnd *rand.Rand
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.rnd.IntN(5) == 0 {
		return 0, errPause
	}
	return p.src.Read(b[:min(len(b), 1+p.rnd.IntN(5000))])
}

// What was read ahead, at any moment, is handed out later as if it had not been.
func TestReadAhead(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var input bytes.Buffer
	const commands = 300
	want := make([]string, commands)
	for i := range want {
		want[i] = fmt.Sprint(i) + strings.Repeat("x", rnd.IntN(1<<rnd.IntN(18)))
		fmt.Fprintf(&input, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(want[i]), want[i])
	}
	r := NewReader(&pausing{&input, rnd}, Limits{})
	var p Pipeline
	for i := 0; i < commands; {
		if rnd.IntN(3) == 0 {
			if err := r.ReadAhead(1 << 30); err != errPause && err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Fatal(err)
			}
		}
		switch err := r.Next(&p, 1+rnd.IntN(10)); err {
		case nil:
		case errPause:
			continue
		default:
			t.Fatalf("command %d: %v", i, err)
		}
		for _, args := range p.Commands {
			if string(args[1]) != want[i] {
				t.Fatalf("command %d: got %.50q (%d bytes), want %.50q (%d bytes)", i, args[1], len(args[1]), want[i], len(want[i]))
			}
			i++
		}
	}
	if err := r.Next(&p, 1); err != io.EOF && err != errPause {
		t.Errorf("after the last command: %v", err)
	}
}

func TestReadAheadLimit(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("PING\r\n"), zeros{})
	r := NewReader(endless, Limits{})
	var p Pipeline
	if err := r.Next(&p, 1); err != nil {
		t.Fatal(err)
	}
	const most = 1 << 20
	if err := r.ReadAhead(most); !errors.Is(err, ErrBacklog) {
		t.Errorf("got %v, want %v", err, ErrBacklog)
	}
	if n := len(r.buf); n > 3*most {
		t.Errorf("the buffer has grown to %d bytes for a limit of %d", n, most)
	}
	if err := NewReader(strings.NewReader(""), Limits{}).ReadAhead(most); err != io.EOF {
		t.Errorf("at the end: got %v, want EOF", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
