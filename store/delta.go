package store

import "encoding/binary"

// MaxDeltaScanLimit is how many unfolded deltas of one collection a reader adds
// up. With more it reports ErrDeltaScanTruncated, never a wrong length.
const MaxDeltaScanLimit = 1024

// A delta is a change of a collection's length by a writer that does not own
// the collection's meta: two of them do not conflict, because each has a key of
// its own. The length is the base meta plus all deltas. A delta key's tail:
//
//	| commitTS (8, big endian) | number within the transaction (4, big endian) |
const deltaTailSize = 8 + 4 // part of the format; never change

// deltaKey builds the key of one delta.
func (k wideKind) deltaKey(userKey []byte, commitTS uint64, seqInTxn uint32) []byte {
	key := k.prefix(userKey, deltaTailSize)
	key = binary.BigEndian.AppendUint64(key, commitTS)
	return binary.BigEndian.AppendUint32(key, seqInTxn)
}
