package store

import (
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Snapshot implements MVCCStore. It waits until everything in the image is
// durable, so that a copy elsewhere never holds more than this store after a
// crash.
func (s *pebbleStore) Snapshot() (Snapshot, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	// An empty write marks the moment; under its lock nothing else is written.
	var iter *pebble.Iterator
	w := s.newWrite(directPath)
	image := &pebbleSnapshot{s: s, lowestKey: s.lowestKey(), floor: s.seal.readFloor()}
	w.locked = func(*write) (err error) {
		image.header = snapshotHeader{s.apply.stagedTS, s.apply.stagedFloor, s.apply.stagedIndex}
		iter, err = s.db.NewIter(&pebble.IterOptions{UpperBound: appendDataEnd(nil)})
		return err
	}
	if err := w.stage(); err != nil {
		if iter != nil {
			err = firstError(err, iter.Close())
		}
		return nil, err
	}
	if err := w.Wait(); err != nil {
		return nil, firstError(err, iter.Close())
	}
	image.mu.iter = iter
	s.snapshots.Lock()
	defer s.snapshots.Unlock()
	s.snapshots.open[image] = struct{}{}
	return image, nil
}

func (s *pebbleStore) lowestKey() uint32 {
	s.snapshots.Lock()
	defer s.snapshots.Unlock()
	return s.snapshots.lowestKey
}

// closeSnapshots closes what callers have left open. The gate is shut, so no
// new ones come and none is being written.
func (s *pebbleStore) closeSnapshots() {
	s.snapshots.Lock()
	var open []*pebbleSnapshot
	for image := range s.snapshots.open {
		open = append(open, image)
	}
	s.snapshots.Unlock()
	for _, image := range open {
		_ = image.Close()
	}
}

// pebbleSnapshot is the image of one moment. It holds an iterator and not one of
// the engine's snapshots: an iterator keeps its files, so that a restore, which
// replaces files, does not reach into it.
type pebbleSnapshot struct {
	s      *pebbleStore
	header snapshotHeader

	lowestKey uint32 // its rows are sealed under no lower one
	floor     uint32 // of its decoders

	mu struct {
		sync.Mutex
		iter *pebble.Iterator // nil when closed; only ever cloned
	}
}

// WriteTo implements io.WriterTo. It may be called more than once, and at the
// same time.
func (i *pebbleSnapshot) WriteTo(w io.Writer) (n int64, err error) {
	return i.writeTo(w, i.s.seal.snapshotOut)
}

// WritePlainTo implements PlainSnapshot.
func (i *pebbleSnapshot) WritePlainTo(w io.Writer) (n int64, err error) {
	return i.writeTo(w, plainOut)
}

// writeTo writes the image through what through makes of w.
func (i *pebbleSnapshot) writeTo(w io.Writer, through func(io.Writer) (io.Writer, func() error, error)) (n int64, err error) {
	if err := i.s.enter(); err != nil {
		return 0, err
	}
	defer i.s.gate.leave()
	iter, err := i.clone()
	if err != nil {
		return 0, err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	out := &countingWriter{w: w}
	plain, closeOut, err := through(out)
	if err != nil {
		return out.n, err
	}
	sw := newSnapshotWriter(plain, i.header)
	if err := i.writeRanges(iter, sw); err != nil {
		return out.n, err
	}
	row, rows := i.newRowDecoder(), 0
	for ok := iter.SeekGE(appendKeyBound(nil, nil)); ok; ok = iter.Next() {
		if rows++; rows%ctxCheckEvery == 0 && i.s.gate.closing() {
			return out.n, ErrClosed
		}
		key, v, err := currentVersion(iter, &row)
		if err != nil {
			return out.n, err
		}
		if err := sw.add(key, v); err != nil {
			return out.n, err
		}
	}
	if err := iter.Error(); err != nil {
		return out.n, err
	}
	if err := sw.close(); err != nil {
		return out.n, err
	}
	err = closeOut()
	return out.n, err
}

// writeRanges writes the range tombstones of the image.
func (i *pebbleSnapshot) writeRanges(image *pebble.Iterator, sw *snapshotWriter) (err error) {
	options := rangeRows()
	iter, err := image.Clone(pebble.CloneOptions{IterOptions: &options})
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	rows := i.newRowDecoder()
	for ok := iter.First(); ok; ok = iter.Next() {
		t, err := rangeAt(iter, &rows)
		if err != nil {
			return err
		}
		if err := sw.addRange(t); err != nil {
			return err
		}
	}
	return iter.Error()
}

// newRowDecoder returns a decoder of what the image holds.
func (i *pebbleSnapshot) newRowDecoder() rowDecoder {
	return rowDecoder{seal: &i.s.seal, floor: i.floor}
}

func (i *pebbleSnapshot) clone() (*pebble.Iterator, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.mu.iter == nil {
		return nil, fmt.Errorf("store: snapshot: %w", ErrClosed)
	}
	return i.mu.iter.Clone(pebble.CloneOptions{})
}

// Close implements io.Closer. Closing twice is harmless.
func (i *pebbleSnapshot) Close() error {
	i.s.snapshots.Lock()
	delete(i.s.snapshots.open, i)
	i.s.snapshots.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.mu.iter == nil {
		return nil
	}
	err := i.mu.iter.Close()
	i.mu.iter = nil
	return err
}

// currentVersion decodes the row that iter is at. Both results are valid until it
// moves or d decodes another row.
func currentVersion(iter *pebble.Iterator, d *rowDecoder) ([]byte, VersionedValue, error) {
	key, ts, err := parseVersionKey(iter.Key())
	if err != nil {
		return nil, VersionedValue{}, err
	}
	row, err := iter.ValueAndErr()
	if err != nil {
		return nil, VersionedValue{}, err
	}
	v, err := d.version(iter.Key(), row)
	v.TS = ts
	return key, v, err
}
