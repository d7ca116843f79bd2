package crashable

import (
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Files are used again and again while the disk crashes again and again. On the bare file system this does not end.
func TestReuseDuringCrashes(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := FS{mem}
	file, err := fs.Create("0", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !stop.Load() {
			mem.CrashClone(vfs.CrashCloneCfg{})
		}
	}()
	names := []string{"0", "1"}
	for i := range 20_000 {
		file, err := fs.ReuseForWrite(names[i%2], names[(i+1)%2], vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	<-stopped
}

// What is written is found, from the beginning of the file; what was there behind it stays, as on a real disk.
func TestReuseWritesFromTheBeginning(t *testing.T) {
	fs := FS{vfs.NewCrashableMem()}
	write := func(file vfs.File, err error, text string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	file, err := fs.Create("old", vfs.WriteCategoryUnspecified)
	write(file, err, "before")
	file, err = fs.ReuseForWrite("old", "new", vfs.WriteCategoryUnspecified)
	write(file, err, "at")
	if _, err := fs.Stat("old"); err == nil {
		t.Error("the old name is still there")
	}
	file, err = fs.Open("new")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text := make([]byte, 6)
	if _, err := file.Read(text); err != nil || string(text) != "atfore" {
		t.Errorf("%q, %v, want atfore", text, err)
	}
}
