package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// readStage reads a finished stage.
func readStage(s *stage) (string, error) {
	r, err := s.open()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func TestStage(t *testing.T) {
	dir := t.TempDir()
	s, err := newStage(dir)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	write("given up")
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	want := "known" + strings.Repeat("x", 100_000) + "end"
	write("known")
	write("")
	write(strings.Repeat("x", 100_000))
	write("end")
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, err := readStage(s); got != want || err != nil {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	whole, err := os.ReadFile(s.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, clear := range []string{"known", "xxxx", "given"} {
		if bytes.Contains(whole, []byte(clear)) {
			t.Errorf("%q is on the disk", clear)
		}
	}
	damaged := map[string][]byte{"cut": whole[:len(whole)-1], "empty": nil, "more": append(bytes.Clone(whole), 0), "a write twice": append(bytes.Clone(whole), whole[:25]...),
		"the first left out": whole[25:]}
	for _, at := range []int{0, 3, 4, 10, 24, 30, len(whole) - 1} {
		changed := bytes.Clone(whole)
		changed[at] ^= 1
		damaged[fmt.Sprint("changed at ", at)] = changed
	}
	for name, text := range damaged {
		if err := os.WriteFile(s.file.Name(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readStage(s); !errors.Is(err, errStage) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}
