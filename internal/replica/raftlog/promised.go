package raftlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/internal/watermark"
)

// The engine takes damage in the newest file of its log for the place where a power cut has torn that off, in most places, and
// opens what is before it. So every write counts, and says in a row of its own how many there are with it and how many of
// them were on the disk when it was made:
//
//	| name of the log (16) | writes (8) | on the disk (8) | CRC-32C of these (4) |     under "\0\0\0\0writes"
//
// A log that is opened must have as many as were ever known to be on the disk: by the watermark, or by a row like that
// anywhere in the files of the engine's log, be it behind the damage or left over in a file that is used again. Whoever can write entries
// cannot make up a row, since nobody outside knows the name.
//
// None may be missing in between, either (replay.go). Not noticed is what was written last before a power cut and is lost
// with the watermark that knows of it.
var writesKey = []byte("\x00\x00\x00\x00writes") // part of the format; never change

const (
	markFile = "WRITES" // part of the format; never change; the watermark
	rowSize  = len(watermark.ID{}) + 8 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// promised is how many writes a log has, and had.
type promised struct {
	mark   *watermark.File // nil until the log has one
	writes uint64          // that were made; synced ones, and those in the engine's hands
	synced uint64          // of them
}

func appendWrites(dst []byte, id watermark.ID, writes, synced uint64) []byte {
	from := len(dst)
	dst = append(dst, id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, writes)
	dst = binary.BigEndian.AppendUint64(dst, synced)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

// parseWrites decodes the row that b begins with, if that is one.
func parseWrites(b []byte) (id watermark.ID, writes, synced uint64, ok bool) {
	if len(b) < rowSize {
		return id, 0, 0, false
	}
	n := copy(id[:], b)
	sum := binary.BigEndian.Uint32(b[rowSize-4:])
	return id, binary.BigEndian.Uint64(b[n:]), binary.BigEndian.Uint64(b[n+8:]), crc32.Checksum(b[:rowSize-4], castagnoli) == sum
}

// findPromised finds out what a log must have, and whether it has it without a hole, before the engine changes its files.
func findPromised(dir string, o Options) (p promised, err error) {
	if _, err := o.FS.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	p.mark, err = watermark.Open(o.FS, dir, markFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, nil
	case errors.Is(err, watermark.ErrDamaged):
		return p, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return p, err
	}
	if err = p.search(o.FS, dir); err == nil {
		err = p.checkReplay(dir, o, lock)
	}
	if err != nil {
		return p, errors.Join(err, p.close())
	}
	return p, nil
}

// search has the watermark say what rows in the files of the engine's log say.
func (p *promised) search(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		f, err := fsys.Open(fsys.PathJoin(dir, name))
		if err != nil {
			return err
		}
		highest, err := highestSynced(f, p.mark.ID())
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if err := p.mark.Raise(highest); err != nil {
			return err
		}
	}
	return p.mark.Sync()
}

// highestSynced returns the most that a row of a log says was on the disk, wherever it is in r.
func highestSynced(r io.Reader, id watermark.ID) (highest uint64, err error) {
	buf := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := io.ReadFull(r, buf[kept:])
		b := buf[:kept+n]
		for i := bytes.Index(b, id[:]); i >= 0; {
			if _, _, synced, ok := parseWrites(b[i:]); ok {
				highest = max(highest, synced)
			}
			next := bytes.Index(b[i+1:], id[:])
			if next < 0 {
				break
			}
			i += 1 + next
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return highest, nil
		}
		if err != nil {
			return 0, err
		}
		kept = copy(buf, b[max(0, len(b)-rowSize+1):]) // a row may begin there
	}
}

// checkPromised compares what the log has with what it must have. One that was written by a release that did not count begins to.
func (l *Log) checkPromised(dir string) error {
	row, ok, err := l.row(writesKey)
	if err != nil {
		return err
	}
	p := &l.made
	if p.mark == nil {
		if ok {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, markFile)
		}
		p.mark, err = watermark.Create(l.o.FS, dir, markFile)
		return err
	}
	if ok {
		if p.writes, err = p.count(row); err != nil {
			return err
		}
	}
	switch must := p.mark.At(); {
	case must == forgotten:
		return fmt.Errorf("%w: another replica has had more of it", ErrForgotten)
	case p.writes < must:
		return fmt.Errorf("%w: its files have %d writes, and %d were on the disk", ErrForgotten, p.writes, must)
	}
	p.synced = p.writes // by the engine, which has opened them
	return nil
}

// count returns how many writes the row says there are.
func (p *promised) count(row []byte) (uint64, error) {
	id, writes, _, whole := parseWrites(row)
	if !whole || len(row) != rowSize || id != p.mark.ID() {
		return 0, fmt.Errorf("%w: %s is of another log", ErrDamaged, markFile)
	}
	return writes, nil
}

// next returns the row of the next write.
func (p *promised) next() []byte {
	return appendWrites(make([]byte, 0, rowSize), p.mark.ID(), p.writes+1, p.synced)
}

// wrote says that the next write was made, and whether it was synced with all before it.
func (p *promised) wrote(synced bool) error {
	p.writes++
	if !synced {
		return nil
	}
	return p.all()
}

// all says that all writes are on the disk.
func (p *promised) all() error {
	p.synced = p.writes
	return p.mark.Raise(p.synced)
}

func (p *promised) close() error {
	if p.mark == nil {
		return nil
	}
	return p.mark.Close()
}

// Settle has what Open goes by survive a power cut, too: how many writes are on the disk. Until then damage in the writes
// since is noticed only as long as one behind it is whole. Nobody waits for it.
func (l *Log) Settle() error {
	if err := l.made.mark.Sync(); err != nil {
		return fmt.Errorf("raftlog: write: %w", err)
	}
	return nil
}

// forgotten is more writes than any log has.
const forgotten = math.MaxUint64

// Condemn says that the log has lost something, so that it is opened no more.
func (l *Log) Condemn() error { return errors.Join(l.made.mark.Raise(forgotten), l.Settle()) }
