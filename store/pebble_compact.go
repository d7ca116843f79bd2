package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// compactDeletesMost is how many rows one batch of a compaction deletes; no
	// writer waits for more than that.
	compactDeletesMost = 512
	// compactRowsMost is how many rows it looks at before it makes its progress durable.
	compactRowsMost = 16 << 10
	// compactOneByOneMost is how many versions of one key are deleted one by one.
	// The rest goes by a range: few keys have so many, and a hot one has millions.
	compactOneByOneMost = 64
	// compactTriesMost is how often it looks at the same keys again because of
	// writes below the floor before it looks at them under the apply lock.
	compactTriesMost = 3
)

// compaction is the state of Compact, kept across calls and in a row.
type compaction struct {
	running chan struct{}   // holds one token while Compact runs
	pass    *compactionPass // unfinished; nil when there is nothing to resume. Guarded by running.
}

// compactionPass is how far a pass over all keys has come. It begins anywhere, goes on
// to the end, and then from the beginning to where it began: so a pass to a
// higher floor also resumes where an unfinished one had stopped.
type compactionPass struct {
	floor   uint64 // the timestamp it compacts to
	begin   []byte // user key
	next    []byte // user key
	wrapped bool   // it has been at the end
	epoch   uint64 // of the keys it is about; not encoded, for a row is of the first epoch
}

// finished reports whether nothing is left to do.
func (p *compactionPass) finished() bool { return p.wrapped && bytes.Compare(p.next, p.begin) >= 0 }

// span is what is left to do before the pass wraps or is finished.
func (p *compactionPass) span() Span {
	if p.wrapped {
		return Span{Start: p.next, End: p.begin}
	}
	return Span{Start: p.next}
}

// append encodes p as the row of the compaction cursor:
//
//	| floor (8) | wrapped (1) | length (4) | begin | next … |
func (p *compactionPass) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, p.floor)
	wrapped := byte(0)
	if p.wrapped {
		wrapped = 1
	}
	dst = binary.BigEndian.AppendUint32(append(dst, wrapped), uint32(len(p.begin)))
	return append(append(dst, p.begin...), p.next...)
}

func parseCompactionPass(row []byte) (*compactionPass, error) {
	const head = 8 + 1 + 4
	if len(row) < head || row[8] > 1 || uint64(len(row)-head) < uint64(binary.BigEndian.Uint32(row[9:])) {
		return nil, fmt.Errorf("%w: compaction cursor %x", errValueDamaged, row)
	}
	n := head + int(binary.BigEndian.Uint32(row[9:]))
	return &compactionPass{
		floor:   binary.BigEndian.Uint64(row),
		wrapped: row[8] == 1,
		begin:   cloneBytes(row[head:n]),
		next:    cloneBytes(row[n:]),
	}, nil
}

// SetMinRetainedTS implements RetentionController. The floor is durable when it
// returns; if it cannot be made so, it stays where it is.
func (s *pebbleStore) SetMinRetainedTS(ts uint64) {
	if err := s.enter(); err != nil {
		return
	}
	defer s.gate.leave()
	if err := s.raiseFloor(ts); err != nil {
		s.log.Error("store: retention floor not raised", slog.Uint64("ts", ts), slog.Any("err", err))
	}
}

// raiseFloor makes a floor of at least ts durable and then shows it.
func (s *pebbleStore) raiseFloor(ts uint64) error {
	if ts <= s.floor.Load() {
		return nil
	}
	b := s.db.NewBatch()
	staged, err := s.stage(write{batch: b, locked: func() error {
		s.apply.stagedFloor = max(s.apply.stagedFloor, ts)
		return putMeta(b, metaRetentionFloor, s.apply.stagedFloor)
	}})
	if err != nil {
		return err
	}
	epoch := staged.epoch
	if err := staged.Wait(); err != nil {
		return err
	}
	s.publish.Lock()
	defer s.publish.Unlock()
	if s.publish.epoch == epoch && s.floor.Load() < ts {
		s.floor.Store(ts)
	}
	return nil
}

// Compact implements MVCCStore. When ctx ends it, the next call resumes where it
// stopped, be it in another process.
func (s *pebbleStore) Compact(ctx context.Context, minTS uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	select {
	case s.compaction.running <- struct{}{}:
		defer func() { <-s.compaction.running }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.beginPass(minTS); err != nil || s.compaction.pass == nil {
		return err
	}
	for p := s.compaction.pass; !p.finished(); {
		err := s.compactStep(ctx, p)
		if errors.Is(err, errRestored) {
			s.compaction.pass = nil
		}
		if err != nil {
			return err
		}
	}
	s.compaction.pass = nil
	return nil
}

// beginPass raises the floor to minTS and sets the pass that brings it about; or
// it takes up the pass that is unfinished, or leaves none if there is nothing to do.
func (s *pebbleStore) beginPass(minTS uint64) error {
	s.apply.Lock()
	epoch := s.apply.epoch
	s.apply.Unlock()
	p := s.compaction.pass
	if p != nil && p.epoch != epoch {
		p = nil // its keys have been replaced
	}
	if minTS > s.floor.Load() {
		from := []byte{}
		if p != nil {
			from = p.next
		}
		p = &compactionPass{floor: minTS, begin: from, next: from, epoch: epoch}
		if err := s.raiseFloor(minTS); err != nil {
			return err
		}
	}
	s.compaction.pass = p
	return nil
}

var (
	// errRestored ends a compaction whose keys a restore has replaced.
	errRestored = errors.New("store: compaction ended by a restore")
	// errWrittenBelow says that what was collected may no longer be garbage.
	errWrittenBelow = errors.New("store: written below the floor")
)

// compactStep collects garbage from some keys and deletes it, together with the
// progress that this makes, in one small batch.
//
// The keys are looked at without a lock. That stays right unless a version is
// written at or below the floor meanwhile: it could lie under a tombstone that
// is about to go. Then the keys are looked at again, in the end under the lock.
func (s *pebbleStore) compactStep(ctx context.Context, p *compactionPass) error {
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.gate.closing() {
			return ErrClosed
		}
		next, err := s.tryCompactStep(*p, try > compactTriesMost)
		if errors.Is(err, errWrittenBelow) {
			continue
		}
		if err == nil {
			*p = next
		}
		return err
	}
}

func (s *pebbleStore) tryCompactStep(p compactionPass, underLock bool) (next compactionPass, err error) {
	b := s.db.NewBatch()
	var seen uint64
	var gone [][]byte // keys that lose their newest version
	defer func() { s.versions.forget(gone) }()
	if !underLock {
		s.apply.Lock()
		seen = s.apply.writtenBelow
		s.apply.Unlock()
		if next, gone, err = s.collectGarbage(b, p); err != nil {
			return p, firstError(err, b.Close())
		}
	}
	err = s.commit(write{batch: b, path: idlePath, locked: func() error {
		switch {
		case s.apply.epoch != p.epoch:
			return errRestored
		case !underLock && s.apply.writtenBelow != seen:
			return errWrittenBelow
		case underLock:
			var err error
			if next, gone, err = s.collectGarbage(b, p); err != nil {
				return err
			}
		}
		if next.finished() {
			return b.Delete(metaCompactionCursor, nil)
		}
		return b.Set(metaCompactionCursor, next.append(nil), nil)
	}})
	return next, err
}

// collectGarbage adds to b a deletion for each row that nobody can read any
// more, from p on, and returns the pass as it is once b is applied.
// gone are the keys of which nothing is left.
func (s *pebbleStore) collectGarbage(b *pebble.Batch, p compactionPass) (next compactionPass, gone [][]byte, err error) {
	iter, err := s.openSpan(p.span())
	if err != nil {
		return p, nil, err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	g := garbage{iter: iter, row: s.newRowDecoder(), batch: b, floor: p.floor}
	for ok := iter.First(); ok; {
		if g.full() {
			userKey, _, err := parseVersionKey(iter.Key())
			p.next = cloneBytes(userKey)
			return p, g.gone, err
		}
		if ok, err = g.key(); err != nil {
			return p, nil, err
		}
	}
	if p.wrapped {
		p.next = p.begin
	} else {
		p.wrapped, p.next = true, []byte{}
	}
	return p, g.gone, iter.Error()
}

// garbage collects the rows of one batch of a compaction.
type garbage struct {
	iter  *pebble.Iterator
	row   rowDecoder
	batch *pebble.Batch
	floor uint64

	rows    int // looked at
	deletes int
	bound   []byte // of the key at hand; a buffer
	kept    []byte // the row that reads at the floor see; a buffer
	gone    [][]byte
}

func (g *garbage) full() bool {
	return g.deletes >= compactDeletesMost || g.rows >= compactRowsMost
}

// key handles the key whose newest version iter is at, and moves to the next
// one, or stays within the key when the batch becomes full. It keeps every version above the
// floor and the newest other one, unless that one shows nothing and is alone:
// then it goes last, so that nothing below it comes back.
func (g *garbage) key() (ok bool, err error) {
	g.bound = append(g.bound[:0], boundOf(g.iter.Key())...)
	_, ts, err := parseVersionKey(g.iter.Key())
	if err != nil {
		return false, err
	}
	g.rows++
	newer := ts > g.floor
	if newer {
		g.kept = appendKeySuffix(append(g.kept[:0], g.bound...), g.floor)
		if !g.iter.SeekGE(g.kept) {
			return false, g.iter.Error()
		}
		if !bytes.Equal(boundOf(g.iter.Key()), g.bound) {
			return true, nil
		}
	}
	g.kept = append(g.kept[:0], g.iter.Key()...)
	row, err := g.iter.ValueAndErr()
	if err != nil {
		return false, err
	}
	v, err := g.row.header(row)
	if dead := !newer && !shown(v, g.floor); err == nil && dead {
		v, err = g.row.version(g.kept, row) // it goes by what it says, so that has to be true
	}
	if err != nil {
		return false, err
	}
	dropped := 0
	for ok = g.iter.Next(); ok && bytes.Equal(boundOf(g.iter.Key()), g.bound); ok = g.iter.Next() {
		if dropped == compactOneByOneMost {
			ok, err = g.dropRest()
			break
		}
		if g.full() {
			return true, nil
		}
		g.rows++
		dropped++
		if err := g.drop(g.iter.Key()); err != nil {
			return false, err
		}
	}
	if err != nil {
		return false, err
	}
	if !newer && !shown(v, g.floor) {
		g.gone = append(g.gone, cloneBytes(g.bound[keyHeadSize:len(g.bound)-1]))
		if err := g.drop(g.kept); err != nil {
			return false, err
		}
	}
	return ok, g.iter.Error()
}

// dropRest deletes the row at hand and all older ones of its key by one range,
// however many there are, and moves to the next key.
func (g *garbage) dropRest() (ok bool, err error) {
	g.deletes++
	userKey := g.bound[keyHeadSize : len(g.bound)-1]
	next := appendKeyBound(nil, append(append(make([]byte, 0, len(userKey)+1), userKey...), 0))
	if err := g.batch.DeleteRange(g.iter.Key(), next, nil); err != nil {
		return false, err
	}
	return g.iter.SeekGE(next), g.iter.Error()
}

func (g *garbage) drop(key []byte) error {
	g.deletes++
	return g.batch.Delete(key, nil)
}
