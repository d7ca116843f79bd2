package resp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestWriterKeeps writes strings of all sizes, kept or not, takes some of it back, and compares with one long text.
func TestWriterKeeps(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var w Writer
		var want []byte
		marks := []int{0}
		for step := range 60 {
			switch rng.IntN(12) {
			case 0:
				i := rng.IntN(len(marks))
				w.Truncate(marks[i])
				want, marks = want[:marks[i]], marks[:i+1]
			case 1:
				mark := marks[rng.IntN(len(marks))]
				w.ArraySince(mark, step)
				want = fmt.Appendf(bytes.Clone(want[:mark]), "*%d\r\n%s", step, want[mark:])
				marks = []int{0}
			case 2:
				if got := bytes.Join(w.Take(), nil); !bytes.Equal(got, want) {
					t.Fatalf("seed %d, step %d: Take returns something else than was written", seed, step)
				}
				want, marks = nil, []int{0}
			case 3:
				if !bytes.Equal(w.Bytes(), want) {
					t.Fatalf("seed %d, step %d: Bytes returns something else than was written", seed, step)
				}
				if w.Keeps() {
					t.Fatalf("seed %d, step %d: something is kept besides Bytes", seed, step)
				}
			case 4:
				w.Reset()
				want, marks = nil, []int{0}
			case 5, 6, 7:
				b := bytes.Repeat([]byte{byte(step)}, rng.IntN(100))
				w.Bulk(b)
				want = fmt.Appendf(want, "$%d\r\n%s\r\n", len(b), b)
			default:
				b := bytes.Repeat([]byte{byte(step)}, keptLeast-2+rng.IntN(4))
				w.BulkKept(b)
				want = fmt.Appendf(want, "$%d\r\n%s\r\n", len(b), b)
			}
			if w.Len() != len(want) {
				t.Fatalf("seed %d, step %d: Len is %d, want %d", seed, step, w.Len(), len(want))
			}
			mark := marks[rng.IntN(len(marks))]
			if since := w.Since(mark); !bytes.HasPrefix(want[mark:], since) || len(since) == 0 && mark < len(want) {
				t.Fatalf("seed %d, step %d: Since(%d) is %.50q of %d bytes", seed, step, mark, since, len(since))
			}
			marks = append(marks, w.Len())
		}
	}
}

// What is kept is not copied, and what Take returns stays as it is.
func TestTakenRepliesAreTheCallers(t *testing.T) {
	var w Writer
	large := bytes.Repeat([]byte("x"), keptLeast)
	w.BulkString("first")
	w.BulkKept(large)
	w.BulkString("last")
	if !w.Keeps() {
		t.Fatalf("a string of %d bytes is not kept", keptLeast)
	}
	pieces := w.Take()
	if len(pieces) != 3 || &pieces[1][0] != &large[0] {
		t.Errorf("%d pieces, want 3, and the second without a copy", len(pieces))
	}
	want := string(bytes.Join(pieces, nil))
	if w.Len() != 0 || w.Keeps() {
		t.Errorf("%d bytes are left, want none", w.Len())
	}
	for range 3 {
		w.BulkString("something else")
		w.Reset()
	}
	if got := string(bytes.Join(pieces, nil)); got != want {
		t.Error("what was taken has changed")
	}
}

func TestKeptWithinLimit(t *testing.T) {
	var w Writer
	w.Limit(2*keptLeast + 100)
	for range 3 {
		w.BulkKept(make([]byte, keptLeast))
	}
	if want := 2 * (keptLeast + len("$131072\r\n\r\n")); !w.Full() || w.Len() != want {
		t.Errorf("full %v, %d bytes; want true, %d", w.Full(), w.Len(), want)
	}
	w.Truncate(0)
	if w.BulkKept(make([]byte, keptLeast)); w.Full() || !w.Keeps() {
		t.Error("there is no room after Truncate")
	}
}
