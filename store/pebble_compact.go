package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// compactTriesMost is how often a compaction looks at the same keys again because of
// writes among them before it looks at them under the apply lock.
const compactTriesMost = 3

// compaction is the state of Compact, kept across calls and in a row.
type compaction struct {
	running chan struct{}   // holds one token while Compact runs
	pass    *compactionPass // unfinished; nil when there is nothing to resume. Guarded by running.
	pace    pace            // Guarded by running.
}

// pace is how much a compaction has done, and others meanwhile.
type pace struct {
	worked      time.Duration // since it last paused
	dropped     int           // rows that it has deleted one by one since then
	passed      uint64        // rows that it has looked at since the pass began, or was taken up
	began, last uint64        // what pebbleStore.written was then, and when it last paused
}

const (
	// pauseAfter is how long a compaction works before it pauses. Rows that it looks at come, unlike most that others want,
	// from the disk, and go through the same cache of blocks: whoever reads meanwhile waits for it again and again.
	pauseAfter = 3 * time.Millisecond
	// pauseShare is how long it pauses for each moment that it has worked, and pauseShareBehind the same while others
	// write faster than it gets on.
	pauseShare, pauseShareBehind = 0.5, 0.25
	// pauseForDrop is how long it pauses besides for each one that it has deleted: a deletion is a write like any other, of one
	// to two microseconds, and is flushed and merged later. With that it takes about a quarter of a processor; without, a
	// backlog leaves writers a fourth of their speed.
	pauseForDrop = 5 * time.Microsecond
	// aheadBy is how many rows it looks at for each that others write, at least, whatever that costs them: else what there is
	// to delete would become more and more.
	aheadBy = 2
)

// pause gives way, now and then, to the other callers that are in the store, if there are any.
func (s *pebbleStore) pause(ctx context.Context) {
	p := &s.compaction.pace
	if p.worked < pauseAfter {
		return
	}
	written := s.written.Load()
	rest := time.Duration(pauseShare*float64(p.worked)) + time.Duration(p.dropped)*pauseForDrop
	if p.passed < aheadBy*(written-p.began) {
		rest = time.Duration(pauseShareBehind * float64(p.worked))
	}
	others := s.gate.shared() || written != p.last
	p.worked, p.dropped, p.last = 0, 0, written
	if !others {
		return
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done(): // the next step says so
	}
}

// compactionPass is how far a pass over all keys has come. It begins anywhere, goes on
// to the end, and then from the beginning to where it began: so a pass to a
// higher floor also resumes where an unfinished one had stopped.
type compactionPass struct {
	floor   uint64 // the timestamp it compacts to
	since   uint64 // up to here no key had garbage when it began
	ranges  uint64 // range tombstones up to here have nothing left to hide when it ends
	begin   []byte // user key
	next    []byte // user key
	wrapped bool   // it has been at the end

	epoch uint64 // of the keys it is about; not encoded, for a row is of the first epoch
	whole bool   // all of it was made by this process; not encoded
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
//	| floor (8) | since (8) | ranges (8) | wrapped (1) | length (4) | begin | next … |
func (p *compactionPass) append(dst []byte) []byte {
	for _, ts := range []uint64{p.floor, p.since, p.ranges} {
		dst = binary.BigEndian.AppendUint64(dst, ts)
	}
	wrapped := byte(0)
	if p.wrapped {
		wrapped = 1
	}
	dst = binary.BigEndian.AppendUint32(append(dst, wrapped), uint32(len(p.begin)))
	return append(append(dst, p.begin...), p.next...)
}

func parseCompactionPass(row []byte) (*compactionPass, error) {
	const head = 3*8 + 1 + 4
	if len(row) < head || row[24] > 1 || uint64(len(row)-head) < uint64(binary.BigEndian.Uint32(row[25:])) {
		return nil, fmt.Errorf("%w: compaction cursor %x", errValueDamaged, row)
	}
	n := head + int(binary.BigEndian.Uint32(row[25:]))
	return &compactionPass{
		floor:   binary.BigEndian.Uint64(row),
		since:   binary.BigEndian.Uint64(row[8:]),
		ranges:  binary.BigEndian.Uint64(row[16:]),
		wrapped: row[24] == 1,
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
	w := s.newWrite(directPath)
	w.locked = func(w *write) error {
		s.apply.stagedFloor = max(s.apply.stagedFloor, ts)
		return putMeta(w.batch, metaRetentionFloor, s.apply.stagedFloor)
	}
	if err := w.commit(); err != nil {
		return err
	}
	s.publish.Lock()
	defer s.publish.Unlock()
	if s.publish.epoch == w.epoch && s.floor.Load() < ts {
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
	written := s.written.Load()
	s.compaction.pace = pace{began: written, last: written}
	s.progress.begin(s.compaction.pass.floor)
	defer s.progress.leave()
	err := s.runPass(ctx, s.compaction.pass)
	if err == nil {
		s.progress.finish()
	}
	if err == nil || errors.Is(err, errRestored) {
		s.compaction.pass = nil
	}
	return err
}

// beginPass raises the floor to minTS and sets the pass that brings it about; or
// it takes up the pass that is unfinished, or leaves none if there is nothing to do.
func (s *pebbleStore) beginPass(minTS uint64) error {
	p := s.compaction.pass
	s.apply.Lock()
	if p != nil && p.epoch != s.apply.epoch {
		p = nil // its keys have been replaced
	}
	next := &compactionPass{
		floor: minTS, since: s.apply.clean, ranges: min(minTS, s.apply.stagedTS),
		begin: []byte{}, epoch: s.apply.epoch, whole: true,
	}
	s.apply.Unlock()
	if minTS > s.floor.Load() {
		if p != nil {
			next.begin, next.since = p.next, min(next.since, p.since)
		}
		next.next = next.begin
		if err := s.raiseFloor(minTS); err != nil {
			return err
		}
		// From here on every write at or below the floor is noted.
		s.apply.Lock()
		s.apply.lateLow = maxTS
		next.since = min(next.since, s.apply.clean)
		s.apply.Unlock()
		p = next
	}
	s.compaction.pass = p
	return nil
}

var (
	// errRestored ends a compaction whose keys a restore has replaced.
	errRestored = errors.New("store: compaction ended by a restore")
	// errWrittenMeanwhile says that what was collected may no longer be garbage.
	errWrittenMeanwhile = errors.New("store: written to while garbage was collected")
)

// runPass does what is left of p.
func (s *pebbleStore) runPass(ctx context.Context, p *compactionPass) error {
	for more := true; more; {
		err := s.compactStep(ctx, p, func(w *write, g *garbage) (err error) {
			more, err = g.collectExpired(w)
			return err
		})
		if err != nil {
			return err
		}
		s.pause(ctx)
	}
	for !p.finished() {
		next := *p
		err := s.compactStep(ctx, p, func(w *write, g *garbage) error {
			next = *p
			if err := g.collect(&next); err != nil {
				return err
			}
			return w.batch.Set(metaCompactionCursor, next.append(nil), nil)
		})
		if err != nil {
			return err
		}
		*p = next
		s.pause(ctx)
	}
	return s.finishPass(p)
}

// compactStep runs collect, which gathers garbage from some keys, and deletes that in one
// small batch.
//
// The keys are looked at without a lock. That stays right unless a version is
// written at or below the floor meanwhile, which could lie under a tombstone that
// is about to go; or anything at all into a range that is about to go. Then the keys are
// looked at again, in the end under the lock.
func (s *pebbleStore) compactStep(ctx context.Context, p *compactionPass, collect func(*write, *garbage) error) error {
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.gate.closing() {
			return ErrClosed
		}
		err := s.tryCompactStep(p, try > compactTriesMost, collect)
		if !errors.Is(err, errWrittenMeanwhile) && !errors.Is(err, errKeyTooOld) {
			return err
		}
	}
}

func (s *pebbleStore) tryCompactStep(p *compactionPass, underLock bool, collect func(*write, *garbage) error) error {
	w := s.newWrite(idlePath)
	g := garbage{s: s, w: w, floor: p.floor, since: p.since, began: s.progress.clock()}
	defer func() {
		s.compaction.pace.worked += g.worked()
		s.versions.forget(g.gone)
		s.pages.forget(g.gone)
	}()
	var seen *collecting
	if !underLock {
		seen = s.beginCollecting()
		defer s.endCollecting(seen)
		if err := collect(w, &g); err != nil {
			return firstError(err, w.batch.Close())
		}
	}
	w.locked = func(w *write) error {
		switch {
		case s.apply.epoch != p.epoch:
			return errRestored
		case underLock:
			return collect(w, &g)
		case seen.spoils(g.ranges):
			return errWrittenMeanwhile
		}
		return nil
	}
	if err := w.commit(); err != nil {
		return err
	}
	s.compaction.pace.dropped += g.dropped
	s.compaction.pace.passed += uint64(g.looked)
	s.progress.step(g.work())
	return nil
}

// finishPass lets go of the range tombstones that hide nothing any more, and notes that
// there is no garbage left.
func (s *pebbleStore) finishPass(p *compactionPass) error {
	old := s.ranges.Load()
	drop := old != nil && old.low <= p.ranges
	if drop {
		// No row is left under them. What the cache has of such rows must go before they do.
		s.versions.forgetCovered(old, p.ranges)
	}
	w := s.newWrite(idlePath)
	w.locked = func(w *write) error {
		if s.apply.epoch != p.epoch {
			return errRestored
		}
		if drop {
			w.rangesGone = true
			if err := s.dropRanges(w, p.ranges); err != nil {
				return err
			}
		}
		if p.whole {
			clean := p.floor
			if s.apply.lateLow <= clean {
				clean = max(s.apply.lateLow, 1) - 1
			}
			if clean > s.apply.clean {
				s.apply.clean = clean
				if err := putMeta(w.batch, metaClean, clean); err != nil {
					return err
				}
			}
		}
		return w.batch.Delete(metaCompactionCursor, nil)
	}
	return w.commit()
}

// dropRanges deletes the rows of the range tombstones up to ts.
func (s *pebbleStore) dropRanges(w *write, ts uint64) error {
	return s.eachRange(s.db, func(t rangeTombstone) error {
		if t.ts > ts {
			return nil
		}
		return w.batch.Delete(appendRangeKey(nil, t), nil)
	})
}
