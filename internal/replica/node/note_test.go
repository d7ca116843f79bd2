package node

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestNoteBytes(t *testing.T) {
	h := Heard{Contact: Contact{"db-1.example", 6379, 6380}, Applied: 1 << 40}
	b := appendNote(nil, h)
	if got, want := hex.EncodeToString(b), "01"+"0000010000000000"+"18eb"+"18ec"+hex.EncodeToString([]byte("db-1.example")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if back, err := parseNote(b); err != nil || back != h {
		t.Errorf("got %+v, %v", back, err)
	}
	for n := range noteStart {
		if _, err := parseNote(b[:n]); err == nil {
			t.Errorf("the first %d bytes are a note", n)
		}
	}
	for _, host := range []string{"a b", "a\n", "a,b", "a@b", "\x80", strings.Repeat("x", hostMost+1)} {
		if back, err := parseNote(append(b[:noteStart:noteStart], host...)); err == nil {
			t.Errorf("%q is a host: %+v", host, back)
		}
	}
	if _, err := parseNote(append([]byte{noteFormat + 1}, b[1:]...)); err == nil {
		t.Error("another format is read")
	}
}

func FuzzParseNote(f *testing.F) {
	f.Add(appendNote(nil, Heard{Contact: Contact{"a", 1, 2}, Applied: 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseNote(b); err == nil && string(appendNote(nil, h)) != string(b) {
			t.Errorf("%x is %+v", b, h)
		}
	})
}
