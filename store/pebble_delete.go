package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
)

// DeletePrefixAt implements MVCCStore.
func (s *pebbleStore) DeletePrefixAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error {
	return s.deletePrefix(ctx, prefixDelete{prefix, excludePrefix, commitTS}, directPath, 0)
}

// DeletePrefixAtRaft implements MVCCStore.
func (s *pebbleStore) DeletePrefixAtRaft(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error {
	return s.deletePrefix(ctx, prefixDelete{prefix, excludePrefix, commitTS}, raftPath, 0)
}

// DeletePrefixAtRaftAt implements MVCCStore.
func (s *pebbleStore) DeletePrefixAtRaftAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS, appliedIndex uint64) error {
	return s.deletePrefix(ctx, prefixDelete{prefix, excludePrefix, commitTS}, raftPath, appliedIndex)
}

// prefixDelete is what DeletePrefixAt is asked to do.
type prefixDelete struct {
	prefix   []byte
	exclude  []byte // empty excludes nothing
	commitTS uint64
}

// defaultTombstonesMost is how many rows of a span are looked at, at least, before it is
// deleted by a range tombstone. A range tombstone stays in memory until retention has
// passed it, and reads of its keys ask for it; so it has to stand for many rows, and
// for the more the more of them there are.
const defaultTombstonesMost = 64

func (s *pebbleStore) deletePrefix(ctx context.Context, d prefixDelete, path writePath, appliedIndex uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return underOneKey(func() error {
		w := s.newWrite(path).at(d.commitTS)
		w.appliedIndex = appliedIndex
		w.locked = func(w *write) error {
			for _, span := range d.spans() {
				if err := s.deleteSpan(ctx, w, span, d.commitTS); err != nil {
					return err
				}
			}
			return nil
		}
		return w.commit()
	})
}

// deleteSpan adds to w what deletes every key of span that is alive at ts: a tombstone for
// each of few, and else a range tombstone. That can stand only above everything
// else, so a deletion in the past costs a tombstone for each key, however many.
func (s *pebbleStore) deleteSpan(ctx context.Context, w *write, span Span, ts uint64) error {
	most := max(s.tombstonesMost, s.ranges.Load().len()/defaultTombstonesMost)
	newest := ts > s.apply.stagedTS
	if !newest {
		most = 0
	}
	var keys [][]byte
	size := 0
	walk := scanner{s: s, ctx: ctx, ts: ts, visible: true, anyTS: true, rowsMost: most, fn: func(key []byte, v VersionedValue) bool {
		if shown(v, ts) {
			keys = append(keys, cloneBytes(key))
			size += 2*len(key) + keyOverheadSize
		}
		return size <= batchSizeMost
	}}
	switch err := walk.walk(span, Ascending); {
	case errors.Is(err, errRowsMost):
		return w.deleteRange(rangeTombstone{span: span, ts: ts})
	case err != nil:
		return err
	case size > batchSizeMost:
		return ErrBatchTooLarge
	}
	return w.putTombstones(keys, ts)
}

// deleteRange adds t, whose span it copies.
func (w *write) deleteRange(t rangeTombstone) error {
	if t.span.empty() {
		return nil
	}
	t.span = Span{Start: cloneBytes(t.span.Start), End: bytes.Clone(t.span.End)}
	w.ranges = append(w.ranges, t)
	return w.putRange(t)
}

func (w *write) putTombstones(keys [][]byte, ts uint64) error {
	c := Commit{TS: ts}
	for _, key := range keys {
		m := &KVPairMutation{Op: OpTypeDelete, Key: key}
		if err := w.rows.put(w.batch, m, ts); err != nil {
			return err
		}
		c.Mutations = append(c.Mutations, m)
	}
	if len(keys) > 0 {
		w.commits = append(slices.Clip(w.commits), c) // they may be the caller's
	}
	return nil
}

// spans returns what has the prefix and not the excluded one: what is below the
// excluded keys and what is above them.
func (d prefixDelete) spans() []Span {
	all := Span{Start: d.prefix, End: prefixEnd(d.prefix)}
	switch {
	case len(d.prefix) > maxKeySize:
		return nil // no key is so long
	case len(d.exclude) == 0 || len(d.exclude) > maxKeySize:
		return []Span{all}
	case bytes.HasPrefix(d.prefix, d.exclude):
		return nil
	case !bytes.HasPrefix(d.exclude, d.prefix):
		return []Span{all}
	}
	spans := []Span{{Start: d.prefix, End: d.exclude}}
	if end := prefixEnd(d.exclude); end != nil {
		spans = append(spans, Span{Start: end, End: all.End})
	}
	return spans
}
