package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/elastickv/elastickv/encryption"
)

// Resealer is a store whose rows can be sealed, or sealed again under another key, while it
// is in use. The store of NewPebbleStore is one.
type Resealer interface {
	// KeepSealed notes, durably, that rows may be sealed: from now on the folder is not
	// opened without a cipher.
	KeepSealed() error
	// Reseal seals every row, in all of the history, that is clear or sealed under a key with
	// an id below o.Below. When it returns nil there is durably none left. That none comes
	// is up to the floor of WithSealFloor, of which the first is at least o.Below from before
	// the call on. When ctx ends it, the next call with the same o.Below goes on where it
	// stopped, be it in another process.
	Reseal(ctx context.Context, o ResealOptions) error
	// LowestKeyInUse returns an id that no key is below which an open snapshot may need;
	// math.MaxUint32 if none is open.
	LowestKeyInUse() uint32
}

var _ Resealer = (*pebbleStore)(nil)

// ResealOptions say what Reseal does.
type ResealOptions struct {
	Below uint32 // at least 1: clear rows count as sealed under 0
	// Throttle, if not nil, is called after each step with the bytes that the step has read
	// and written. It waits as long as it likes; an error of it ends Reseal.
	Throttle func(ctx context.Context, bytes int) error
	// Purge has the engine merge its tables in the end, so that they no longer hold what was
	// replaced.
	Purge bool
}

const (
	resealRowsMost   = 64        // rows that one step replaces; no writer waits for more than that
	resealBytesMost  = 256 << 10 // bytes of them
	resealLookedMost = 4 << 10   // rows that one step looks at
	resealEstimate   = 64        // steps between two estimates of what is left
)

// The engine's own rows about sealing. The mark says that rows may be sealed; like the registry it
// sorts below everything that a restore replaces. The cursor is how far a pass has come:
//
//	| below (4) | physical key at which it goes on … |
var (
	metaSealedMark   = []byte("\x00!sealed\x00")      // part of the format; never change
	metaResealCursor = []byte("\x00resealCursor\x00") // part of the format; never change

	// Below all that is sealed, and above. They are there while tables are written anew.
	metaPurgeFirst = []byte("\x00!purge\x00")                 // part of the format; never change
	metaPurgeLast  = []byte{namespaceExpiry + 1, keySentinel} // part of the format; never change
)

// KeepSealed implements Resealer.
func (s *pebbleStore) KeepSealed() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if _, ok, err := s.metaRow(metaSealedMark); ok || err != nil {
		return err
	}
	return s.commitMeta(func(b *pebble.Batch) error { return b.Set(metaSealedMark, []byte{1}, nil) })
}

// checkSealedMark fails if rows may be sealed and the store has no cipher.
func (s *pebbleStore) checkSealedMark() error {
	_, ok, err := s.metaRow(metaSealedMark)
	if err == nil && ok && s.seal.cipher == nil {
		err = ErrValueSealed
	}
	return err
}

// resealPass is a walk over all rows.
type resealPass struct {
	below uint32
	next  []byte // physical key
	epoch uint64 // of the keys it is about; a restore begins another one
	ended bool
	steps int
}

// appendCursor encodes how far p has come as the row of the cursor.
func (p *resealPass) appendCursor(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, p.below), p.next...)
}

// parseResealCursor decodes what appendCursor writes. next aliases row.
func parseResealCursor(row []byte) (below uint32, next []byte, err error) {
	if len(row) < 4 {
		return 0, nil, fmt.Errorf("%w: reseal cursor %x", errValueDamaged, row)
	}
	below, next = binary.BigEndian.Uint32(row), row[4:]
	inside := compareKeys(next, appendKeyBound(nil, nil)) >= 0 && compareKeys(next, resealEnd()) <= 0
	if below == 0 || !inside || validateKey(next) != nil {
		return 0, nil, fmt.Errorf("%w: reseal cursor %x", errValueDamaged, row)
	}
	return below, next, nil
}

// Reseal implements Resealer.
func (s *pebbleStore) Reseal(ctx context.Context, o ResealOptions) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if s.seal.cipher == nil || o.Below == 0 {
		return fmt.Errorf("store: reseal below key %d: %w", o.Below, ErrNotSupported)
	}
	s.resealing.Lock()
	defer s.resealing.Unlock()
	s.reseals.begin(o.Below)
	err := s.reseal(ctx, o)
	s.reseals.end(err)
	return err
}

func (s *pebbleStore) reseal(ctx context.Context, o ResealOptions) error {
	for {
		p, err := s.beginReseal(o.Below)
		if err == nil {
			err = s.runReseal(ctx, p, o)
		}
		if err == nil && o.Purge {
			err = s.purge(ctx)
		}
		if err == nil {
			err = s.finishReseal(p)
		}
		if !errors.Is(err, errRestored) {
			return err
		}
	}
}

// beginReseal takes up the pass that is unfinished, if it is to the same key.
func (s *pebbleStore) beginReseal(below uint32) (*resealPass, error) {
	s.apply.Lock() // whoever has encoded rows as was right before this call has to look again
	p := &resealPass{below: below, next: appendKeyBound(nil, nil), epoch: s.apply.epoch}
	s.apply.Unlock()
	row, ok, err := s.metaRow(metaResealCursor)
	if err != nil || !ok {
		return p, err
	}
	reached, next, err := parseResealCursor(row)
	switch {
	case err != nil:
		// To begin anew costs time; to go on anywhere could leave rows as they are.
		s.log.Error("store: reseal begins anew", slog.Any("err", err))
	case reached == below:
		p.next = next
	}
	return p, nil
}

// runReseal does what is left of p.
func (s *pebbleStore) runReseal(ctx context.Context, p *resealPass, o ResealOptions) error {
	for tries := 0; !p.ended; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.gate.closing() {
			return ErrClosed
		}
		if p.steps%resealEstimate == 0 && compareKeys(p.next, resealEnd()) < 0 {
			left, err := s.db.EstimateDiskUsage(p.next, resealEnd())
			if err != nil {
				return err
			}
			s.reseals.left(left)
		}
		n, err := s.resealStep(p)
		if tries++; errors.Is(err, errKeyTooOld) && tries < keyTriesMost {
			continue
		}
		if err != nil {
			return err
		}
		tries = 0
		if o.Throttle != nil {
			if err := o.Throttle(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// resealEnd is the bound above everything that is sealed.
func resealEnd() []byte { return rangeRows().UpperBound }

// sealedAgain is a row and what takes its place.
type sealedAgain struct{ key, old, fresh []byte }

// resealStep replaces some rows in one small batch, and moves p on. It returns how many bytes
// it has read and written.
//
// Rows are looked at, and sealed, without a lock. A row that was replaced or dropped
// meanwhile is left as it is: whatever took its place is sealed as it should be.
func (s *pebbleStore) resealStep(p *resealPass) (int, error) {
	w := s.newWrite(idlePath)
	next := *p
	found, work, err := s.collectReseal(w, &next)
	if err != nil {
		return 0, firstError(err, w.batch.Close())
	}
	w.locked = func(w *write) error {
		if s.apply.epoch != p.epoch {
			return errRestored
		}
		work.Sealed = 0
		for _, r := range found {
			same, err := s.holds(r.key, r.old)
			if err == nil && same {
				work.Sealed++
				err = w.batch.Set(r.key, r.fresh, nil)
			}
			if err != nil {
				return err
			}
		}
		return w.batch.Set(metaResealCursor, next.appendCursor(nil), nil)
	}
	if err := w.commit(); err != nil {
		return 0, err
	}
	next.steps++
	*p = next
	s.reseals.step(work)
	return int(work.Bytes), nil
}

// holds reports whether row is what stands under key.
func (s *pebbleStore) holds(key, row []byte) (bool, error) {
	got, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return bytes.Equal(got, row), closer.Close()
}

// collectReseal finds rows from p.next on that are to be replaced, seals them for w, and
// moves p to where it stopped.
func (s *pebbleStore) collectReseal(w *write, p *resealPass) (found []sealedAgain, work ResealPass, err error) {
	rows, size := s.newRowDecoder(), 0
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: appendKeyBound(nil, nil), UpperBound: resealEnd()})
	if err != nil {
		return nil, work, err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	for ok := iter.SeekGE(p.next); ok; ok = iter.Next() {
		if len(found) >= resealRowsMost || size >= resealBytesMost || work.Rows >= resealLookedMost {
			p.next = cloneBytes(iter.Key())
			return found, work, nil
		}
		row, err := iter.ValueAndErr()
		if err != nil {
			return nil, work, err
		}
		work.Rows++
		work.Bytes += uint64(len(iter.Key()) + len(row))
		if sealedFrom(row, p.below) {
			continue
		}
		v, err := rows.version(iter.Key(), row)
		if err != nil {
			return nil, work, err
		}
		r := sealedAgain{key: cloneBytes(iter.Key()), old: cloneBytes(row)}
		if r.fresh, err = w.rows.append(nil, r.key, v); err != nil {
			return nil, work, err
		}
		if !sealedFrom(r.fresh, p.below) {
			return nil, work, fmt.Errorf("store: reseal: rows below key %d are to be sealed again, and the active key is none above", p.below)
		}
		size += len(r.fresh)
		work.Bytes += uint64(len(r.fresh))
		found = append(found, r)
	}
	p.ended, p.next = true, resealEnd()
	return found, work, iter.Error()
}

// sealedFrom reports whether row is sealed under a key at or above below, as far as it says itself.
func sealedFrom(row []byte, below uint32) bool {
	if !valueSealed(row) {
		return false
	}
	n := valueHeaderSizeOf(row[0])
	if len(row) < n {
		return false
	}
	e, err := encryption.ParseEnvelope(row[n:])
	return err == nil && e.KeyID >= below
}

// purge has the engine drop what was replaced: it writes all tables anew, and the blob files that they have values in, which may
// hold values that no table has any more. What was written before is not needed of the log then.
func (s *pebbleStore) purge(ctx context.Context) error {
	s.blobs.renew.Store(true)
	defer s.blobs.renew.Store(false)
	// A compaction takes what lies between the first and the last row of the level above. These two go through all levels.
	err := s.wal.Purge(func() error {
		if err := s.commitMeta(func(b *pebble.Batch) error {
			return firstError(b.Set(metaPurgeFirst, nil, nil), b.Set(metaPurgeLast, nil, nil))
		}); err != nil {
			return err
		}
		return s.db.Compact(ctx, metaPurgeFirst, metaPurgeLast, false)
	})
	if err != nil {
		return err
	}
	return s.commitMeta(func(b *pebble.Batch) error {
		return firstError(b.Delete(metaPurgeFirst, nil), b.Delete(metaPurgeLast, nil))
	})
}

// commitMeta changes the engine's own rows.
func (s *pebbleStore) commitMeta(change func(b *pebble.Batch) error) error {
	w := s.newWrite(directPath)
	if err := change(w.batch); err != nil {
		return firstError(err, w.batch.Close())
	}
	return w.commit()
}

// finishReseal makes all of p durable, as the log is written in order.
func (s *pebbleStore) finishReseal(p *resealPass) error {
	w := s.newWrite(directPath)
	w.locked = func(w *write) error {
		if s.apply.epoch != p.epoch {
			return errRestored
		}
		return w.batch.Delete(metaResealCursor, nil)
	}
	if err := w.commit(); err != nil {
		return err
	}
	s.snapshots.Lock()
	defer s.snapshots.Unlock()
	s.snapshots.lowestKey = max(s.snapshots.lowestKey, p.below)
	return nil
}

// LowestKeyInUse implements Resealer.
func (s *pebbleStore) LowestKeyInUse() uint32 {
	s.snapshots.Lock()
	defer s.snapshots.Unlock()
	lowest := uint32(math.MaxUint32)
	for image := range s.snapshots.open {
		lowest = min(lowest, image.lowestKey)
	}
	return lowest
}
