package store

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// A range tombstone is a row of the engine too, in a namespace of its own, the
// oldest first. Its value is that of any tombstone.
//
//	| 0x02 | group (4) | ts (8) | flags (1) | length of start (4) | start | end … | 0x00 |
//
// The flags, from the lowest bit: 0 what has expired is deleted, too; 1 there is an
// end; 2-7 are 0.
const (
	namespaceRange = 0x02 // part of the format; never change

	rangeFlagExpired = 1 << 0 // part of the format; never change
	rangeFlagEnd     = 1 << 1 // part of the format; never change

	rangeHeadSize = keyHeadSize + 8 + 1 + 4
)

// appendRangeKey appends the key of t's row.
func appendRangeKey(dst []byte, t rangeTombstone) []byte {
	var flags byte
	if t.expired {
		flags |= rangeFlagExpired
	}
	if t.span.End != nil {
		flags |= rangeFlagEnd
	}
	dst = binary.BigEndian.AppendUint32(append(dst, namespaceRange), keyGroup)
	dst = binary.BigEndian.AppendUint64(dst, t.ts)
	dst = binary.BigEndian.AppendUint32(append(dst, flags), uint32(len(t.span.Start)))
	dst = append(append(dst, t.span.Start...), t.span.End...)
	return append(dst, keySentinel)
}

// parseRangeKey takes apart a key as appendRangeKey builds it. The span aliases key.
func parseRangeKey(key []byte) (t rangeTombstone, err error) {
	damaged := func() (rangeTombstone, error) { return t, fmt.Errorf("%w %x", errKeyDamaged, key) }
	if len(key) <= rangeHeadSize || key[0] != namespaceRange || key[len(key)-1] != keySentinel {
		return damaged()
	}
	flags := key[keyHeadSize+8]
	rest := key[rangeHeadSize : len(key)-1]
	n := binary.BigEndian.Uint32(key[rangeHeadSize-4:])
	if flags&^(rangeFlagExpired|rangeFlagEnd) != 0 || uint64(n) > uint64(len(rest)) {
		return damaged()
	}
	t.ts = binary.BigEndian.Uint64(key[keyHeadSize:])
	t.expired = flags&rangeFlagExpired != 0
	t.span.Start, rest = rest[:n:n], rest[n:]
	switch {
	case flags&rangeFlagEnd != 0:
		t.span.End = rest
	case len(rest) > 0:
		return damaged()
	}
	if t.span.empty() {
		return damaged()
	}
	return t, nil
}

// rangeRows covers the rows of all range tombstones.
func rangeRows() pebble.IterOptions {
	bound := func(group uint32) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{namespaceRange}, group), keySentinel)
	}
	end := []byte{namespaceRange + 1, keySentinel}
	if keyGroup != math.MaxUint32 {
		end = bound(keyGroup + 1)
	}
	return pebble.IterOptions{LowerBound: bound(keyGroup), UpperBound: end}
}

// putRange adds t's row to w.
func (w *write) putRange(t rangeTombstone) error {
	key := appendRangeKey(nil, t)
	row, err := w.rows.append(nil, key, VersionedValue{Tombstone: true})
	if err != nil {
		return err
	}
	return w.batch.Set(key, row, nil)
}

// eachRange calls fn for the range tombstones that reader has, the oldest first. The
// tombstone's span is fn's.
func (s *pebbleStore) eachRange(reader pebble.Reader, fn func(t rangeTombstone) error) (err error) {
	options, rows := rangeRows(), s.newRowDecoder()
	iter, err := reader.NewIter(&options)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	for ok := iter.First(); ok; ok = iter.Next() {
		t, err := rangeAt(iter, &rows)
		if err != nil {
			return err
		}
		if err := fn(t); err != nil {
			return err
		}
	}
	return iter.Error()
}

// rangeAt decodes the row that iter is at.
func rangeAt(iter *pebble.Iterator, rows *rowDecoder) (rangeTombstone, error) {
	t, err := parseRangeKey(cloneBytes(iter.Key()))
	if err != nil {
		return t, err
	}
	row, err := iter.ValueAndErr()
	if err != nil {
		return t, err
	}
	v, err := rows.version(iter.Key(), row)
	if err == nil && !v.Tombstone {
		err = fmt.Errorf("%w: range tombstone at %d has a value", errValueDamaged, t.ts)
	}
	return t, err
}

// loadRanges reads all range tombstones. The caller holds the apply lock, or is alone.
func (s *pebbleStore) loadRanges() error {
	var all []rangeTombstone
	err := s.eachRange(s.db, func(t rangeTombstone) error {
		all = append(all, t)
		return nil
	})
	if err != nil {
		return err
	}
	var none *rangeIndex
	s.ranges.Store(none.with(all))
	return nil
}
