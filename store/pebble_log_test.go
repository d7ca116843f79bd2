package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// olderLogs returns what a process leaves that has begun new files of the engine's log before it had written what is in the old ones to
// tables, and those of these files that are not the newest. Its last commit is of timestamp last.
func olderLogs(t *testing.T, last uint64) (mem *vfs.MemFS, names []string) {
	t.Helper()
	mem = vfs.NewCrashableMem()
	held, free := make(chan struct{}), make(chan struct{})
	close(free)
	hold := &atomic.Pointer[chan struct{}]{}
	hold.Store(&free)
	s := openTest(t, "db", WithFS(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			<-*hold.Load()
		}
		return nil
	}))))
	hold.Store(&held)
	for ts := uint64(1); ts <= last; ts++ {
		must(t, s.PutAt(context.Background(), fmt.Append(nil, "key", ts), bytes.Repeat([]byte("v"), int(ts)), ts, 0))
		if ts%(last/4) == last/8 {
			_, err := s.db.AsyncFlush()
			must(t, err)
		}
	}
	mem = leftBehind(t, mem, "", nil)
	close(held)
	must(t, s.Close())
	all, err := mem.List("db")
	must(t, err)
	for _, n := range all {
		if strings.HasSuffix(n, ".log") {
			names = append(names, "db/"+n)
		}
	}
	slices.Sort(names)
	if len(names) < 4 {
		t.Fatalf("the log has the files %v", names)
	}
	return mem, names[:len(names)-1]
}

// What the disk changes in an older file of the log is noticed, although all that comes later is whole, or nothing is lost.
func TestDamagedOlderLog(t *testing.T) {
	skipUnderRace(t)
	const last = 40
	mem, names := olderLogs(t, last)
	refused, flips := 0, 0
	check := func(what, name string, content []byte) (isRefused bool) {
		t.Helper()
		after := leftBehind(t, mem, name, content)
		opened, err := NewPebbleStore("db", WithFS(after))
		if err != nil {
			if _, again := NewPebbleStore("db", WithFS(after)); !errors.Is(err, ErrDamagedFolder) || !errors.Is(again, ErrDamagedFolder) {
				t.Fatalf("%s, %s: %v, and the second time: %v", name, what, err, again)
			}
			return true
		}
		for ts := uint64(1); ts <= last; ts++ {
			if _, err := opened.GetAt(context.Background(), fmt.Append(nil, "key", ts), last); err != nil {
				t.Fatalf("%s, %s: it is opened, and what was committed at %d is gone: %v", name, what, ts, err)
			}
		}
		must(t, opened.Close())
		return false
	}
	for _, name := range names {
		f, err := mem.Open(name)
		must(t, err)
		whole, err := io.ReadAll(f)
		must(t, errors.Join(err, f.Close()))
		number := binary.LittleEndian.AppendUint32(nil, logNumber(t, name))
		next := binary.LittleEndian.AppendUint32(nil, logNumber(t, name)+1)
		for i := 7; ; { // where the first chunk has it
			damaged := bytes.Clone(whole)
			copy(damaged[i:], next)
			check(fmt.Sprintf("byte %d says that it is of the next file", i), name, damaged)
			if !check(fmt.Sprintf("cut off at %d", i-7), name, whole[:i-7]) {
				t.Errorf("%s is cut off at %d and opened", name, i-7)
			}
			more := bytes.Index(whole[i+1:], number)
			if more < 0 {
				break
			}
			i += 1 + more
		}
		for i := 0; i < len(bytes.TrimRight(whole, "\x00")); i++ {
			damaged := bytes.Clone(whole)
			damaged[i] ^= 1 << (i % 8)
			if flips++; check(fmt.Sprintf("byte %d of %d", i, len(whole)), name, damaged) {
				refused++
			}
		}
	}
	if refused < flips/2 {
		t.Errorf("refused %d times of %d", refused, flips)
	}
	if check("whole", "", nil) {
		t.Error("it is refused without damage")
	}
}

// logNumber returns the number of a file of the engine's log.
func logNumber(t *testing.T, name string) uint32 {
	t.Helper()
	number, _, ok := wal.ParseLogFilename(strings.TrimPrefix(name, "db/"))
	if !ok {
		t.Fatalf("%s has no number", name)
	}
	return uint32(number)
}

// The end that the engine gives a file is found wherever it is, and nothing else is taken for it.
func TestLogEnd(t *testing.T) {
	skipUnderRace(t)
	const name = "db/000007.log"
	for _, synced := range []bool{false, true} {
		for size := logBlock - 80; size < logBlock+40; size++ {
			mem := vfs.NewMem()
			must(t, mem.MkdirAll("db", 0o755))
			writeFile := func(name string, content []byte) {
				t.Helper()
				f, err := mem.Create(name, vfs.WriteCategoryUnspecified)
				must(t, err)
				_, err = f.Write(content)
				must(t, errors.Join(err, f.Close()))
			}
			f, err := mem.Create(name, vfs.WriteCategoryUnspecified)
			must(t, err)
			log := record.NewLogWriter(f, 7, record.LogWriterConfig{WriteWALSyncOffsets: func() bool { return synced }})
			for _, n := range []int{100, size - 140, 12} {
				_, err := log.WriteRecord(make([]byte, n))
				must(t, err)
			}
			must(t, log.Close())
			writeFile("db/000009.log", nil)
			if err := (wholeLogs{mem}).check(name); err != nil {
				t.Fatalf("synced %v, %d bytes: %v", synced, size, err)
			}
			if size%10 > 0 {
				continue
			}
			f, err = mem.Open(name)
			must(t, err)
			whole, err := io.ReadAll(f)
			must(t, errors.Join(err, f.Close()))
			end := len(bytes.TrimRight(whole, "\x00")) - 8 // the number of the next file is small
			for bit := range logEndSize * 8 {
				damaged := bytes.Clone(whole)
				damaged[end+bit/8] ^= 1 << (bit % 8)
				writeFile(name, damaged)
				files, err := wal.Scan(wal.Dir{FS: mem, Dirname: "db"})
				must(t, err)
				_, ends, err := logEnd(files[0])
				must(t, err)
				if err := (wholeLogs{mem}).check(name); ends != errors.Is(err, errLogCut) {
					t.Fatalf("synced %v, %d bytes, bit %d: the engine takes it for the end: %v, and we: %v", synced, size, bit, ends, err)
				}
			}
		}
	}
}
