package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// newestLog returns the newest file of the log, what is in it, and up to where something is.
func newestLog(t *testing.T, mem *vfs.MemFS) (name string, content []byte, used int) {
	t.Helper()
	names, err := mem.List("db")
	must(t, err)
	for _, n := range names {
		if n = "db/" + n; strings.HasSuffix(n, ".log") && n > name {
			name = n
		}
	}
	f, err := mem.Open(name)
	must(t, err)
	content, err = io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return name, content, len(bytes.TrimRight(content, "\x00"))
}

// leftBehind returns what the end of the process leaves of the folder, with other bytes in a file of it.
func leftBehind(t *testing.T, mem *vfs.MemFS, name string, content []byte) *vfs.MemFS {
	t.Helper()
	mem = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	if name == "" {
		return mem
	}
	f, err := mem.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(bytes.Clone(content)) // it may change what it is given
	must(t, errors.Join(err, f.Close()))
	return mem
}

// What the disk changes in the newest file of the log, wherever that is, is noticed, or nothing is lost.
func TestDamagedEndOfLog(t *testing.T) {
	skipUnderRace(t)
	ctx := context.Background()
	for _, closed := range []bool{false, true} {
		mem := vfs.NewCrashableMem()
		s := openTest(t, "db", WithFS(mem))
		const last = 40
		for ts := uint64(1); ts <= last; ts++ {
			must(t, s.PutAt(ctx, []byte(fmt.Sprint("key", ts)), bytes.Repeat([]byte("v"), int(ts)), ts, 0))
		}
		if closed {
			must(t, s.Close())
		}
		mem = leftBehind(t, mem, "", nil)
		name, content, used := newestLog(t, mem)
		if used < 1000 {
			t.Fatalf("%s has %d bytes", name, used)
		}
		refused := 0
		check := func(what string, content []byte) {
			t.Helper()
			after := leftBehind(t, mem, name, content)
			s, err := NewPebbleStore("db", WithFS(after))
			if err == nil {
				if got := s.LastCommitTS(); got != last {
					t.Fatalf("%s: opened, and ends at %d of %d", what, got, last)
				}
				must(t, s.Close())
				return
			}
			if refused++; !errors.Is(err, ErrDamagedFolder) {
				t.Fatalf("%s: %v", what, err)
			}
			if _, again := NewPebbleStore("db", WithFS(after)); !errors.Is(again, ErrDamagedFolder) {
				t.Fatalf("%s: the second time: %v", what, again)
			}
			if refused%10 > 0 {
				return
			}
			if !strings.Contains(err.Error(), "remove db/COMMITTED") {
				t.Fatalf("%s: it does not say how to go on: %v", what, err)
			}
			must(t, after.Remove("db/COMMITTED"))
			s, err = NewPebbleStore("db", WithFS(after))
			must(t, err)
			must(t, s.PutAt(ctx, []byte("again"), nil, last+1, 0))
			must(t, s.Close())
			if _, err := after.Stat("db/COMMITTED"); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i < used; i += 3 {
			damaged := bytes.Clone(content)
			damaged[i] ^= 1 << (i % 8)
			check(fmt.Sprintf("closed %v, byte %d of %d", closed, i, used), damaged)
		}
		for _, n := range []int{0, used / 2, used - 12} {
			check(fmt.Sprintf("closed %v, %d of %d bytes", closed, n, used), content[:n])
		}
		if refused < used/4 {
			t.Errorf("closed %v: refused %d times", closed, refused)
		}
		check("whole", content)
	}
}

// Whoever applies a log brings back what is missing: the folder opens with what is left.
func TestDamagedEndOfLogOfReplica(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openTest(t, "db", WithFS(mem), WithFSMSyncMode(FSMNoSync))
	for n := uint64(1); n <= 10; n++ {
		must(t, s.ApplyCommitsRaftAt(context.Background(), []Commit{{TS: n, Mutations: put("k", "v")}}, n))
	}
	staged, err := s.Stage(context.Background(), nil)
	must(t, err)
	must(t, staged.Wait())
	mem = leftBehind(t, mem, "", nil)
	name, content, used := newestLog(t, mem)
	content[used/2] ^= 1
	after, err := NewPebbleStore("db", WithFS(leftBehind(t, mem, name, content)))
	must(t, err)
	if got := after.(Engine).LastAppliedIndex(); got >= 10 || got == 0 {
		t.Errorf("it has %d entries", got)
	}
	must(t, after.Close())
}

// A restore may end below what was acknowledged before it; the folder opens whatever becomes of it.
func TestRestoreLowersWatermark(t *testing.T) {
	ctx := context.Background()
	older := NewMVCCStore()
	must(t, older.PutAt(ctx, []byte("k"), []byte("old"), 5, 0))
	snapshot, err := older.Snapshot()
	must(t, err)
	var image bytes.Buffer
	_, err = snapshot.WriteTo(&image)
	must(t, errors.Join(err, snapshot.Close()))

	mem := vfs.NewCrashableMem()
	s := openTest(t, "db", WithFS(mem))
	must(t, s.PutAt(ctx, []byte("k"), []byte("new"), 100, 0))
	must(t, s.PutAt(ctx, []byte("k"), []byte("newer"), 101, 0))
	if err := s.Restore(strings.NewReader("no snapshot")); err == nil {
		t.Fatal("nonsense is restored")
	}
	must(t, s.Restore(bytes.NewReader(image.Bytes())))
	for _, want := range []uint64{5, 7} {
		after, err := NewPebbleStore("db", WithFS(leftBehind(t, mem, "", nil)))
		must(t, err)
		if got := after.LastCommitTS(); got != want {
			t.Errorf("it ends at %d, want %d", got, want)
		}
		must(t, after.Close())
		must(t, s.PutAt(ctx, []byte("k"), []byte("next"), 7, 0))
	}
}
