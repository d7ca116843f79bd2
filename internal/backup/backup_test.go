package backup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// image is a snapshot as far as this package sees it.
type image struct {
	text   string
	before func() // is called when the first byte is about to be written
	err    error  // comes behind the text
}

func (i image) WriteTo(w io.Writer) (n int64, err error) {
	if i.before != nil {
		i.before()
	}
	for _, c := range []byte(i.text) {
		m, err := w.Write([]byte{c})
		if n += int64(m); err != nil {
			return n, err
		}
	}
	return n, i.err
}

var sampleHeader = Header{Created: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Server: "v1"}

func sample(t testing.TB, keys string) []byte {
	t.Helper()
	src := Source{Snapshot: image{text: "the snapshot"}, Header: sampleHeader, Keys: func() ([]byte, error) { return []byte(keys), nil }}
	var b bytes.Buffer
	if err := Write(&b, src); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	for _, keys := range []string{"", "{}", strings.Repeat("k", 1<<20)} {
		r := iotest.OneByteReader(bytes.NewReader(sample(t, keys)))
		h, err := Open(r)
		if err != nil {
			t.Fatal(err)
		}
		if !h.Created.Equal(sampleHeader.Created) || h.Server != "v1" || string(h.Keys) != keys || h.Sealed() != (keys != "") {
			t.Errorf("got %+v", h)
		}
		if rest, err := io.ReadAll(r); string(rest) != "the snapshot" || err != nil {
			t.Errorf("got %q, %v", rest, err)
		}
	}
}

// The bytes of the format.
func TestBytes(t *testing.T) {
	const want = `454b564241434b0a` + `00000001` + `0000003e` +
		`7b2263726561746564223a22323032362d31312d32385431323a30303a30305a222c22736572766572223a227631222c226b657973223a2265313074227d` +
		`0c29b4d2` + `74686520736e617073686f74`
	got := hex.EncodeToString(sample(t, "{]-"))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The keys are read when the snapshot has begun, so they have the one that it is sealed under.
func TestKeysAreReadLate(t *testing.T) {
	keys := "old"
	var b bytes.Buffer
	src := Source{Snapshot: image{"x", func() { keys = "new" }, nil}, Keys: func() ([]byte, error) { return []byte(keys), nil }}
	if err := Write(&b, src); err != nil {
		t.Fatal(err)
	}
	if h, err := Open(&b); err != nil || string(h.Keys) != "new" {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestWriteFails(t *testing.T) {
	broken := errors.New("broken")
	for name, src := range map[string]Source{
		"snapshot": {Snapshot: image{"x", nil, broken}, Keys: func() ([]byte, error) { return nil, nil }},
		"keys":     {Snapshot: image{"x", nil, nil}, Keys: func() ([]byte, error) { return nil, broken }},
	} {
		if err := Write(io.Discard, src); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A header that is cut anywhere, or has a changed byte, is refused in words.
func TestDamage(t *testing.T) {
	whole := sample(t, "keys")
	head := len(whole) - len("the snapshot")
	for n := range head {
		if h, err := Open(bytes.NewReader(whole[:n])); !errors.Is(err, ErrNotBackup) && !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: got %+v, %v", n, h, err)
		}
	}
	for n := range head {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[n] ^= 1 << bit
			if h, err := Open(bytes.NewReader(b)); !errors.Is(err, ErrNotBackup) && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooNew) {
				t.Errorf("byte %d, bit %d: got %+v, %v", n, bit, h, err)
			}
		}
	}
	broken := errors.New("broken")
	for n := range head {
		if _, err := Open(io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("a disk that fails after %d bytes: got %v", n, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(sample(f, "keys"))
	f.Add([]byte("EKVBACK\n\x00\x00\x00\x01\x03\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := Open(bytes.NewReader(text))
		if (h == nil) == (err == nil) {
			t.Errorf("got %+v, %v", h, err)
		}
	})
}
