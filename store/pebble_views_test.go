package store

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// waiting returns how many iterators wait for their next reader.
func (v *views) waiting() (n int) {
	for _, rack := range []*viewRack{&v.points, &v.spans} {
		for i := range rack {
			if slot := &rack[i]; slot.taken.CompareAndSwap(false, true) {
				if slot.view.iter != nil {
					n++
				}
				slot.leave()
			}
		}
	}
	return n
}

func TestViewsAreUsedAgain(t *testing.T) {
	s := openMem(t)
	open := func() view {
		v, err := s.views.open(&s.views.points, 3, &anywhere.askUpperFilters)
		must(t, err)
		return v
	}
	write := func() { must(t, s.PutAt(context.Background(), []byte("k"), nil, s.LastCommitTS()+1, 0)) }
	write()
	first := open()
	must(t, s.views.close(first))
	second := open()
	if second.iter != first.iter {
		t.Error("nothing was written, and another iterator was opened")
	}
	beside := open()
	if beside.iter == second.iter {
		t.Fatal("one iterator was handed out twice")
	}
	must(t, s.views.close(beside))
	write()
	must(t, s.views.close(second))
	if n := s.views.waiting(); n != 0 {
		t.Errorf("%d iterators from before a write wait for a reader", n)
	}
	must(t, s.views.close(open()))
	write()
	last := open()
	if last.at != s.views.begun.Load() {
		t.Error("an iterator from before a write was handed out")
	}
	must(t, s.views.close(last))
	other, err := s.views.open(&s.views.points, 3, &anywhere.askEveryFilter)
	must(t, err)
	if other.options != &anywhere.askEveryFilter {
		t.Error("an iterator with other options was handed out")
	}
	must(t, s.views.close(other))
}

// What is written while an iterator is being opened may be missing from it or not.
func TestViewsWhileWriting(t *testing.T) {
	s := openMem(t)
	written := s.views.changing()
	v, err := s.views.open(&s.views.spans, 0, &everyRow)
	must(t, err)
	written()
	must(t, s.views.close(v))
	if n := s.views.waiting(); n != 0 {
		t.Errorf("%d iterators that were opened during a write wait for a reader", n)
	}
}

// Iterators that wait keep no memtable and no table that the engine is done with.
func TestViewsLeaveFiles(t *testing.T) {
	ctx := context.Background()
	open := func(read func(s *pebbleStore)) (tables, memtables int64) {
		s := openMem(t)
		for ts := uint64(1); ts <= 3; ts++ {
			must(t, s.PutAt(ctx, []byte("k"), bytes.Repeat([]byte("v"), 100), ts, 0))
			read(s)
			must(t, s.db.Flush())
		}
		read(s)
		must(t, s.db.Compact(ctx, []byte{namespaceMeta, keySentinel}, appendDataEnd(nil), false))
		s.views.closing.drains.Wait()
		m := s.db.Metrics()
		return m.TableIters, m.MemTable.ZombieCount
	}
	wantTables, wantMemtables := open(func(*pebbleStore) {})
	tables, memtables := open(func(s *pebbleStore) {
		_, err := s.ScanAt(ctx, nil, nil, 10, maxTS)
		must(t, err)
		_, _, err = s.VersionAt(ctx, []byte("other"), maxTS)
		must(t, err)
	})
	if tables != wantTables || memtables != wantMemtables {
		t.Errorf("%d tables and %d memtables are open, without reads %d and %d", tables, memtables, wantTables, wantMemtables)
	}
}

// closingFS calls a function before a file that was opened to be read is closed.
type closingFS struct {
	vfs.FS
	closing func(path string)
}

func (fs closingFS) Open(path string, options ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(path, options...)
	if err != nil {
		return nil, err
	}
	return closingFile{f, func() { fs.closing(path) }}, nil
}

type closingFile struct {
	vfs.File
	closing func()
}

func (f closingFile) Close() error {
	f.closing()
	return f.File.Close()
}

// A reader whose view is the last to keep tables that a compaction has replaced does not wait until they are dropped.
func TestViewsDropNoTables(t *testing.T) {
	var compacted, closed atomic.Bool
	release := make(chan struct{})
	s := openTest(t, "db", WithFS(closingFS{vfs.NewMem(), func(path string) {
		if compacted.Load() && strings.HasSuffix(path, ".sst") {
			select {
			case <-release:
			case <-time.After(10 * time.Second):
				t.Error("whoever gives a view back waits until tables are closed")
			}
			closed.Store(true)
		}
	}}))
	ctx := context.Background()
	for ts := uint64(1); ts <= 2; ts++ {
		must(t, s.PutAt(ctx, []byte("k"), []byte("v"), ts, 0))
		must(t, s.db.Flush())
	}
	v, err := s.views.open(&s.views.points, 0, &anywhere.askEveryFilter)
	must(t, err)
	if !v.iter.First() {
		t.Fatal("no rows")
	}
	must(t, s.db.Compact(ctx, []byte{namespaceMeta, keySentinel}, appendDataEnd(nil), false))
	compacted.Store(true)
	must(t, s.views.close(v))
	close(release)
	s.views.closing.drains.Wait()
	if !closed.Load() {
		t.Error("no table was closed")
	}
}

func TestViewsEndWithTheStore(t *testing.T) {
	s := openMem(t)
	ctx := context.Background()
	must(t, s.PutAt(ctx, []byte("k"), []byte("v"), 1, 0))
	var readers sync.WaitGroup
	for range 3 * viewSlots {
		readers.Go(func() {
			if _, err := s.ScanAt(ctx, nil, nil, 10, 1); err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	must(t, s.Close()) // the engine refuses if an iterator is left
	if n := s.views.waiting(); n != 0 {
		t.Errorf("%d iterators wait in a closed store", n)
	}
	s.views.retire()
}

// Whoever reads at a timestamp that has been committed sees the commit, whichever iterator
// it is given.
func TestViewsShowCommits(t *testing.T) {
	s := openMem(t)
	ctx := context.Background()
	const writers, rounds = 4, 200
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range rounds {
				key, ts := fmt.Appendf(nil, "key %d", w), uint64(i*writers+w+1)
				if err := s.ApplyMutationsRaft(ctx, []*KVPairMutation{{Op: OpTypePut, Key: key, Value: fmt.Append(nil, i)}}, nil, ts, ts); err != nil {
					t.Error(err)
					return
				}
				v, err := s.GetAt(ctx, key, ts)
				if err != nil || string(v) != fmt.Sprint(i) {
					t.Errorf("writer %d reads %q (%v) after write %d", w, v, err, i)
				}
				rows, err := s.ScanAt(ctx, key, append(key, 0), 2, ts)
				if err != nil || len(rows) != 1 || string(rows[0].Value) != fmt.Sprint(i) {
					t.Errorf("writer %d scans %d rows (%v) after write %d", w, len(rows), err, i)
				}
			}
		})
	}
	all.Wait()
}

// Nor do they keep the tables that a restore has replaced.
func TestViewsLeaveWhatIsRestored(t *testing.T) {
	s := openMem(t)
	ctx := context.Background()
	must(t, s.PutAt(ctx, []byte("k"), []byte("v"), 1, 0))
	image, err := s.Snapshot()
	must(t, err)
	var stream bytes.Buffer
	_, err = image.WriteTo(&stream)
	must(t, firstError(err, image.Close()))
	must(t, s.db.Flush())
	s.views.closing.drains.Wait()
	_, err = s.ScanAt(ctx, nil, nil, 10, maxTS)
	must(t, err)
	if s.views.waiting() == 0 {
		t.Fatal("no iterator waits")
	}
	must(t, s.Restore(&stream))
	s.views.closing.drains.Wait()
	if n := s.views.waiting(); n != 0 {
		t.Errorf("%d iterators wait that read what was replaced", n)
	}
}

// slowDisk takes its time for everything that is read of a table.
func slowDisk(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt && strings.HasSuffix(op.Path, ".sst") {
			for began := time.Now(); time.Since(began) < 2*slowRead; {
				runtime.Gosched()
			}
		}
		return nil
	}))
}

// The time that reads wait for the disk is counted; that of what is in memory is not.
func TestReadWaits(t *testing.T) {
	disk := vfs.NewMem()
	s := openTest(t, "db", WithFS(disk), WithVersionCacheSize(-1))
	put := func(key string) {
		must(t, s.PutAt(context.Background(), []byte(key), []byte("v"), s.LastCommitTS()+1, 0))
	}
	for i := range 2000 { // an opening reads some blocks of the table, and not all
		put(fmt.Sprint("k", i))
	}
	must(t, s.db.Flush())
	must(t, s.Close())
	s = openTest(t, "db", WithFS(slowDisk(disk)), WithVersionCacheSize(-1))
	waits := func(key string) time.Duration {
		before := s.ReadWaits()
		if _, _, err := s.VersionAt(context.Background(), []byte(key), s.LastCommitTS()); err != nil {
			t.Fatal(err)
		}
		return s.ReadWaits() - before
	}
	waited := time.Duration(0)
	for i := range 2000 {
		waited += waits(fmt.Sprint("k", i))
	}
	if waited < slowRead {
		t.Errorf("the first reads of a table are said to have waited for the disk for %v", waited)
	}
	put("fresh")
	if d := waits("fresh"); d != 0 {
		t.Error("a read of what is in memory counts as one that waited for the disk")
	}
	must(t, s.db.Flush())
	before := s.ReadWaits()
	must(t, s.WalkAt(context.Background(), Span{}, Ascending, s.LastCommitTS(), func([]byte, VersionedValue) bool { return true }))
	if s.ReadWaits() == before {
		t.Error("a walk over a table that has not been read before does not count as a read that waited for the disk")
	}
}
