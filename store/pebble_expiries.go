package store

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A value that expires becomes garbage when the floor passes its expiry, although
// nothing is written then. So that it is found again, a compaction that keeps such a
// value leaves a row behind, the soonest first. The row is a hint: it may
// outlive what it is about.
//
//	| 0x03 | group (4) | expireAt (8) | user key … | 0x00 |        no value
const (
	namespaceExpiry = 0x03 // part of the format; never change

	expiryHeadSize = keyHeadSize + 8
)

// appendExpiryKey appends the key of the row for a key that has a value until expireAt.
func appendExpiryKey(dst []byte, expireAt uint64, userKey []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, namespaceExpiry), keyGroup)
	dst = binary.BigEndian.AppendUint64(dst, expireAt)
	return append(append(dst, userKey...), keySentinel)
}

func parseExpiryKey(key []byte) (userKey []byte, err error) {
	if len(key) <= expiryHeadSize || key[0] != namespaceExpiry || key[len(key)-1] != keySentinel {
		return nil, fmt.Errorf("%w %x", errKeyDamaged, key)
	}
	return key[expiryHeadSize : len(key)-1], nil
}

// expiryRows covers the rows with an expiry at or below ts.
func expiryRows(ts uint64) pebble.IterOptions {
	head := binary.BigEndian.AppendUint32([]byte{namespaceExpiry}, keyGroup)
	o := pebble.IterOptions{LowerBound: append(head[:len(head):len(head)], keySentinel)}
	if ts == maxTS {
		o.UpperBound = []byte{namespaceExpiry + 1, keySentinel}
		return o
	}
	o.UpperBound = append(binary.BigEndian.AppendUint64(head[:len(head):len(head)], ts+1), keySentinel)
	return o
}

// collectExpired gathers from keys whose values have expired, and reports whether there may
// be more of them.
func (g *garbage) collectExpired(w *write) (more bool, err error) {
	if err := g.open(Span{}); err != nil {
		return false, err
	}
	defer func() { err = firstError(err, g.close()) }()
	options := expiryRows(g.floor)
	hints, err := g.iter.Clone(pebble.CloneOptions{IterOptions: &options})
	if err != nil {
		return false, err
	}
	defer func() { err = firstError(err, hints.Close()) }()
	for ok := hints.First(); ok; ok = hints.Next() {
		if g.full() {
			return true, nil
		}
		userKey, err := parseExpiryKey(hints.Key())
		if err != nil {
			return false, err
		}
		if err := w.batch.Delete(hints.Key(), nil); err != nil {
			return false, err
		}
		g.deletes++
		bound := appendKeyBound(nil, userKey)
		if !g.iter.SeekGE(bound) || compareKeys(boundOf(g.iter.Key()), bound) != 0 {
			if err := g.iter.Error(); err != nil {
				return false, err
			}
			continue
		}
		g.covered = 0 // what follows is not of the row
		if _, err := g.key(); err != nil {
			return false, err
		}
		if err := g.flush(appendKeyBound(nil, append(cloneBytes(userKey), 0))); err != nil {
			return false, err
		}
	}
	return false, hints.Error()
}
