package store

import (
	"context"
	"encoding/binary"
	"fmt"
)

// MaxDeltaScanLimit is how many unfolded deltas of one collection a reader adds
// up. With more it reports ErrDeltaScanTruncated, never a wrong length. It is
// also how many deltas a fold takes in one transaction.
const MaxDeltaScanLimit = 1024

// deltaTailSize is the width of a delta key's tail, which makes the key one of its
// own for every delta:
//
//	| commitTS (8, big endian) | number within the transaction (4, big endian) |
const deltaTailSize = 8 + 4 // part of the format; never change

// deltaKey builds the key of one delta.
func (k wideKind) deltaKey(userKey []byte, commitTS uint64, seqInTxn uint32) []byte {
	key := k.prefix(userKey, deltaTailSize)
	key = binary.BigEndian.AppendUint64(key, commitTS)
	return binary.BigEndian.AppendUint32(key, seqInTxn)
}

// delta is one row of the scans below.
type delta struct {
	key    []byte
	change extent
}

// deltaPageLeast is the least number of rows that a look for deltas asks for, so
// that what only looks like deltas is passed over quickly.
const deltaPageLeast = 32

// deltasAt returns the first deltas of span at ts, up to limit. Every call of the
// store sees one moment; where rows that are no deltas make it more than one call,
// so may the result.
func (c *counting) deltasAt(ctx context.Context, s MVCCStore, span Span, limit int, ts uint64) ([]delta, error) {
	var deltas []delta
	for page := max(limit, deltaPageLeast); len(deltas) < limit; {
		rows, err := s.ScanAt(ctx, span.Start, span.End, page, ts)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if len(deltas) == limit || c.userKeyOf(row) == nil {
				continue
			}
			change, err := c.parseDelta(row.Value)
			if err != nil {
				return nil, fmt.Errorf("delta %q: %w", row.Key, err)
			}
			deltas = append(deltas, delta{row.Key, change})
		}
		if len(rows) < page {
			break
		}
		span.Start = keyAfter(rows[len(rows)-1].Key)
	}
	return deltas, nil
}

// userKeyOf returns the user key of a row that is a delta, or nil.
func (c *counting) userKeyOf(row *KVPair) []byte {
	if c.imitated != nil && c.imitated(row.Value) {
		return nil
	}
	return c.deltas.userKey(row.Key, deltaTailSize)
}

// keyAfter returns the least key above key.
func keyAfter(key []byte) []byte { return append(key[:len(key):len(key)], 0) }
