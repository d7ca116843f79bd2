package harm

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A step changes the time of day, and not how long something takes.
func TestStepped(t *testing.T) {
	began := time.Now()
	for _, by := range []time.Duration{0, time.Second, -time.Second, time.Hour, -time.Hour, 10000 * time.Hour} {
		at := Stepped(began, by)
		if got := at.UnixNano() - began.UnixNano(); got != int64(by) {
			t.Errorf("a step of %v is one of %d ns", by, got)
		}
		if took := at.Sub(began); took != 0 {
			t.Errorf("after a step of %v %v have passed", by, took)
		}
	}
}

// Who has the file sees each change of it.
func TestState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "harm")
	if err := (State{}).Write(file); err != nil {
		t.Fatal(err)
	}
	p, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []State{{Step: -time.Hour, Sync: time.Second}, {Step: time.Minute}, {}} {
		if err := s.Write(file); err != nil {
			t.Fatal(err)
		}
		if *p != (page{int64(s.Step / time.Second), int64(s.Sync)}) {
			t.Errorf("%+v is read as %+v", s, *p)
		}
	}
	if _, err := read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file is read that is not there")
	}
}

// A sync of a slow disk takes as long as was said, and does what it does.
func TestSlowFS(t *testing.T) {
	told.sync = int64(time.Millisecond)
	defer func() { told.sync = 0 }()
	mem := vfs.NewCrashableMem()
	fs := slowFS{mem}
	f, err := fs.Create("x", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	dir, err := fs.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	for _, sync := range []func() error{f.Sync, f.SyncData, dir.Sync, func() error { _, err := f.SyncTo(1); return err }} {
		began := time.Now()
		if err := sync(); err != nil || time.Since(began) < time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	}
	if info, err := mem.CrashClone(vfs.CrashCloneCfg{}).Stat("x"); err != nil || info.Size() != 1 {
		t.Errorf("what was synced is lost: %v, %v", info, err)
	}
}
