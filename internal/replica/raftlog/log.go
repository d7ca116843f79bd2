package raftlog

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/zerofill"
)

// Options say how a log is opened; the zero value works.
type Options struct {
	FS     vfs.FS       // default: the machine's
	Logger *slog.Logger // of the engine; default: none
	// TailBytes is how much of the end of each group's log is kept in memory, so that followers that
	// are not far behind cost no reading of the disk. Default 16 MiB.
	TailBytes int
	Seal      Seal // how entries are sealed on the disk; by default they are clear
	// EngineBytes is the memory of the engine: of blocks that were read and of memtables, of which there may be three. Less
	// than 16 MiB counts as that. Default 200 MiB.
	EngineBytes int64
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.TailBytes == 0 {
		o.TailBytes = 16 << 20
	}
	if o.EngineBytes == 0 {
		o.EngineBytes = 200 << 20
	}
	o.EngineBytes = max(o.EngineBytes, 16<<20)
	return o
}

// Log is the log of a node. Its methods are safe for any number of goroutines. What comes into the log of
// one group comes from one at a time; its beginning may be cut off meanwhile.
type Log struct {
	o  Options
	db *pebble.DB

	// order is held while a batch is filled, committed and shown: what the log shows is what the disk has, but for commit
	// indexes.
	order sync.Mutex
	owes  bool // something was written that is not synced; order's
	// The row of the format that there is, or is about to be; order's.
	format byte
	made   promised // order's, but for the watermark

	mu struct {
		sync.Mutex
		groups map[GroupID]*Group
		closed bool
		failed error // the first one is final: nobody knows what is on the disk
	}
}

// Open opens the log in dir, which it creates if need be. Only one process has it open.
func Open(dir string, o Options) (*Log, error) {
	o = o.withDefaults()
	l := &Log{o: o}
	l.mu.groups = map[GroupID]*Group{}
	if err := l.open(dir); err != nil {
		return nil, fmt.Errorf("raftlog: open %s: %w", dir, err)
	}
	return l, nil
}

func (l *Log) open(dir string) (err error) {
	if l.made, err = findPromised(dir, l.o); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.made.close())
		}
	}()
	if l.db, err = pebble.Open(dir, engineOptions(l.o)); damaged(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	} else if err != nil {
		return err
	}
	if err = l.checkPromised(dir); err == nil {
		err = l.checkFormat()
	}
	if err != nil {
		return errors.Join(err, l.db.Close())
	}
	return nil
}

// damaged reports whether the engine has found something else in its files than it has written.
func damaged(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, record.ErrInvalidChunk) || errors.Is(err, record.ErrZeroedChunk) || errors.Is(err, record.ErrUnexpectedEOF)
}

// engineOptions are those of a log: what is written is mostly cut off before it would reach a
// table, so the memtable is large, and what is read is mostly in memory, so the cache is small.
func engineOptions(o Options) *pebble.Options {
	cache := min(o.EngineBytes/4, 8<<20)
	const memtables = 3 // one that is filled, one that is written to a table, and one kept for the next
	return &pebble.Options{
		FS: zerofill.FS{FS: o.FS},
		// Pinned, so that a new release of the engine does not make a folder unreadable for the one before.
		FormatMajorVersion: pebble.FormatValueSeparation, // part of the format
		CacheSize:          cache,
		MemTableSize:       uint64(min((o.EngineBytes-cache)/memtables, 64<<20)),
		Logger:             engineLogger{o.Logger},
	}
}

func (l *Log) checkFormat() error {
	row, ok, err := l.row(formatKey)
	switch {
	case err != nil:
		return err
	case !ok:
		l.format = formatClear
		return l.change(pebble.Sync, func(b *pebble.Batch) error { return b.Set(formatKey, []byte{formatClear}, nil) }, func() {})
	case len(row) != 1:
		return fmt.Errorf("%w: format in %d bytes", ErrDamaged, len(row))
	case row[0] > formatSealed:
		return fmt.Errorf("%w (format %d, this program knows %d)", ErrNewerFormat, row[0], formatSealed)
	}
	l.format = row[0]
	return nil
}

// row returns a copy of a row, and whether there is one.
func (l *Log) row(key []byte) ([]byte, bool, error) { return rowOf(l.db, key) }

func rowOf(db *pebble.DB, key []byte) ([]byte, bool, error) {
	row, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	row = append([]byte(nil), row...)
	return row, true, closer.Close()
}

// Close closes the log, once. Its groups are of no more use.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.mu.closed
	l.mu.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	err := errors.Join(l.writeNoted(), l.db.Close())
	if err == nil && l.Failure() == nil {
		err = l.made.all() // the engine has synced the rest
	}
	return errors.Join(err, l.made.close())
}

// writeNoted writes the commit indexes that were only noted, if the log can still be written.
func (l *Log) writeNoted() error {
	if l.Failure() != nil {
		return nil
	}
	return l.change(pebble.NoSync, func(b *pebble.Batch) error {
		for _, g := range l.groups() {
			if err := b.Set(appendKey(nil, g.id, rowHard), appendHard(nil, g.HardState()), nil); err != nil {
				return err
			}
		}
		return nil
	}, func() {})
}

func (l *Log) groups() []*Group {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.mu.groups))
}

// Failure returns the error that has ended the log, if one has. A node whose log has failed ends: what
// it has told others may not be on its disk.
func (l *Log) Failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failed
}

// Write is what one group adds to its log.
type Write struct {
	Group *Group
	// Entries take the place of all entries from the index of the first one on.
	Entries []*pb.Entry
	Hard    *pb.HardState // nil: as it was
}

// Write makes writes of any number of groups durable, with one fsync for all of them. When it
// returns, and not earlier, others may be told. It keeps the entries, which do not change any more.
//
// A commit index is no promise: whoever has lost it learns it again. Where nothing else was written since the last
// fsync, none is needed, and the index is noted until more of the group is written. Then it has to be: raft looks for changes of members
// among the entries that it knows to be committed, and who has the second of two, and does not know that of the first, would ask members
// of before both for votes.
func (l *Log) Write(writes []Write) error { return l.write(writes, pebble.Sync) }

// WriteLater is Write without the fsync, for what nobody is told: a crash may take it back, and then
// all that was written behind it too.
func (l *Log) WriteLater(writes []Write) error { return l.write(writes, pebble.NoSync) }

func (l *Log) write(writes []Write, sync *pebble.WriteOptions) error {
	l.order.Lock()
	defer l.order.Unlock()
	promises := slices.ContainsFunc(writes, Write.promises)
	if !promises && !(sync.Sync && l.owes) {
		for _, w := range writes {
			w.Group.wrote(w, l.o.TailBytes)
			w.Group.noted = w.Group.noted || w.Hard != nil
		}
		return l.Failure()
	}
	return l.changeLocked(sync, func(b *pebble.Batch) error {
		// Of two writes of one group the second follows the first.
		ends := map[*Group]uint64{}
		for _, w := range writes {
			last, ok := ends[w.Group]
			if !ok {
				last = w.Group.lastIndex()
				if err := l.putNoted(b, w.Group); err != nil {
					return err
				}
			}
			last, err := l.put(b, w, last)
			if err != nil {
				return err
			}
			ends[w.Group] = last
		}
		return nil
	}, func() {
		for _, w := range writes {
			w.Group.wrote(w, l.o.TailBytes)
			w.Group.noted = false
		}
	})
}

// putNoted adds the commit index of g to b, if that was only noted.
func (l *Log) putNoted(b *pebble.Batch, g *Group) error {
	if !g.noted {
		return nil
	}
	return b.Set(appendKey(nil, g.id, rowHard), appendHard(nil, g.HardState()), nil)
}

// promises reports whether w has more than a commit index that its group does not have yet.
func (w Write) promises() bool {
	if len(w.Entries) > 0 || w.Hard == nil {
		return len(w.Entries) > 0
	}
	before := w.Group.HardState()
	return w.Hard.GetTerm() != before.GetTerm() || w.Hard.GetVote() != before.GetVote()
}

// putEntries adds the rows of entries to b, sealed as they are to be now. The caller holds order.
func (l *Log) putEntries(b *pebble.Batch, g GroupID, entries []*pb.Entry) (err error) {
	if len(entries) == 0 {
		return nil
	}
	under := l.o.Seal.key()
	if under != 0 && l.format != formatSealed {
		l.format = formatSealed
		if err := b.Set(formatKey, []byte{formatSealed}, nil); err != nil {
			return err
		}
	}
	var key, row []byte
	for _, e := range entries {
		key = appendEntryKey(key[:0], g, e.GetIndex())
		if row, err = l.o.Seal.appendRow(row[:0], g, e, under); err != nil {
			return err
		}
		if err := b.Set(key, row, nil); err != nil {
			return err
		}
	}
	return nil
}

// put adds the rows of w to b, and returns the last index of the log that they make of one that
// ended at last.
func (l *Log) put(b *pebble.Batch, w Write, last uint64) (uint64, error) {
	g := w.Group.id
	if err := l.putEntries(b, g, w.Entries); err != nil {
		return last, err
	}
	if n := len(w.Entries); n > 0 {
		end := w.Entries[n-1].GetIndex()
		if first := w.Entries[0].GetIndex(); first > last+1 {
			panic(fmt.Sprintf("raftlog: group %d: entry %d behind %d", g, first, last))
		}
		if end < last {
			if err := b.DeleteRange(appendEntryKey(nil, g, end+1), appendEntryKey(nil, g, last+1), nil); err != nil {
				return last, err
			}
		}
		last = end
	}
	if w.Hard != nil {
		return last, b.Set(appendKey(nil, g, rowHard), appendHard(nil, w.Hard), nil)
	}
	return last, nil
}

// change writes what fill puts into a batch, and shows it. An error is final.
func (l *Log) change(sync *pebble.WriteOptions, fill func(*pebble.Batch) error, show func()) error {
	l.order.Lock()
	defer l.order.Unlock()
	return l.changeLocked(sync, fill, show)
}

// changeLocked is change for who holds order.
func (l *Log) changeLocked(sync *pebble.WriteOptions, fill func(*pebble.Batch) error, show func()) error {
	if err := l.Failure(); err != nil {
		return err
	}
	b := l.db.NewBatch()
	err := fill(b)
	if err == nil {
		err = b.Set(writesKey, l.made.next(), nil) // so it is never empty: the engine would not sync what was written before
	}
	if err == nil {
		err = b.Commit(sync)
	}
	if closeErr := b.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = l.made.wrote(sync.Sync)
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.mu.failed = fmt.Errorf("raftlog: write: %w", err)
		return l.mu.failed
	}
	l.owes = !sync.Sync
	show()
	return nil
}

// Create makes a group whose log begins behind the mark and has nothing in it, as the replicas of
// a new group have it, or one that is about to get a snapshot.
func (l *Log) Create(g GroupID, at Mark, hard *pb.HardState) error {
	if _, ok, err := l.row(appendKey(nil, g, rowTruncated)); err != nil || ok {
		return errors.Join(err, fmt.Errorf("%w: %d", ErrGroupExists, g))
	}
	return l.change(pebble.Sync, func(b *pebble.Batch) error {
		return errors.Join(b.Set(appendKey(nil, g, rowTruncated), appendMark(nil, at), nil),
			b.Set(appendKey(nil, g, rowHard), appendHard(nil, hard), nil))
	}, func() {})
}

// Truncate cuts off the beginnings of logs, up to and with the marks. The data has all those
// entries on the disk: a crash may take back the cut, but never the data that it relies on.
func (l *Log) Truncate(marks map[*Group]Mark) error {
	return l.change(pebble.NoSync, func(b *pebble.Batch) error {
		for g, m := range marks {
			from := g.truncated().Index
			if m.Index <= from {
				continue
			}
			err := errors.Join(b.Set(appendKey(nil, g.id, rowTruncated), appendMark(nil, m), nil),
				b.DeleteRange(appendEntryKey(nil, g.id, from+1), appendEntryKey(nil, g.id, m.Index+1), nil))
			if err != nil {
				return err
			}
		}
		return nil
	}, func() {
		for g, m := range marks {
			g.cut(m)
		}
	})
}

// BeginInstall notes that the data of a group is about to be replaced by that of a snapshot at m.
func (l *Log) BeginInstall(g *Group, m Mark) error {
	return l.change(pebble.Sync, func(b *pebble.Batch) error {
		return b.Set(appendKey(nil, g.id, rowIntent), appendMark(nil, m), nil)
	}, func() {})
}

// FinishInstall has the log of a group begin behind the snapshot at m, which the data has now, on the
// disk. hard is the state from then on.
func (l *Log) FinishInstall(g *Group, m Mark, hard *pb.HardState) error {
	return l.change(pebble.Sync, func(b *pebble.Batch) error { return putStart(b, g.id, m, hard) }, func() { g.restart(m, hard) })
}

// putStart replaces all that a group has by a log that begins behind m.
func putStart(b *pebble.Batch, g GroupID, m Mark, hard *pb.HardState) error {
	return errors.Join(
		b.DeleteRange(appendKey(nil, g, rowEntry), appendKey(nil, g, rowEntry+1), nil),
		b.Delete(appendKey(nil, g, rowIntent), nil),
		b.Set(appendKey(nil, g, rowTruncated), appendMark(nil, m), nil),
		b.Set(appendKey(nil, g, rowHard), appendHard(nil, hard), nil))
}

// engineLogger passes what the engine reports on.
type engineLogger struct{ log *slog.Logger }

func (e engineLogger) Infof(format string, args ...any)  { e.log.Debug(fmt.Sprintf(format, args...)) }
func (e engineLogger) Errorf(format string, args ...any) { e.log.Error(fmt.Sprintf(format, args...)) }
func (e engineLogger) Fatalf(format string, args ...any) {
	panic("raftlog: engine: " + fmt.Sprintf(format, args...))
}
