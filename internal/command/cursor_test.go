package command

import (
	"bytes"
	"fmt"
	"testing"
)

func TestCursorsRemember(t *testing.T) {
	c := NewCursors()
	for _, name := range []string{"", "a", "\x00\x00\x00", "user:1", "user:2", "\xff\xff\xff\xff"} {
		n := c.at([]byte(name))
		if n == 0 {
			t.Errorf("the cursor of %q is 0, which ends a scan", name)
		}
		if got := c.name(n); string(got) != name {
			t.Errorf("the cursor of %q leads to %q", name, got)
		}
	}
}

func TestForgottenCursorLeavesNothingOut(t *testing.T) {
	c := NewCursors()
	names := [][]byte{[]byte("a"), []byte("a\x00\x00b"), []byte("user:1"), []byte("\xff\xff\xff\xff")}
	var cursors []uint64
	for _, name := range names {
		cursors = append(cursors, c.at(name))
	}
	for i := range cursorsKept {
		c.at(fmt.Appendf(nil, "other %d", i))
	}
	if len(c.names) > cursorsKept {
		t.Errorf("%d positions are kept, want at most %d", len(c.names), cursorsKept)
	}
	for i, cursor := range cursors {
		got := c.name(cursor)
		if bytes.Compare(got, names[i]) > 0 || !bytes.HasPrefix(names[i], got) {
			t.Errorf("the forgotten cursor of %q goes on at %q, which may skip it", names[i], got)
		}
	}
}
