package machine

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMountedAt(t *testing.T) {
	const mounts = "disk / ext4 rw 0 0\nproc /proc proc rw 0 0\nmem /tmp tmpfs rw 0 0\nover /tmp xfs rw 0 0\nshort\n"
	for path, want := range map[string]string{"/": "ext4", "/tmp": "xfs", "/tmp/a": "xfs", "/tmpfile": "ext4", "/proc/1": "proc"} {
		if got := mountedAt(mounts, path); got != want {
			t.Errorf("%s is on %s, want %s", path, got, want)
		}
	}
	if got := mountedAt("", "/"); got != unknown {
		t.Errorf("got %s, want %s", got, unknown)
	}
}

func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	m := This(t.Context(), t.TempDir(), time.Unix(0, 0))
	m.commit = "abc+"
	var b bytes.Buffer
	if err := m.Write(&b); err != nil || !strings.Contains(b.String(), "\ndate: 1970-01-01T00:00:00Z\ncommit: abc+\n") {
		t.Errorf("got %q, %v", b.String(), err)
	}
	if err := m.Keep("", "store", b.Bytes()); err != nil {
		t.Errorf("without a folder: %v", err)
	}
	if err := m.Keep(dir, "store", b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := m.Keep(dir, "store", b.Bytes()); err == nil {
		t.Error("a report is overwritten")
	}
	got, err := os.ReadFile(filepath.Join(dir, "store-19700101T000000Z-abc.txt"))
	if err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("got %q, %v", got, err)
	}
}
