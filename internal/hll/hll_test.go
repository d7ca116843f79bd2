package hll

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// most is the size at which a Sketch becomes dense if nobody says otherwise.
const most = 3000

// TestRedis holds bytes and counts to what a real redis-server has made of the same elements.
func TestRedis(t *testing.T) {
	text, err := os.ReadFile("testdata/redis.txt")
	if err != nil {
		t.Fatal(err)
	}
	s, seen := New(), 0
	s.Forget()
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' {
			continue
		}
		var n, length int
		var count uint64
		var sum uint32
		var encoding string
		if _, err := fmt.Sscanf(line, "%d %d %d %x %s", &n, &count, &length, &sum, &encoding); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for ; seen < n; seen++ {
			add(t, &s, fmt.Sprintf("element %d", seen))
		}
		if got := s.Bytes(); len(got) != length || crc32.ChecksumIEEE(got) != sum {
			t.Errorf("after %d elements: %d bytes with sum %08x, want %d with %08x", n, len(got), crc32.ChecksumIEEE(got), length, sum)
		}
		if got, err := s.Count(); got != count || err != nil {
			t.Errorf("after %d elements: counts %d, %v; want %d", n, got, err, count)
		}
		if got := s.Dense(); got != (encoding == "dense") {
			t.Errorf("after %d elements: dense is %v", n, got)
		}
	}
}

func add(t *testing.T, s *Sketch, element string) bool {
	t.Helper()
	changed, err := s.Add([]byte(element), most)
	if err != nil {
		t.Fatalf("add %q: %v", element, err)
	}
	return changed
}

// TestSparseIsDense says that both layouts hold the same registers, at whatever size the one
// becomes the other.
func TestSparseIsDense(t *testing.T) {
	for _, size := range []int{0, 18, 25, 100, 1000, most, 1 << 20} {
		rnd := rand.New(rand.NewPCG(1, uint64(size)))
		a, b := New(), New()
		if err := b.ToDense(); err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			// Values above chance's, and registers near each other, so that opcodes are split and joined.
			i, v := rnd.IntN(200)*80%Registers+rnd.IntN(8), byte(1+rnd.IntN(3))
			if rnd.IntN(1000) == 0 {
				v = byte(1 + rnd.IntN(51))
			}
			x, err := a.Raise(i, v, size)
			if err != nil {
				t.Fatal(err)
			}
			if y, _ := b.Raise(i, v, size); x != y {
				t.Fatalf("register %d to %d: sparse says %v, dense %v", i, v, x, y)
			}
		}
		if !a.Dense() && len(a.Bytes()) > max(size, 18) {
			t.Errorf("%d bytes and still sparse at a limit of %d", len(a.Bytes()), size)
		}
		if !bytes.Equal(registersOf(t, a), registersOf(t, b)) {
			t.Errorf("limit %d: the registers differ", size)
		}
	}
}

// TestSparseLimit says that a Sketch stays sparse up to the limit itself, and at any size while it
// does not grow.
func TestSparseLimit(t *testing.T) {
	for limit, dense := range map[int]bool{19: true, 20: false} {
		s := New()
		if _, err := s.Raise(5, 1, limit); err != nil || s.Dense() != dense {
			t.Errorf("20 bytes at a limit of %d: dense is %v (%v)", limit, s.Dense(), err)
		}
	}
	s := New()
	if _, err := s.Raise(5, 1, most); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Raise(5, 32, 0); err != nil || !changed || s.Dense() {
		t.Errorf("one value in place of another: changed %v, dense %v (%v)", changed, s.Dense(), err)
	}
	if _, err := s.Raise(5, 33, most); err != nil || !s.Dense() {
		t.Errorf("33 is in a sparse one (%v)", err)
	}
}

func registersOf(t *testing.T, s Sketch) []byte {
	t.Helper()
	var m Maxima
	if err := m.Merge(s); err != nil {
		t.Fatal(err)
	}
	return m[:]
}

func TestMaximaCountUnion(t *testing.T) {
	a, b, both := New(), New(), New()
	for i := range 5000 {
		e := fmt.Sprint(i)
		if i < 300 {
			add(t, &a, e)
		}
		if i >= 200 {
			add(t, &b, e)
		}
		add(t, &both, e)
	}
	var m Maxima
	for _, s := range []Sketch{a, b} {
		if err := m.Merge(s); err != nil {
			t.Fatal(err)
		}
	}
	want, err := both.Count()
	if err != nil || m.Count() != want {
		t.Errorf("the union counts %d, want %d (%v)", m.Count(), want, err)
	}
}

func TestCachedCount(t *testing.T) {
	s := New()
	if n, ok := s.Cached(); n != 0 || !ok {
		t.Errorf("new: %d, %v; want 0, true", n, ok)
	}
	s.Remember(7)
	if n, ok := s.Cached(); n != 7 || !ok {
		t.Errorf("remembered: %d, %v; want 7, true", n, ok)
	}
	add(t, &s, "a")
	if _, ok := s.Cached(); ok {
		t.Error("a change leaves the count valid")
	}
	if add(t, &s, "a") {
		t.Error("an element seen twice is a change")
	}
}

func TestOpen(t *testing.T) {
	header := magic + "\x01" + strings.Repeat("\x00", 11)
	for name, b := range map[string]string{
		"empty": "", "short": header[:15], "other magic": "HYLX" + header[4:], "other encoding": magic + "\x02" + header[5:],
		"dense, too short": magic + strings.Repeat("\x00", denseSize-5), "dense, too long": magic + strings.Repeat("\x00", denseSize-3),
	} {
		if _, err := Open([]byte(b)); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %v, want ErrHeader", name, err)
		}
	}
	for name, opcodes := range map[string]string{
		"no registers": "", "too few": "\x7f\xfe", "too many": "\x7f\xff\x00", "too many values": "\x7f\xfe\x81",
		"half an opcode": "\x7f\xfe\x40", "values behind the last": "\x7f\xff\x80",
	} {
		s, err := Open([]byte(header + opcodes))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := s.Count(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Count: %v, want ErrCorrupt", name, err)
		}
		if err := s.ToDense(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: ToDense: %v, want ErrCorrupt", name, err)
		}
		var m Maxima
		if err := m.Merge(s); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Merge: %v, want ErrCorrupt", name, err)
		}
	}
}

func TestSelfTest(t *testing.T) {
	if err := SelfTest(rand.New(rand.NewPCG(3, 4)).Uint64); err != nil {
		t.Error(err)
	}
}

// FuzzSketch does to any string all that can be done to a Sketch: it must not panic, and what
// counts as intact must stay so.
func FuzzSketch(f *testing.F) {
	small, large := New(), New()
	for i := range 100 {
		_, _ = small.Add(fmt.Append(nil, i), most)
	}
	if err := large.ToDense(); err != nil {
		f.Fatal(err)
	}
	f.Add(small.Bytes(), "a")
	f.Add(large.Bytes(), "b")
	f.Add([]byte(magic+"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff"), "")
	f.Add([]byte(magic+"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x80\x83\x40"), "c")
	f.Fuzz(func(t *testing.T, b []byte, element string) {
		s, err := Open(bytes.Clone(b))
		if err != nil {
			return
		}
		before, err := s.Count()
		intact := err == nil
		if !s.Dense() {
			_ = s.Decode()
		}
		changed, err := s.Add([]byte(element), 2*len(b))
		if intact && err != nil {
			t.Fatalf("intact, yet Add fails: %v", err)
		}
		after, err := s.Count()
		if intact && (err != nil || !changed && after != before) {
			t.Fatalf("counts %d, then %d (%v); changed: %v", before, after, err, changed)
		}
		var m Maxima
		if err := m.Merge(s); intact && (err != nil || m.Count() != after) {
			t.Fatalf("merged it counts %d, alone %d (%v)", m.Count(), after, err)
		}
		if err := s.ToDense(); intact && err != nil {
			t.Fatalf("intact, yet ToDense fails: %v", err)
		}
	})
}
